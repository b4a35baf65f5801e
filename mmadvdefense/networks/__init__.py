"""Networks that purify, judge or look at images, and target networks that the model zoos lack."""

from .cifar_resnet import CIFARResNet
from .converters import convert_pix2pixhd_discriminator, convert_pix2pixhd_generator
from .discriminator import MultiscaleDiscriminator
from .dunet import DUNet
from .global_generator import GlobalGenerator
from .rfbnet import RFBNeck
from .torchvision_vgg import TorchvisionVGG
from .wide_resnet import WideResNet

__all__ = [
    'CIFARResNet',
    'DUNet',
    'GlobalGenerator',
    'MultiscaleDiscriminator',
    'RFBNeck',
    'TorchvisionVGG',
    'WideResNet',
    'convert_pix2pixhd_discriminator',
    'convert_pix2pixhd_generator',
]
