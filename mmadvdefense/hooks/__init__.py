"""Hooks for MMEngine's runner."""

from .adversarial_train import AdversarialTrainingHook
from .amplification import ErrorAmplificationHook
from .attack import AttackHook
from .example_images import ExampleImagesHook
from .finite_guard import FiniteLossGuardHook
from .purifier_train import PurifierTrainHook
from .validation_loss import PurifierValLossHook

__all__ = [
    'AdversarialTrainingHook',
    'AttackHook',
    'ErrorAmplificationHook',
    'ExampleImagesHook',
    'FiniteLossGuardHook',
    'PurifierTrainHook',
    'PurifierValLossHook',
]
