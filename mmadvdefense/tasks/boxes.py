"""Ground-truth boxes of MMDetection's data samples: which are visible, where they are in the input, their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .frames import input_matrix
from .moving import move_boxes, move_masks


def is_annotated(sample: Any) -> bool:
    """Whether a data sample has ground-truth boxes, maybe zero of them: whether the pipeline loaded annotations."""
    return 'gt_instances' in sample and 'bboxes' in sample.gt_instances


def as_tensor(boxes: Any) -> Tensor:
    """Boxes as ``(M, 4)`` corners, from a tensor or one of MMDetection's box types."""
    return getattr(boxes, 'tensor', boxes)


def is_visible(sample: Any) -> Tensor:
    """Whether each box of a data sample has an area inside the image, ``(M,)`` bool."""
    if not is_annotated(sample):
        return torch.ones(0, dtype=torch.bool)
    boxes = as_tensor(sample.gt_instances.bboxes)
    height, width = sample.img_shape[:2]
    return _clip(boxes, boxes.new_tensor([width, height]).repeat(2))[2]


def move_to_input_frame(sample: Any) -> None:
    """Move boxes and masks of a data sample, ignored ones included, from the frame of the file to that of the input.

    Raises:
        ValueError: from :func:`~mmadvdefense.tasks.frames.input_matrix`.
    """
    matrix = input_matrix(sample, sample.ori_shape[:2])
    for instances in (sample.get('gt_instances'), sample.get('ignored_instances')):
        if instances is None:
            continue
        if 'bboxes' in instances:
            instances.bboxes = move_boxes(instances.bboxes, matrix)
        if 'masks' in instances:
            instances.masks = move_masks(instances.masks, matrix, tuple(sample.img_shape[:2]))


def box_features(features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
    """Mean of a feature map inside each ground-truth box.

    Args:
        features: ``(N, L, h, w)``.
        data_samples: of the N images, prepared for the model.

    Returns:
        ``(M, L)`` vectors of all boxes, image after image, and whether each has an area inside the map, ``(M,)`` bool.
    """
    from mmcv.ops import roi_align

    device = features.device
    boxes = [as_tensor(sample.gt_instances.bboxes).to(features) for sample in data_samples]
    image = torch.repeat_interleave(
        torch.arange(len(boxes), device=device),
        torch.tensor([len(own) for own in boxes], device=device),
        output_size=sum(len(own) for own in boxes),
    )
    height, width = data_samples[0].batch_input_shape
    scale = features.new_tensor([features.shape[-1] / width, features.shape[-2] / height]).repeat(2)
    limit = features.new_tensor([features.shape[-1], features.shape[-2]]).repeat(2)
    first, second, has_area = _clip(torch.cat(boxes) * scale, limit)
    # RoIAlign stops at corners in the wrong order.
    rois = torch.cat([image[:, None].to(features.dtype), first, torch.maximum(first, second)], 1)
    return roi_align(features, rois, (1, 1), 1.0, 0, 'avg', True).flatten(1), has_area


def _clip(boxes: Tensor, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First and second corners ``(M, 2)`` of boxes cut off at an image's edge, and whether an area is left ``(M,)``."""
    first, second = torch.minimum(boxes.clamp(min=0), limit).split(2, 1)
    return first, second, (second > first).all(1)
