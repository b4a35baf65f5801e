"""Purification networks, discriminators and perceptual networks, and target networks that the model zoos lack."""

from .bottleneck_encoder import BottleneckEncoder
from .bottleneck_generator import BottleneckGenerator
from .cifar_resnet import CIFARResNet
from .class_code_generator import ClassCodeGenerator
from .converters import convert_pix2pixhd_discriminator, convert_pix2pixhd_generator
from .denoising_autoencoder import DenoisingAutoEncoder
from .denoising_backbone import build_denoising_backbone
from .denoising_block import DenoisingBlock
from .discriminator import MultiscaleDiscriminator
from .dunet import DUNet
from .generative.pixel_cnn import PixelCNN
from .generative.wgan import WGANCritic, WGANGenerator
from .global_generator import GlobalGenerator
from .per_image.energy import EnergyNetworks
from .per_image.hourglass import HourglassNetworks
from .per_image.scalar_autoencoder import ScalarAutoEncoders
from .restoration.ape_gan import APEGANDiscriminator, APEGANGenerator
from .restoration.edsr import EDSR
from .restoration.fpd import FPDGenerator
from .restoration.nrp import NRPDiscriminator, NRPGenerator
from .rfbnet import RFBNeck
from .torchvision_vgg import TorchvisionVGG
from .wide_resnet import WideResNet

__all__ = [
    'APEGANDiscriminator',
    'APEGANGenerator',
    'BottleneckEncoder',
    'BottleneckGenerator',
    'CIFARResNet',
    'ClassCodeGenerator',
    'DUNet',
    'DenoisingAutoEncoder',
    'DenoisingBlock',
    'EDSR',
    'EnergyNetworks',
    'FPDGenerator',
    'GlobalGenerator',
    'HourglassNetworks',
    'MultiscaleDiscriminator',
    'NRPDiscriminator',
    'NRPGenerator',
    'PixelCNN',
    'RFBNeck',
    'ScalarAutoEncoders',
    'TorchvisionVGG',
    'WGANCritic',
    'WGANGenerator',
    'WideResNet',
    'build_denoising_backbone',
    'convert_pix2pixhd_discriminator',
    'convert_pix2pixhd_generator',
]
