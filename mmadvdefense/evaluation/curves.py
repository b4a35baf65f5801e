"""Lines of a report's page: robustness against the budget, and how a perturbation grows over the layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from .report_tables import percent
from .results import CLEAN

# What usually grows with eps, and so does not tell one curve from another.
_SCALES_WITH_EPS = ('eps', 'step_size', 'step_sizes', 'start_std')


@dataclass
class Curve:
    """One figure's worth of lines.

    Attributes:
        title: what is shown.
        lines: by defence ``(x, y)``.
        bands: by defence the lower and upper ends of 95 % intervals, where they are those of ``y``.
        ticks: names of the places on the x axis, None where x is a number.
    """

    title: str
    lines: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    bands: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    ticks: Optional[list[str]] = None


def budget_curves(report: dict[str, Any]) -> list[Curve]:
    """The main metric against eps, for every attack that a report has with more than one eps.

    Attacks are one curve if threat model and all settings but ``eps`` and what usually grows with it are equal. Clean
    images are its point at 0.
    """
    metric = report['metric']
    ran = [cell for cell in report['cells'] if cell['reason'] is None]
    clean = {cell['defence']: cell for cell in ran if cell['threat_model'] == CLEAN}
    families: dict[tuple, list[dict]] = {}
    for cell in ran:
        attack = cell['condition']['attack']
        if attack is not None and attack.get('eps') is not None:
            same = sorted((key, repr(value)) for key, value in attack.items() if key not in _SCALES_WITH_EPS)
            families.setdefault((cell['threat_model'], tuple(same)), []).append(cell)
    curves = []
    for (threat, _), cells in families.items():
        if len({cell['condition']['attack']['eps'] for cell in cells}) < 2:
            continue
        curve = Curve(f'{cells[0]["condition"]["attack"]["type"]}, {threat}')
        for defence in dict.fromkeys(cell['defence'] for cell in cells):
            points = {cell['condition']['attack']['eps']: cell for cell in cells if cell['defence'] == defence}
            if defence in clean:
                points[0] = clean[defence]
            x = sorted(points)
            curve.lines[defence] = (x, [percent(points[eps]['metrics'][metric], metric) for eps in x])
            if report['task'] == 'classification':
                # There the metric is the mean of the images' scores, of which the intervals are.
                low, high = zip(*(points[eps]['scores']['interval'] for eps in x))
                curve.bands[defence] = (list(low), list(high))
        curves.append(curve)
    return curves


def amplification_curves(report: dict[str, Any]) -> list[Curve]:
    """HGD's relative size of the perturbation layer by layer: one figure an attack, one line a defence."""
    curves: dict[str, Curve] = {}
    for cell in report['cells']:
        sizes = [cell['amplification'].get(layer) for layer in report['layers']]
        if cell['condition']['attack'] is not None and sizes and None not in sizes:
            title = f'{cell["condition"]["name"]}, {cell["threat_model"]}'
            curve = curves.setdefault(title, Curve(title, ticks=report['layers']))
            curve.lines[cell['defence']] = (list(range(len(sizes))), sizes)
    return list(curves.values())
