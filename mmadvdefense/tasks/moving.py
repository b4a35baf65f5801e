"""Moves boxes and masks from the frame of the file into that of the input, by the matrix between the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .frames import is_axis_aligned


def move_boxes(boxes: Any, matrix: np.ndarray) -> Any:
    """Boxes ``(M, 4)`` as corners, a tensor or one of MMDetection's types, moved by a matrix ``(3, 3)``."""
    tensor = getattr(boxes, 'tensor', boxes)
    if is_axis_aligned(matrix) and tensor.shape[-1] == 4:
        scale, shift = (tensor.new_tensor(part).repeat(2) for part in (np.diag(matrix)[:2], matrix[:2, 2]))
        moved = tensor * scale + shift
        # A flip makes the first corner the second.
        order = [axis + 2 * int(matrix[axis, axis] < 0) for axis in (0, 1)]
        moved = moved[..., [*order, *(2 * axis + 2 - order[axis] for axis in (0, 1))]]
        if tensor is boxes:
            return moved
        boxes = boxes.clone()
        boxes.tensor = moved
        return boxes
    boxes = boxes.clone()
    boxes.project_(matrix)
    return boxes


def move_masks(masks: Any, matrix: np.ndarray, size: Sequence[int]) -> Any:
    """MMDetection's masks, bitmaps or polygons, in an input of ``size`` (height, width)."""
    if isinstance(masks.masks, np.ndarray):
        moved = move_map(torch.from_numpy(masks.masks), matrix, size, fill=0)
        return type(masks)(moved.numpy(), *size)

    def move(polygon: np.ndarray) -> np.ndarray:
        points = np.column_stack([polygon.reshape(-1, 2), np.ones(len(polygon) // 2)]) @ matrix.T
        return (points[:, :2] / points[:, 2:]).reshape(-1).astype(polygon.dtype)

    return type(masks)([[move(polygon) for polygon in polygons] for polygons in masks.masks], *size)


def move_map(maps: Tensor, matrix: np.ndarray, size: Sequence[int], fill: int) -> Tensor:
    """Maps of labels ``(C, h, w)`` in an input of ``size`` (height, width), by nearest neighbour.

    Args:
        maps: labels in the frame of the file.
        matrix: ``(3, 3)``, from there into the input.
        size: of the input.
        fill: the label of pixels that are not in the file.
    """
    moved = maps.new_full((len(maps), *size), fill)
    if not maps.numel():
        return moved
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in size)
    if is_axis_aligned(matrix):
        return _resampled(maps, matrix, moved)
    centres = torch.stack(
        [(columns + 0.5).expand(*size), (rows + 0.5)[:, None].expand(*size), torch.ones(*size, dtype=torch.float64)], -1
    )
    places = centres @ torch.from_numpy(np.linalg.inv(matrix)).T
    x, y = (places[..., :2] / places[..., 2:]).floor().long().unbind(-1)
    inside = (x >= 0) & (x < maps.shape[2]) & (y >= 0) & (y < maps.shape[1])
    moved[:, inside] = maps[:, y[inside], x[inside]]
    return moved


def _resampled(maps: Tensor, matrix: np.ndarray, canvas: Tensor) -> Tensor:
    """Resized, flipped and put in place as the hosts do it, so that every pixel is the same."""
    height, width = (max(round(abs(matrix[axis, axis]) * maps.shape[2 - axis]), 1) for axis in (1, 0))
    resized = F.interpolate(maps[None].double(), (height, width), mode='nearest')[0].to(maps.dtype)
    mirrored = [2 - axis for axis in (0, 1) if matrix[axis, axis] < 0]
    resized = resized.flip(mirrored) if mirrored else resized
    left, top = (round(matrix[axis, 2] + min(matrix[axis, axis] * maps.shape[2 - axis], 0)) for axis in (0, 1))
    resized = resized[:, max(-top, 0) :, max(-left, 0) :]
    target = canvas[:, max(top, 0) :, max(left, 0) :]
    height, width = (min(ours, theirs) for ours, theirs in zip(resized.shape[1:], target.shape[1:]))
    target[:, :height, :width] = resized[:, :height, :width]
    return canvas
