"""Robustness numbers: conditions, results, tables; and examples to look at."""

from .examples import Examples, collect_examples
from .robustness import Condition, Result, evaluate, main_metric
from .tables import robustness_table

__all__ = [
    'Condition',
    'Examples',
    'Result',
    'collect_examples',
    'evaluate',
    'main_metric',
    'robustness_table',
]
