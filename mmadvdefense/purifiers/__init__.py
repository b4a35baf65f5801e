"""Data preprocessors that clean pixels before the host's own preprocessing."""

from .align import AlignPurifier
from .base import Purifier, RandomPurifier, channel_order_of, purifier_names, switched, unchecked
from .chain import PurifierChain
from .dip import DIPPurifier
from .ensemble import EnsemblePurifier
from .filters import MeanFilterPurifier, MedianFilterPurifier
from .generator import GeneratorPurifier, PurifiedImages
from .hgd import HGDPurifier
from .oag import OAGPurifier
from .one_step_autoencoder import OneStepAutoEncoderPurifier
from .online import OnlinePurifier
from .parallel import PurifierDistributedDataParallel, freeze_target
from .patches import PatchDatabase
from .pixel_deflection import PixelDeflectionPurifier
from .quantization import BitDepthPurifier, JPEGPurifier
from .quilting import QuiltingPurifier
from .random_resize_pad import RandomResizePadPurifier
from .total_variation import TotalVariationPurifier

__all__ = [
    'AlignPurifier',
    'BitDepthPurifier',
    'DIPPurifier',
    'EnsemblePurifier',
    'GeneratorPurifier',
    'HGDPurifier',
    'JPEGPurifier',
    'MeanFilterPurifier',
    'MedianFilterPurifier',
    'OAGPurifier',
    'OneStepAutoEncoderPurifier',
    'OnlinePurifier',
    'PatchDatabase',
    'PixelDeflectionPurifier',
    'PurifiedImages',
    'Purifier',
    'PurifierChain',
    'PurifierDistributedDataParallel',
    'QuiltingPurifier',
    'RandomPurifier',
    'RandomResizePadPurifier',
    'TotalVariationPurifier',
    'channel_order_of',
    'freeze_target',
    'purifier_names',
    'switched',
    'unchecked',
]
