"""Training of purifiers: from a config to a runner, and from a batch to its losses."""

from .mixed_precision import BFloat16OptimWrapper
from .preparation import prepare_for_testing, prepare_for_training
from .runner import build_runner

__all__ = ['BFloat16OptimWrapper', 'build_runner', 'prepare_for_testing', 'prepare_for_training']
