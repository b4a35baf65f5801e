"""Certified accuracy against the radius, from the rows of single images."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import numpy as np

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ..statistics import bootstrap_interval

Row = Mapping[str, Any]
# For images in 0-1, as papers state them.
_RADII = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)
_CURVE_POINTS = 41


def table_radii(largest: float, radii: Optional[Sequence[float]] = None) -> list[float]:
    """The radii of the table, for images in 0-1.

    Args:
        largest: the largest radius that can be certified, in pixels.
        radii: others than the usual ones.

    Raises:
        UsageError: for a negative one.
    """
    if radii is None:
        return [radius for radius in _RADII if radius * PIXEL_MAX <= largest] or [0.0]
    if not radii or min(radii) < 0:
        raise UsageError(f'radii are L2 norms for images in 0-1, at least 0; got {list(radii)}')
    return sorted(set(radii))


def certified_flags(rows: Sequence[Row], radius: float) -> list[bool]:
    """Whether each image is certified for its true class within an L2 radius in pixels."""
    # A radius computed from the same numbers may differ in the last bit.
    return [row['predicted'] == row['label'] and row['radius'] >= radius * (1 - 1e-9) for row in rows]


def image_summary(rows: Sequence[Row], radii: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Certified accuracy and abstentions of a classifier.

    Args:
        rows: of images, at least one.
        radii: for images in 0-1.
        seed: of the intervals.

    Returns:
        ``images``, ``abstained`` (per cent), ``average_radius`` (Zhai et al., ICLR 2020, in which wrong images count as
        0; for images in 0-1) and, for each radius, ``accuracy`` with the 95 % ``interval`` of its mean over images.
    """
    flags = {radius: certified_flags(rows, radius * PIXEL_MAX) for radius in radii}
    return {
        'images': len(rows),
        'abstained': _percent([row['predicted'] is None for row in rows]),
        'average_radius': float(np.mean([row['radius'] * right for row, right in zip(rows, certified_flags(rows, 0))]))
        / PIXEL_MAX,
        'certified': [
            {
                'radius': radius,
                'radius_pixels': radius * PIXEL_MAX,
                'accuracy': _percent(own),
                'interval': [100 * end for end in bootstrap_interval([float(flag) for flag in own], seed)],
            }
            for radius, own in flags.items()
        ],
    }


def pixel_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """What share of a data set's pixels is certified, at the one radius that there is.

    Returns:
        ``images``; in per cent the mean over images of the share of pixels without a class, ``abstained``; of the
        labelled pixels of all images those that are certain and right, ``accuracy``, and certain but ``wrong``; and the
        ``mean_iou`` over the classes in the ground truth, in which a pixel without a class is a miss.
    """
    labelled = sum(row['labelled'] for row in rows)
    both, true, said = (np.sum([row[name] for row in rows], axis=0, dtype=float) for name in ('both', 'true', 'said'))
    present = true > 0
    overlap = both[present] / (true + said - both)[present]
    return {
        'images': len(rows),
        'abstained': 100 * float(np.mean([row['abstained'] for row in rows])),
        'radius': rows[0]['radius'] / PIXEL_MAX,
        'radius_pixels': rows[0]['radius'],
        'accuracy': 100 * sum(row['correct'] for row in rows) / labelled if labelled else None,
        'wrong': 100 * sum(row['wrong'] for row in rows) / labelled if labelled else None,
        'mean_iou': 100 * float(np.mean(overlap)) if present.any() else None,
    }


def curve(rows: Sequence[Row], largest: float) -> tuple[list[float], list[float]]:
    """Certified accuracy in per cent at evenly spaced radii, for images in 0-1.

    Args:
        rows: of images.
        largest: the largest radius in pixels.
    """
    radii = np.linspace(0, largest, _CURVE_POINTS)
    return [float(radius) / PIXEL_MAX for radius in radii], [_percent(certified_flags(rows, r)) for r in radii]


def steps(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Every radius in pixels at which the certified accuracy falls, and its value in per cent up to there."""
    radii = sorted(row['radius'] for row, right in zip(rows, certified_flags(rows, 0)) if right)
    return [(radius, 100 * (len(radii) - below) / len(rows)) for below, radius in enumerate(radii)]


def _percent(flags: Sequence[bool]) -> float:
    return 100 * float(np.mean(flags))
