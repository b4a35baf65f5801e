"""Hooks of MMEngine's runner, and what an attacker may know."""

from .attack import AttackHook
from .finite_guard import FiniteLossGuardHook
from .purifier_train import PurifierTrainHook
from .threats import DEFENCE_AWARE, THREAT_MODELS, build_source

__all__ = ['DEFENCE_AWARE', 'THREAT_MODELS', 'AttackHook', 'FiniteLossGuardHook', 'PurifierTrainHook', 'build_source']
