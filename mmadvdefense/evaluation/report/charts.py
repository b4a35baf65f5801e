"""Figures of a report: robustness against the budget, distributions, and error amplification, as SVG or PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Optional

import numpy as np

from ...errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (6.4, 3.8)  # inches


def line_figure(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    bands: Optional[Mapping[str, tuple[Sequence[float], Sequence[float]]]] = None,
    ticks: Optional[Sequence[str]] = None,
) -> Figure:
    """Named lines of ``(x, y)`` over one pair of axes.

    Args:
        lines: by the name that the legend shows.
        x_label, y_label: with their units.
        bands: for some lines the lower and upper ends of an interval.
        ticks: names of the positions 0, 1, ... on the x axis, such as layers.

    Raises:
        UsageError: if there is nothing to draw.
    """
    if not lines:
        raise UsageError('there is no line to draw')
    figure, axes = _axes(SIZE)
    for name, (x, y) in lines.items():
        (drawn,) = axes.plot(x, y, marker='o', markersize=4, label=name)
        if bands and name in bands:
            axes.fill_between(x, *bands[name], color=drawn.get_color(), alpha=0.15, linewidth=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks, rotation=30, ha='right', fontsize=8)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    return figure


def scatter_figure(
    places: Mapping[str, np.ndarray], labels: np.ndarray, classes: Optional[Sequence[str]] = None
) -> Figure:
    """One panel for each state, all at the same scale and coloured by class, as in Fig. 6 of Align.

    Args:
        places: ``(M, 2)`` by the name of the state.
        labels: ``(M,)`` class indices.
        classes: their names, for a legend of up to 20 classes.

    Raises:
        UsageError: if there is nothing to draw.
    """
    from matplotlib import colormaps

    if not places:
        raise UsageError('there is no state to draw')
    figure = _figure((3.0 * len(places), 3.3))
    every = np.concatenate(list(places.values()))
    low, high = every.min(0), every.max(0)
    margin = 0.04 * (high - low)
    present = np.unique(labels)
    colours = colormaps['tab10' if len(present) <= 10 else 'tab20']
    shade = np.searchsorted(present, labels) % colours.N
    for index, (name, at) in enumerate(places.items()):
        axes = figure.add_subplot(1, len(places), index + 1)
        axes.scatter(at[:, 0], at[:, 1], c=colours(shade), s=6, linewidths=0)
        axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=10)
    if classes and len(present) <= 20:
        marks = [_mark(colours(index % colours.N)) for index in range(len(present))]
        names = [classes[label] for label in present]
        figure.legend(marks, names, loc='lower center', ncols=min(10, len(present)), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.09 if classes else 0, 1, 1))
    return figure


def _mark(colour):
    from matplotlib.lines import Line2D

    return Line2D([], [], marker='o', linestyle='', markersize=5, color=colour)


def _axes(size: tuple[float, float]):
    figure = _figure(size)
    axes = figure.add_subplot()
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    return figure, axes


def _figure(size: tuple[float, float]) -> Figure:
    # Not pyplot: it keeps a global list of figures and may look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, facecolor='white', layout=None)
    FigureCanvasAgg(figure)
    return figure


def svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for an HTML page; the same figure gives the same text."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({'svg.hashsalt': 'mmadvdefense', 'svg.fonttype': 'none'}):
        figure.savefig(buffer, format='svg', bbox_inches='tight', metadata={'Date': None})
    text = buffer.getvalue()
    return text[text.index('<svg') :]


def png_data_url(figure: Figure, dpi: int = 100) -> str:
    """The figure as the ``src`` of an ``<img>``, for figures with too many points or pixels for SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi)
    return f'data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'
