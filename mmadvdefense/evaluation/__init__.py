"""Robustness numbers: conditions, results, tables; and examples to look at."""

from .grid.versions import read_report
from .report.examples import Examples, collect_examples
from .report.tables import robustness_table
from .results import Condition, Result, main_metric
from .robustness import evaluate, score

__all__ = [
    'Condition',
    'Examples',
    'Result',
    'collect_examples',
    'evaluate',
    'main_metric',
    'read_report',
    'robustness_table',
    'score',
]
