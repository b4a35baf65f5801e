"""Curves of a grid's report: robustness against the budget, and how a perturbation grows over the layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Optional

from ...tasks import has_one_label
from ..results import CLEAN, percent

# Settings that usually grow with eps, and so do not distinguish one curve from another.
_SCALES_WITH_EPS = ('eps', 'step_size', 'step_sizes', 'start_std')


@dataclass
class Curve:
    """The lines of one figure.

    Attributes:
        title: what is shown.
        lines: by method ``(x, y)``, the mean if there are several trainings.
        bands: by method the lowest and highest values of several trainings, or the 95 % intervals of a single one, if
            they are intervals of ``y``.
        ticks: names of the places on the x axis, None if x is a number.
    """

    title: str
    lines: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    bands: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    ticks: Optional[list[str]] = None


def budget_curves(report: dict[str, Any]) -> list[Curve]:
    """The main metric against eps, for every attack that a report has with more than one eps.

    Attacks form one curve if they have the same threat model and differ only in ``eps`` and in what usually grows with
    it. Clean images are its point at 0.
    """
    metric = report['metric']
    ran = [cell for cell in report['cells'] if cell['reason'] is None]
    clean = {cell['defense']: cell for cell in ran if cell['threat_model'] == CLEAN}
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
        for method, names in report['methods'].items():
            points: dict[float, list[dict]] = {}
            for cell in cells:
                if cell['defense'] in names:
                    points.setdefault(cell['condition']['attack']['eps'], []).append(cell)
            if points and clean.keys() >= set(names):
                points[0] = [clean[name] for name in names]
            x = sorted(points)
            values = [[_number(percent(cell['metrics'][metric], metric)) for cell in points[eps]] for eps in x]
            if len(names) > 1:
                _add(curve, method, x, values)
            elif x:
                curve.lines[method] = (x, [value for (value,) in values])
                intervals = [points[eps][0]['scores']['interval'] for eps in x]
                if has_one_label(report['task']) and None not in intervals:
                    # The metric is the mean of the images' scores, and the intervals are those of this mean.
                    low, high = zip(*intervals)
                    curve.bands[method] = (list(low), list(high))
        curves.append(curve)
    return curves


def _number(value: Optional[float]) -> float:
    """NaN for a metric that is undefined, which leaves a gap in the line."""
    return float('nan') if value is None else value


def _add(curve: Curve, method: str, x: list, values: list[list[float]]) -> None:
    """Add a line of means, and a band if there are several values."""
    curve.lines[method] = (x, [mean(several) for several in values])
    if any(len(several) > 1 for several in values):
        curve.bands[method] = (list(map(min, values)), list(map(max, values)))


def amplification_curves(report: dict[str, Any]) -> list[Curve]:
    """The relative size of the perturbation at each layer (HGD), one figure for each attack, a line for each method."""
    curves: dict[str, Curve] = {}
    found: dict[tuple[str, str], list[list[float]]] = {}
    methods = {name: method for method, names in report['methods'].items() for name in names}
    for cell in report['cells']:
        sizes = [cell['amplification'].get(layer) for layer in report['layers']]
        if cell['condition']['attack'] is not None and sizes and None not in sizes:
            title = f'{cell["condition"]["name"]}, {cell["threat_model"]}'
            found.setdefault((title, methods[cell['defense']]), []).append(sizes)
    for (title, method), trainings in found.items():
        curve = curves.setdefault(title, Curve(title, ticks=report['layers']))
        _add(curve, method, list(range(len(report['layers']))), [list(sizes) for sizes in zip(*trainings)])
    return list(curves.values())
