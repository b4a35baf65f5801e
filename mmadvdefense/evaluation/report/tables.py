"""Tables for a terminal and as Markdown, and the table of the results of one model."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Optional, Sequence

from terminaltables import AsciiTable, GithubFlavoredMarkdownTable

from ...threats import NATURAL
from ..cautions import cautions, source_scores
from ..results import CLEAN, Result, is_fraction, main_metric, percent, unit

_WIDTH = 28


@dataclass
class Table:
    """A titled table; the first row is its header."""

    title: str
    rows: list[list[str]]

    def ascii(self) -> str:
        """For a terminal, with long cells wrapped."""
        wrapped = [['\n'.join(textwrap.wrap(cell, _WIDTH)) for cell in row] for row in self.rows]
        return f'{self.title}\n{AsciiTable(wrapped).table}'

    def markdown(self, level: int = 2) -> str:
        """As Markdown, with the title as a heading of this level."""
        rows = [[cell.replace('|', '\\|') for cell in row] for row in self.rows]
        return f'{"#" * level} {self.title}\n\n{GithubFlavoredMarkdownTable(rows).table}'


def robustness_table(results: Sequence[Result], metric: Optional[str] = None) -> str:
    """One row for each condition: the metric without and with the purifier, and what was measured.

    Transfer rows have the scores of their sources on the clean images. Lines below the table say why an attack may be
    weaker than it looks.

    Args:
        results: of :func:`evaluate`.
        metric: the number to show; by default the usual one of the task.
    """
    metric = metric or main_metric(results)
    shown = f'{metric} (%)' if is_fraction(metric) else metric
    attacked = [result.measured for result in results if result.condition.name != CLEAN and result.measured]
    header = [
        'images',
        f'{shown}\nno purifier',
        f'{shown}\npurifier',
        f'{first_size(attacked, " (0-255)")}\nmean / max',
        'L2 (0-255)\nmean / max',
        'PSNR (dB) to clean\nattacked / purified',
        'queries\nmean',
    ]
    scored = any(source_scores(result.measured) for result in results)
    header += ['source, clean\nmean score (%)'] if scored else []
    known = [result.scores for result in results if result.condition.attack is None]
    clean = [scores['score'] for scores in known if scores.get('score') is not None]
    rows, below = [], []
    for name in dict.fromkeys(result.condition.name for result in results):
        cells = {result.purifier: result for result in results if result.condition.name == name}
        ran = {key: cell for key, cell in cells.items() if cell.reason is None}
        scores = [metric_text(ran[key].metrics[metric], metric) if key in ran else '-' for key in (False, True)]
        quality = ' / '.join(psnr_text(ran[key].measured) if key in ran else '-' for key in (False, True))
        first = next(iter(ran.values()), None)
        linf, l2, queries = '---' if first is None else sizes_text(first.measured)
        sources = [sources_text(first.measured) if first else '-'] if scored else []
        rows.append([name, *scores, linf, l2, quality, queries, *sources])
        lines = (cautions(cell.measured, cell.scores.get('images'), clean) for cell in ran.values())
        below += [f'{name}: {line}' for line in dict.fromkeys(line for own in lines for line in own)]
    rows += _mean_of_corruptions(results, metric, len(header))
    return '\n'.join([AsciiTable([header, *rows]).table, *below, *notes(results)])


def _mean_of_corruptions(results: Sequence[Result], metric: str, width: int) -> list[list[str]]:
    """The mean over natural corruptions without and with the purifier, if there are several and all have numbers."""
    natural = [one for one in results if one.condition.threat_model and one.condition.threat_model.name == NATURAL]
    count = len({result.condition.name for result in natural})
    if count < 2 or any(result.reason is not None for result in natural):
        return []
    values = [
        [one.metrics[metric] for one in natural if one.purifier == with_purifier] for with_purifier in (False, True)
    ]
    means = [metric_text(mean_of(own), metric) if own else '-' for own in values]
    return [[f'mean of {count} corruptions', *means, *['-'] * (width - 3)]]


def notes(results: Sequence[Result]) -> list[str]:
    """One line for each condition without numbers, and one for images that are not scored one by one."""
    lines = [
        f'{result.condition.name}, {result.defense}: {reason_text(result.reason, result.error)}'
        for result in results
        if result.reason is not None
    ]
    without = max((result.scores.get('without_truth', 0) for result in results), default=0)
    unscored = {result.scores['unscored'] for result in results if result.scores.get('unscored')}
    if without and not unscored:
        images = max(result.scores.get('images', 0) for result in results)
        lines.append(f'single images: {without} of {images} have no ground truth and are left out')
    return [*lines, *(f'single images are not scored: {reason}' for reason in sorted(unscored))]


def reason_text(reason: str, error: Optional[str]) -> str:
    """Why there are no numbers: the attack is meaningless there, or it failed with an error."""
    return f'{"cannot run" if error is None else "failed"}: {reason}'


def metric_text(value: Optional[float], metric: str) -> str:
    """A metric with two digits, in per cent if it is a fraction; with four if it is small and its unit is unknown."""
    value = percent(value, metric)
    if value is not None and not unit(metric) and 0 < abs(value) < 1:
        return f'{value:.4f}'
    return number_text(value)


def number_text(value: Optional[float]) -> str:
    """With two digits; ``'undefined'`` for None."""
    return 'undefined' if value is None else f'{value:.2f}'


def mean_of(values: Sequence[Optional[float]]) -> Optional[float]:
    """The mean; None if there is no value, or if one of them is undefined."""
    known = [value for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None


def spread(values: Sequence[Optional[float]], digits: int = 2) -> str:
    """A number, or the mean and standard deviation of several."""
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        return 'undefined' if values else '-'
    deviation = f' ± {stdev(known):.{digits}f}' if len(known) > 1 else ''
    return f'{mean(known):.{digits}f}{deviation}'


def sizes_text(measured: dict[str, Any]) -> list[str]:
    """Mean and maximum of the L-infinity and L2 norms, and the mean number of queries.

    Attacks on a part of the image, whose budget is its area, have the share of changed pixels in place of L-infinity.
    """
    norms = [
        f'{measured[f"perturbation/{norm}_mean"]:.2f} / {measured[f"perturbation/{norm}_max"]:.2f}'
        for norm in ('linf', 'l2')
    ]
    if 'perturbation/area_mean' in measured:
        mean, most = (100 * measured[f'perturbation/area_{what}'] for what in ('mean', 'max'))
        norms[0] = f'{mean:.2f} / {most:.2f} % of the pixels'
    queries = measured.get('attack/queries_mean')
    return [*norms, '-' if queries is None else f'{queries:.1f}']


def first_size(measured: Sequence[dict[str, Any]], pixels: str = '') -> str:
    """What the first size of :func:`sizes_text` is in these rows of a table, for its header.

    Args:
        measured: of each row; where there is none, L-infinity.
        pixels: what to append to the name of a size in pixels.
    """
    by_area = ['perturbation/area_mean' in own for own in measured]
    names = [
        *([f'L-inf{pixels}'] if not by_area or not all(by_area) else []),
        *(['changed pixels'] if any(by_area) else []),
    ]
    return ' or '.join(names)


def sources_text(measured: dict[str, Any]) -> str:
    """The score of each source on the clean images, in per cent."""
    scores = source_scores(measured)
    if len(scores) < 2:
        return ''.join(f'{score:.2f}' for score in scores.values()) or '-'
    return ', '.join(f'{name} {score:.2f}' for name, score in scores.items())


def psnr_text(measured: dict[str, Any]) -> str:
    """In dB; ``'equal'`` if the model saw the clean images."""
    value = measured['purified/psnr']
    return 'equal' if value is None else f'{value:.1f}'
