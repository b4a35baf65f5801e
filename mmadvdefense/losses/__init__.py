"""The terms of a purifier's training objective."""

from .base import GuidedLoss, ImageName, PurifierBatch, PurifierLoss
from .class_alignment import ClassAlignmentLoss
from .feature_matching import FeatureMatchingLoss
from .learned.base import LearnedLoss
from .learned.ddc_at import DivideAndConquerLoss
from .learned.domain_adaptation import DomainAdaptationLoss
from .learned.domain_discriminator import DomainDiscriminatorLoss
from .learned.prototype import PrototypeConformityLoss
from .lsgan import LSGANLoss
from .mart import MARTLoss
from .perceptual import PerceptualLoss
from .reconstruction import FeatureReconstructionLoss, PixelReconstructionLoss
from .trades import TRADESLoss

__all__ = [
    'ClassAlignmentLoss',
    'DivideAndConquerLoss',
    'DomainAdaptationLoss',
    'DomainDiscriminatorLoss',
    'FeatureMatchingLoss',
    'FeatureReconstructionLoss',
    'GuidedLoss',
    'ImageName',
    'LSGANLoss',
    'LearnedLoss',
    'MARTLoss',
    'PerceptualLoss',
    'PixelReconstructionLoss',
    'PrototypeConformityLoss',
    'PurifierBatch',
    'PurifierLoss',
    'TRADESLoss',
]
