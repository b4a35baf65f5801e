"""Certifies the images of a data set one by one, so that an interrupted run goes on where it was."""

from __future__ import annotations

import time
from typing import Any, Optional, Sequence

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from ...errors import UsageError
from ...randomness import image_identity
from ...tasks import annotations_in_input_frame, check_frame
from ...threats.checks import check_num_classes
from .countdown import Countdown
from .row_file import RowFile
from .smoothed import ABSTAIN, Certificate, PixelCertificate, SmoothedModel


def certify_images(
    smoothed: SmoothedModel,
    dataset: Any,
    indices: Sequence[int],
    rows: RowFile,
    title: str,
    skip_wrong: bool = False,
    console: Optional[Console] = None,
) -> None:
    """Certify the images that have no row yet.

    They come in a random order, the same every time, so that a part of them stands for all.

    Args:
        smoothed: the model.
        dataset: whose items are ``dict(inputs=..., data_samples=...)``.
        indices: of the images in it.
        rows: gain a row an image.
        title: for the lines of progress.
        skip_wrong: for classifiers, do not estimate a probability where the selected class is not the true one.
        console: for progress; by default the standard output.

    Raises:
        UsageError: for images without ground truth, or that are not raw pixels.
    """
    task = smoothed.votes.task
    check_num_classes(task.model, dataset)
    if task.dense:
        check_frame(dataset)
    progress = Countdown(title, len(indices), sum(index in rows.rows for index in indices), console)
    for position in np.random.default_rng(0).permutation(len(indices)):
        index = int(indices[position])
        if index in rows.rows:
            continue
        start = time.perf_counter()
        row = certify_item(smoothed, dataset, index, skip_wrong)
        rows.append({**row, 'seconds': round(time.perf_counter() - start, 3)})
        progress.advance()


def certify_item(smoothed: SmoothedModel, dataset: Any, index: int, skip_wrong: bool = False) -> dict[str, Any]:
    """The row of one image, JSON-plain; radii are in pixels."""
    item = dataset[index]
    image, sample = item['inputs'], item['data_samples']
    if not isinstance(image, Tensor):
        raise UsageError('certification takes one view of an image: leave test-time augmentation out of the pipeline')
    task = smoothed.votes.task
    moved = task.in_input_frame([sample], annotations_in_input_frame(dataset))
    truth = task.labels(moved, torch.device('cpu'))[0]
    row = {'index': index, 'image': image_identity(sample) or str(index)}
    if smoothed.votes.per_pixel:
        return {**row, **_pixel_row(smoothed.certify_pixels(image, sample), truth, task.ignore_index, task.num_classes)}
    label = int(truth)
    return {**row, **_image_row(smoothed.certify(image, sample, label if skip_wrong else None), label)}


def _image_row(certificate: Certificate, label: int) -> dict[str, Any]:
    return {
        'label': label,
        'predicted': certificate.label,
        'radius': certificate.radius,
        'probability': certificate.probability,
        'selected': certificate.selected,
        'votes': certificate.votes,
    }


def _pixel_row(
    certificate: PixelCertificate, truth: Tensor, ignore_index: Optional[int], num_classes: Optional[int]
) -> dict[str, Any]:
    known = torch.ones_like(truth, dtype=torch.bool) if ignore_index is None else truth.ne(ignore_index)
    said, true = certificate.labels[known], truth[known]
    certain = said != ABSTAIN

    def count(labels: Tensor) -> list[int]:
        return torch.bincount(labels, minlength=num_classes or 0).tolist()

    return {
        'radius': certificate.radius,
        'abstained': certificate.abstained,
        'labelled': int(known.sum()),
        'correct': int((said == true).sum()),
        'wrong': int((certain & (said != true)).sum()),
        # By class: both agree, the truth, and what was certain.
        'both': count(true[said == true]),
        'true': count(true),
        'said': count(said[certain]),
    }
