"""Training terms of purifiers, one a file."""

from .base import GuidedLoss, ImageName, PurifierBatch, PurifierLoss
from .class_alignment import ClassAlignmentLoss
from .feature_matching import FeatureMatchingLoss
from .feature_reconstruction import FeatureReconstructionLoss
from .lsgan import LSGANLoss
from .perceptual import PerceptualLoss
from .pixel import PixelReconstructionLoss

__all__ = [
    'ClassAlignmentLoss',
    'FeatureMatchingLoss',
    'FeatureReconstructionLoss',
    'GuidedLoss',
    'ImageName',
    'LSGANLoss',
    'PerceptualLoss',
    'PixelReconstructionLoss',
    'PurifierBatch',
    'PurifierLoss',
]
