"""Hooks of MMEngine's runner, and what an attacker may know."""

from .adversarial_train import AdversarialTrainingHook
from .amplification import ErrorAmplificationHook
from .attack import AttackHook
from .finite_guard import FiniteLossGuardHook
from .purifier_train import PurifierTrainHook
from .sources import build_source
from .threats import (
    DEFAULT_DRAWS,
    DEFENCE_AWARE,
    NEEDS_PURIFIER,
    THREAT_MODELS,
    THREAT_SETTINGS,
    CannotRun,
    ThreatModel,
)
from .validation_loss import PurifierValLossHook

__all__ = [
    'DEFAULT_DRAWS',
    'DEFENCE_AWARE',
    'NEEDS_PURIFIER',
    'THREAT_MODELS',
    'THREAT_SETTINGS',
    'AdversarialTrainingHook',
    'AttackHook',
    'CannotRun',
    'ErrorAmplificationHook',
    'FiniteLossGuardHook',
    'PurifierTrainHook',
    'PurifierValLossHook',
    'ThreatModel',
    'build_source',
]
