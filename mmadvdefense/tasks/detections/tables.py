"""Boxes of all images of a batch in one table, so that nothing loops over images or boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Sequence

import torch
from torch import Tensor

from ..boxes import as_tensor


@dataclass(frozen=True)
class BoxTable:
    """The boxes of N images, image after image, P in all.

    Attributes:
        boxes: ``(P, 4)``, corners in pixels of the input.
        labels: ``(P,)``, classes.
        image: ``(P,)``, which image each box is in.
        counts: the number of boxes of each image.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor
    counts: tuple[int, ...]

    @cached_property
    def number(self) -> Tensor:
        """``(N,)``, :attr:`counts` as a tensor."""
        return torch.tensor(self.counts, device=self.image.device)

    def per_image(self, values: Tensor) -> Tensor:
        """Sums ``(N,)`` over the boxes of each image of ``values``, ``(P,)``."""
        return values.new_zeros(len(self.counts)).index_add(0, self.image, values)


@dataclass(frozen=True)
class ScoredBoxes(BoxTable):
    """Boxes that a detector predicts.

    Attributes:
        scores: ``(P,)`` in 0-1.
    """

    scores: Tensor

    def best_scores(self) -> Tensor:
        """The largest score of each image, ``(N,)``, 0 for images without boxes."""
        scores = self.scores.detach()
        return scores.new_zeros(len(self.counts)).scatter_reduce(0, self.image, scores, 'amax')


def table_of(boxes: Sequence[Any], labels: Sequence[Tensor]) -> BoxTable:
    """The table of boxes ``(P_i, 4)`` and labels ``(P_i,)`` of each image."""
    corners = torch.cat([as_tensor(own).reshape(-1, 4).float() for own in boxes])
    counts = tuple(len(own) for own in labels)
    # Filled on the device, so that nothing is copied there.
    image = [own.new_full((len(own),), index, dtype=torch.long) for index, own in enumerate(labels)]
    return BoxTable(corners, torch.cat(list(labels)).long(), torch.cat(image), counts)


def objects_of(data_samples: Sequence[Any], device: torch.device) -> BoxTable:
    """The ground truth of data samples."""
    truth = [sample.gt_instances for sample in data_samples]
    boxes = [as_tensor(one.bboxes).to(device) for one in truth]
    return table_of(boxes, [one.labels.to(device) for one in truth])


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes ``(..., 4)`` that broadcast with each other; 0 for boxes without an area."""
    sides = torch.minimum(boxes[..., 2:], others[..., 2:]) - torch.maximum(boxes[..., :2], others[..., :2])
    common = sides.clamp(min=0).prod(-1)
    areas = [(own[..., 2:] - own[..., :2]).clamp(min=0).prod(-1) for own in (boxes, others)]
    return common / (areas[0] + areas[1] - common).clamp(min=torch.finfo(common.dtype).tiny)


def nearest_objects(table: BoxTable, objects: BoxTable, overlap: float) -> tuple[Tensor, Tensor]:
    """The object of the same image that each box overlaps most.

    Args:
        table: P boxes.
        objects: G boxes of the same images.
        overlap: the least IoU at which a box belongs to an object.

    Returns:
        ``(P,)`` indices of objects, 0 where there is none, and whether there is one, ``(P,)`` bool.
    """
    most = max(objects.counts, default=0)
    if not most:
        none = torch.zeros_like(table.image)
        return none, none.bool()
    # The objects of each image side by side: memory grows with the largest number in one image, not with the batch.
    first = objects.number.cumsum(0) - objects.number
    place = torch.arange(most, device=table.image.device)
    index = (first[:, None] + place).clamp(max=len(objects.boxes) - 1)[table.image]
    with torch.no_grad():
        there = place < objects.number[table.image][:, None]
        overlaps = iou(table.boxes[:, None], objects.boxes[index]).where(there, -1.0)
        best, which = overlaps.max(1)
    near = best >= overlap
    return index.gather(1, which[:, None]).squeeze(1).where(near, 0), near
