"""The terms of a purifier's training objective."""

from .base import GuidedLoss, ImageName, PurifierBatch, PurifierLoss
from .class_alignment import ClassAlignmentLoss
from .feature_matching import FeatureMatchingLoss
from .gan.base import GANLoss
from .gan.binary import BinaryGANLoss
from .gan.relativistic import RelativisticGANLoss
from .gan.wasserstein import WassersteinGANLoss
from .gated_task import GatedTaskLoss
from .learned.base import LearnedLoss
from .learned.ddc_at import DivideAndConquerLoss
from .learned.domain_adaptation import DomainAdaptationLoss
from .learned.domain_discriminator import DomainDiscriminatorLoss
from .learned.prototype import PrototypeConformityLoss
from .likelihood import NegativeLogLikelihoodLoss
from .lsgan import LSGANLoss
from .mart import MARTLoss
from .mean_squared import PixelMSELoss
from .perceptual import PerceptualLoss
from .reconstruction import FeatureReconstructionLoss, PixelReconstructionLoss
from .trades import TRADESLoss

__all__ = [
    'BinaryGANLoss',
    'ClassAlignmentLoss',
    'DivideAndConquerLoss',
    'DomainAdaptationLoss',
    'DomainDiscriminatorLoss',
    'FeatureMatchingLoss',
    'FeatureReconstructionLoss',
    'GANLoss',
    'GatedTaskLoss',
    'GuidedLoss',
    'ImageName',
    'LSGANLoss',
    'LearnedLoss',
    'MARTLoss',
    'NegativeLogLikelihoodLoss',
    'PerceptualLoss',
    'PixelMSELoss',
    'PixelReconstructionLoss',
    'PrototypeConformityLoss',
    'PurifierBatch',
    'PurifierLoss',
    'RelativisticGANLoss',
    'TRADESLoss',
    'WassersteinGANLoss',
]
