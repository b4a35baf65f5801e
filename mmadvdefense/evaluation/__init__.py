"""Robustness numbers: conditions, results, tables."""

from .robustness import Condition, Result, evaluate, main_metric
from .tables import robustness_table

__all__ = ['Condition', 'Result', 'evaluate', 'main_metric', 'robustness_table']
