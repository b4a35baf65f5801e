"""Which images an attack has changed: those on which the model decides otherwise than on the clean image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ....tasks import has_one_label
from ...results import CLEAN, Result

# Of one attack on one defense; all are in samples.csv.
SHOWN = 20


@dataclass(frozen=True)
class ChangedImage:
    """One image.

    Attributes:
        name: its file name, or its index.
        link: the way to its file from the page; None if there is none.
        before, after: what the model says of the clean image and of the adversarial one.
        size: the largest change of a pixel, 0-255.
    """

    name: str
    link: Optional[str]
    before: str
    after: str
    size: str


@dataclass(frozen=True)
class ChangedImages:
    """Those of one attack on one defense.

    Attributes:
        anchor: their place on the page.
        threat, attack, defense: what has changed them.
        total: how many there are.
        images: the first of them.
        picture: the place of the picture that shows some images of this attack; None if there is none.
    """

    anchor: str
    threat: str
    attack: str
    defense: str
    total: int
    images: list[ChangedImage]
    picture: Optional[str]

    @property
    def title(self) -> str:
        return f'{self.defense}, {self.threat}, {self.attack}'


def changed_images(
    report: Mapping[str, Any], cells: Sequence[tuple[str, Result]], pictures: Mapping[str, str], folder: Path
) -> list[ChangedImages]:
    """The images that each attack has changed.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`.
        cells: threat model and result, with its samples.
        pictures: those of the page, by heading; the first has the place ``picture-1``.
        folder: of the page.
    """
    clean = {result.defense: result.samples for threat, result in cells if threat == CLEAN and result.samples}
    places = {heading: f'picture-{number}' for number, heading in enumerate(pictures, 1)}
    found: list[ChangedImages] = []
    for threat, result in cells:
        samples, before = result.samples, clean.get(result.defense)
        indices = [index for index, changed in enumerate((samples or {}).get('changed') or []) if changed]
        if not indices or samples is None or before is None:
            continue
        rows = [_image(report, samples, before, index, folder) for index in indices[:SHOWN]]
        attack, place = result.condition.name, f'changed-{len(found) + 1}'
        picture = places.get(f'{result.defense}, {threat}, {attack}')
        found.append(ChangedImages(place, threat, attack, result.defense, len(indices), rows, picture))
    return found


def _image(
    report: Mapping[str, Any], samples: Mapping[str, list], before: Mapping[str, list], index: int, folder: Path
) -> ChangedImage:
    path = Path(samples['image'][index])
    link = Path(os.path.relpath(path, folder)).as_posix() if path.is_file() else None
    first, second = (_decision(report, own, index) for own in (before, samples))
    return ChangedImage(path.name, link, first, second, f'{samples["linf"][index]:.2f}')


def _decision(report: Mapping[str, Any], samples: Mapping[str, list], index: int) -> str:
    """The predicted class, or else whether the image is correct; ticked or crossed."""
    correct, decision = samples['correct'][index], samples['decision'][index]
    mark = {True: '✓', False: '✗', None: ''}[correct]
    if not has_one_label(report['task']) or decision is None:
        return f'{100 * samples["score"][index]:.0f} % {mark}' if samples['score'][index] is not None else '-'
    return f'{report["data"]["classes"][int(decision)]} {mark}'
