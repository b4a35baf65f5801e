"""Results as a terminal table."""

from __future__ import annotations

from typing import Optional, Sequence

from terminaltables import AsciiTable

from .robustness import Result, main_metric


def robustness_table(results: Sequence[Result], metric: Optional[str] = None) -> str:
    """One row a condition: the metric without and with the purifier, and what was measured.

    Args:
        results: of :func:`evaluate`.
        metric: the number to show; the task's usual one by default.
    """
    metric = metric or main_metric(results)
    header = [
        'images',
        f'{metric}\nno purifier',
        f'{metric}\npurifier',
        'L-inf (0-255)\nmean / max',
        'L2 (0-255)\nmean / max',
        'PSNR (dB) to clean\nattacked / purified',
    ]
    rows = []
    for name in dict.fromkeys(result.condition.name for result in results):
        cells = {result.purifier: result for result in results if result.condition.name == name}
        any_cell = next(iter(cells.values()))
        measured = any_cell.measured
        rows.append(
            [
                name,
                _number(cells[False].metrics[metric]) if False in cells else '-',
                _number(cells[True].metrics[metric]) if True in cells else '-',
                _pair(measured, 'perturbation/linf'),
                _pair(measured, 'perturbation/l2'),
                ' / '.join(_psnr(cells[key]) if key in cells else '-' for key in (False, True)),
            ]
        )
    return AsciiTable([header, *rows]).table


def _number(value: float) -> str:
    return f'{value:.2f}'


def _pair(measured: dict, name: str) -> str:
    return f'{measured[f"{name}_mean"]:.2f} / {measured[f"{name}_max"]:.2f}'


def _psnr(result: Result) -> str:
    value = result.measured['purified/psnr']
    return 'equal' if value is None else f'{value:.1f}'
