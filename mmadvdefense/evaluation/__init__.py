"""Robustness numbers: conditions, results, tables; and examples to look at."""

from .examples import Examples, collect_examples
from .results import Condition, Result, main_metric
from .robustness import evaluate, score
from .tables import robustness_table

__all__ = [
    'Condition',
    'Examples',
    'Result',
    'collect_examples',
    'evaluate',
    'main_metric',
    'robustness_table',
    'score',
]
