"""The first table of a grid's report: one row per defense, with the attack that did most against it."""

from __future__ import annotations

from statistics import mean
from typing import Any, NamedTuple, Optional

from ...tasks import has_one_label
from ..attackers import TITLES, attacker_groups
from ..results import CLEAN, percent, unit
from .draws import draw_marks
from .strength import strength_marks
from .tables import Table, metric_text, spread

TITLE = 'worst case of each defense'


class _Attacked(NamedTuple):
    """One attack on all trainings of a method, with the metric as tables show it."""

    threat: str
    attack: str
    values: list[Optional[float]]
    cells: list[dict[str, Any]]


def summary_table(report: dict[str, Any]) -> Table:
    """Clean score, and the lowest score under gray-box, transfer and informed attackers, each with its attack.

    Where images have one label, the share that is correct under every attack of the column ("worst case") follows if
    there are several, since it has the unit of the metric. A number of several trainings is their mean, and the lowest
    mean counts. A place is empty if the grid has no such threat model, or did not run it on the defense.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`.
    """
    metric = report['metric']
    rows = [[f'{metric}{unit(metric)}', CLEAN, *TITLES.values()]]
    for method, names in report['methods'].items():
        cells = [cell for cell in report['cells'] if cell['defense'] in names]
        if any(cell['threat_model'] != CLEAN for cell in cells):
            clean = _attacks(report, [cell for cell in cells if cell['threat_model'] == CLEAN], names)
            shown = [_number(one, metric) for one in clean] or ['']
            rows.append([method, *shown, *(_place(report, method, cells, group) for group in TITLES)])
    return Table(TITLE, rows)


def _attacks(report: dict[str, Any], cells: list[dict[str, Any]], names: list[str]) -> list[_Attacked]:
    """What ran on every training of a method."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells:
        if cell['reason'] is None:
            grouped.setdefault((cell['threat_model'], cell['condition']['name']), []).append(cell)
    metric = report['metric']
    return [
        _Attacked(threat, attack, [percent(cell['metrics'][metric], metric) for cell in own], own)
        for (threat, attack), own in grouped.items()
        if len(own) == len(names)
    ]


def _place(report: dict[str, Any], method: str, cells: list[dict[str, Any]], group: str) -> str:
    names = report['methods'][method]
    there = [cell for cell in cells if group in _groups(report, cell)]
    if not there:
        return ''
    ran = _attacks(report, there, names)
    known = [one for one in ran if None not in one.values]
    if not known:
        return 'undefined' if ran else 'failed' if any(cell.get('error') for cell in there) else 'cannot run'
    lowest = min(known, key=lambda one: mean(value for value in one.values if value is not None))
    several = group == 'informed' or len({one.threat for one in ran}) > 1
    by = f'{lowest.attack}, {lowest.threat}' if several else lowest.attack
    marks = [by, *strength_marks(report, lowest.cells), *draw_marks(lowest.cells), *_all_together(report, names, group)]
    return f'{_number(lowest, report["metric"])} ({"; ".join(marks)})'


def _number(attacked: _Attacked, metric: str) -> str:
    """One training as in the other tables, or the mean and standard deviation of several."""
    if len(attacked.values) > 1:
        return spread(attacked.values)
    return metric_text(attacked.cells[0]['metrics'][metric], metric)


def _groups(report: dict[str, Any], cell: dict[str, Any]) -> tuple[str, ...]:
    threat = report['threat_models'].get(cell['threat_model'])
    return attacker_groups(threat['name'], bool(report['defenses'][cell['defense']]['purifier'])) if threat else ()


def _all_together(report: dict[str, Any], names: list[str], group: str) -> list[str]:
    rows = [row for row in report.get('worst_case_by_attacker', ()) if row['attacker'] == group]
    values = [row['correct'] for row in rows if row['defense'] in names and len(row['attacks']) > 1]
    if not has_one_label(report.get('task', '')) or len(values) < len(names) or None in values:
        return []
    return [f'all attacks {spread(values)}']
