"""Data preprocessors that clean pixels before the host's own preprocessing."""

from .base import Purifier, RandomPurifier, channel_order_of, drawn, purifier_names, switched
from .composites import build_defended_ensemble
from .composites.chain import PurifierChain
from .composites.ensemble import EnsemblePurifier
from .online.base import OnlinePurifier
from .online.dip import DIPPurifier
from .online.oag import OAGPurifier
from .online.one_step_autoencoder import OneStepAutoEncoderPurifier
from .trained.align import AlignPurifier
from .trained.ape_gan import APEGANPurifier
from .trained.defense_gan import DefenseGANPurifier
from .trained.fpd import FPDPurifier
from .trained.gan import GANPurifier
from .trained.generator import GeneratorPurifier
from .trained.hgd import HGDPurifier
from .trained.nrp import NRPPurifier
from .trained.parallel import PurifierDistributedDataParallel, freeze_target, share_statistics
from .trained.pixel_defend import PixelDefendPurifier
from .trained.smoothed import SmoothedPurifier
from .trained.step import STEP, PurifiedImages, PurifierStep
from .trained.super_resolution import SuperResolutionPurifier
from .transforms.filters import MeanFilterPurifier, MedianFilterPurifier
from .transforms.patches import PatchDatabase
from .transforms.pixel_deflection import PixelDeflectionPurifier
from .transforms.quantization import BitDepthPurifier, JPEGPurifier
from .transforms.quilting import QuiltingPurifier
from .transforms.random_resize_pad import RandomResizePadPurifier
from .transforms.total_variation import TotalVariationPurifier

__all__ = [
    'APEGANPurifier',
    'AlignPurifier',
    'BitDepthPurifier',
    'DIPPurifier',
    'DefenseGANPurifier',
    'EnsemblePurifier',
    'FPDPurifier',
    'GANPurifier',
    'GeneratorPurifier',
    'HGDPurifier',
    'JPEGPurifier',
    'MeanFilterPurifier',
    'MedianFilterPurifier',
    'NRPPurifier',
    'OAGPurifier',
    'OneStepAutoEncoderPurifier',
    'OnlinePurifier',
    'PatchDatabase',
    'PixelDefendPurifier',
    'PixelDeflectionPurifier',
    'PurifiedImages',
    'Purifier',
    'PurifierChain',
    'PurifierDistributedDataParallel',
    'PurifierStep',
    'QuiltingPurifier',
    'RandomPurifier',
    'RandomResizePadPurifier',
    'STEP',
    'SmoothedPurifier',
    'SuperResolutionPurifier',
    'TotalVariationPurifier',
    'build_defended_ensemble',
    'channel_order_of',
    'drawn',
    'freeze_target',
    'purifier_names',
    'share_statistics',
    'switched',
]
