"""The terms of a purifier's training objective."""

from .base import GuidedLoss, ImageName, PurifierBatch, PurifierLoss
from .class_alignment import ClassAlignmentLoss
from .feature_matching import FeatureMatchingLoss
from .lsgan import LSGANLoss
from .mart import MARTLoss
from .perceptual import PerceptualLoss
from .reconstruction import FeatureReconstructionLoss, PixelReconstructionLoss
from .trades import TRADESLoss

__all__ = [
    'ClassAlignmentLoss',
    'FeatureMatchingLoss',
    'FeatureReconstructionLoss',
    'GuidedLoss',
    'ImageName',
    'LSGANLoss',
    'MARTLoss',
    'PerceptualLoss',
    'PixelReconstructionLoss',
    'PurifierBatch',
    'PurifierLoss',
    'TRADESLoss',
]
