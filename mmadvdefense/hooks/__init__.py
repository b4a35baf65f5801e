"""Hooks that train a purifier, attack test batches, and stop a diverged training."""

from .attack import AttackHook
from .finite_guard import FiniteLossGuardHook
from .purifier_train import PurifierTrainHook

__all__ = ['AttackHook', 'FiniteLossGuardHook', 'PurifierTrainHook']
