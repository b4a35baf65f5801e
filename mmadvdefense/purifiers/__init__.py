"""Data preprocessors that clean pixels before the host's own preprocessing."""

from .align import AlignPurifier
from .base import Purifier, RandomPurifier
from .generator import GeneratorPurifier, PurifiedImages
from .parallel import PurifierDistributedDataParallel, freeze_target

__all__ = [
    'AlignPurifier',
    'GeneratorPurifier',
    'PurifiedImages',
    'Purifier',
    'PurifierDistributedDataParallel',
    'RandomPurifier',
    'freeze_target',
]
