"""What a report says of natural corruptions, which no defense should make worse."""

from __future__ import annotations

from typing import Any, Optional

from ...threats import NATURAL
from ..results import CLEAN, percent, unit
from .tables import Table, mean_of, reason_text, spread

# Points of the metric, in per cent; smaller differences may be chance.
_TOLERANCE = 1.0
# Of a method, one number for each of its trainings.
Numbers = list[Optional[float]]


def corruption_table(report: dict[str, Any], threat: str) -> Table:
    """One row for each corruption, below clean images and the mean of all; one column for each defense.

    In parentheses, the difference to the target without a defense.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`.
        threat: title of the threat model ``'natural'``.
    """
    attacks = report['threat_models'][threat]['attacks']
    methods = _methods(report, threat)
    bare = _bare(report, methods)
    rows = [[f'{report["metric"]}{unit(report["metric"])}', *methods]]
    clean = {method: _numbers(report, CLEAN, CLEAN, method) for method in methods}
    rows.append([CLEAN, *_row(clean, bare)])
    rows.append([_mean_name(attacks), *_row({method: _means(report, threat, method) for method in methods}, bare)])
    for attack in attacks:
        numbers = {method: _numbers(report, threat, attack, method) for method in methods}
        reasons = {method: _reason(report, threat, attack, method) for method in methods}
        shown = dict(zip(methods, _row(numbers, bare)))
        rows.append([attack, *(reasons[method] or shown[method] for method in methods)])
    return Table(threat, rows if methods else rows[:1])


def corruption_notes(report: dict[str, Any]) -> list[str]:
    """One line for each defense that is on average more than a point worse under corruptions than the target alone."""
    lines = []
    for threat, about in report['threat_models'].items():
        methods = _methods(report, threat) if about['name'] == NATURAL else []
        bare = _bare(report, methods)
        alone = mean_of(_means(report, threat, bare)) if bare else None
        for method in methods:
            own = mean_of(_means(report, threat, method))
            if own is not None and alone is not None and own < alone - _TOLERANCE:
                lines.append(
                    f'{method} makes natural corruptions worse: on average {own:.2f}, against {alone:.2f} of {bare}'
                )
    return lines


def _mean_name(attacks: list[str]) -> str:
    return f'mean of {len(attacks)} corruptions'


def _cell(report: dict[str, Any], threat: str, attack: str, defense: str) -> Optional[dict[str, Any]]:
    wanted = threat, attack, defense
    cells = report['cells']
    return next((c for c in cells if (c['threat_model'], c['condition']['name'], c['defense']) == wanted), None)


def _methods(report: dict[str, Any], threat: str) -> list[str]:
    """The methods that were tested under corruptions."""
    tested = {cell['defense'] for cell in report['cells'] if cell['threat_model'] == threat}
    return [method for method, names in report['methods'].items() if tested & set(names)]


def _bare(report: dict[str, Any], methods: list[str]) -> Optional[str]:
    """The method that is the target alone."""
    about = {method: report['defenses'][report['methods'][method][0]] for method in methods}
    return next((m for m, own in about.items() if not own['purifier'] and not own.get('config')), None)


def _numbers(report: dict[str, Any], threat: str, attack: str, method: str) -> Numbers:
    metric = report['metric']
    cells = [_cell(report, threat, attack, name) for name in report['methods'][method]]
    return [percent(cell['metrics'][metric], metric) if cell and cell['metrics'] else None for cell in cells]


def _means(report: dict[str, Any], threat: str, method: str) -> Numbers:
    """The mean over all corruptions of each training; None unless all of them ran."""
    attacks = report['threat_models'][threat]['attacks']
    return [mean_of(list(own)) for own in zip(*(_numbers(report, threat, attack, method) for attack in attacks))]


def _reason(report: dict[str, Any], threat: str, attack: str, method: str) -> Optional[str]:
    cells = [_cell(report, threat, attack, name) for name in report['methods'][method]]
    stopped = next((cell for cell in cells if cell and cell['reason'] is not None), None)
    return None if stopped is None else reason_text(stopped['reason'], stopped.get('error'))


def _row(numbers: dict[str, Numbers], bare: Optional[str]) -> list[str]:
    alone = None if bare is None else mean_of(numbers[bare])
    shown = []
    for method, own in numbers.items():
        value = mean_of(own)
        compared = alone is not None and value is not None and method != bare
        difference = f' ({value - alone:+.2f})' if compared and value is not None and alone is not None else ''
        shown.append('-' if value is None else f'{spread(own)}{difference}')
    return shown
