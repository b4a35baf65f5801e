"""Example images of a grid as pictures: before and after attack and purifier, with the model's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...tasks import has_one_label
from ..results import CLEAN, Result
from .charts import png_data_url
from .example_pictures import Caption, draw_picture
from .examples import STATES, Examples


def example_sheets(report: dict[str, Any], cells: Sequence[tuple[str, Result, Path]]) -> dict[str, str]:
    """One ``<img>`` for every threat model and defense with a purifier, of the first attack that has examples.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`.
        cells: threat model, result with its samples, and the file of its examples.
    """
    at = {(threat, cell.condition.name, cell.defense): cell for threat, cell, _ in cells}
    bare = next((name for name, defense in report['defenses'].items() if defense['purifier'] is None), None)
    sheets: dict[str, str] = {}
    shown: set[tuple[str, str]] = set()
    for threat, cell, path in cells:
        if threat == CLEAN or not cell.purifier or (threat, cell.defense) in shown or not path.exists():
            continue
        shown.add((threat, cell.defense))
        # The predictions of the unprotected model on clean and attacked images, if the grid has them.
        seen_by = {
            'clean': at.get((CLEAN, CLEAN, bare)) if bare else None,
            'adversarial': at.get((threat, cell.condition.name, bare)) if bare else None,
            'purified': cell,
        }
        element = _sheet(report, path, {state: seen for state, seen in seen_by.items() if seen is not None})
        sheets[f'{cell.defense}, {threat}, {cell.condition.name}'] = element
    return sheets


def _sheet(report: dict[str, Any], path: Path, seen_by: dict[str, Result]) -> str:
    with np.load(path) as arrays:
        indices = sorted({int(key.partition('/')[0]) for key in arrays.files})
        clean, adversarial, purified = (
            [torch.from_numpy(arrays[f'{index}/{state}']).float() for index in indices] for state in STATES
        )
    captions = {
        state: [_caption(report, cell.samples, index) for index in indices]
        for state, cell in seen_by.items()
        if cell.samples is not None
    }
    figure = draw_picture(
        Examples(clean, adversarial, purified), captions, channel_order=report['data']['channel_order']
    )
    return f'<img alt="clean, adversarial and purified images" src="{png_data_url(figure)}">'


def _caption(report: dict[str, Any], samples: dict[str, list], index: int) -> Caption:
    score, right = samples['score'][index], samples['correct'][index]
    if has_one_label(report['task']) and samples['decision'][index] is not None:
        text = report['data']['classes'][int(samples['decision'][index])]
    else:
        text = '-' if score is None else f'{100 * score:.0f} %'
    return Caption(text, right if right is None else bool(right))
