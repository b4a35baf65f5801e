"""How a patch appears in an image: moved, scaled, turned, and brighter or darker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX
from ..batch import AttackBatch
from .placement import Boxes, random_corner


@dataclass
class Pose:
    """How the patch of each image appears.

    Attributes:
        center: ``(N, 2)``, row and column in pixels from the corner of the image.
        sides: ``(N, 2)``, height and width in pixels.
        angle: ``(N,)``, in radians.
        brightness: ``(N,)``, the factor of its values.
    """

    center: Tensor
    sides: Tensor
    angle: Tensor
    brightness: Tensor

    @classmethod
    def upright(cls, boxes: Boxes) -> Pose:
        """Filling boxes, unchanged otherwise."""
        zero = boxes.sides.new_zeros(len(boxes.sides))
        return cls(boxes.center, boxes.sides, zero, zero + 1)


def paste(source: Tensor, boxes: Boxes, pose: Pose, images: Tensor) -> Tensor:
    """Draw the content of a box in each source image over other images; bilinear and differentiable.

    Args:
        source: ``(N, 3, h, w)`` pixels 0-255.
        boxes: where in ``source`` the content is.
        pose: where and how it appears in ``images``. A pixel belongs to it if its center does.
        images: ``(N, 3, H, W)`` pixels 0-255.

    Returns:
        ``(N, 3, H, W)``, equal to ``images`` outside the pasted content.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device) + 0.5 - pose.center[:, :1]
    columns = torch.arange(width, device=images.device) + 0.5 - pose.center[:, 1:]
    rows, columns = rows[:, :, None], columns[:, None, :]
    cos, sin = pose.angle.cos()[:, None, None], pose.angle.sin()[:, None, None]
    # Every pixel in the frame of the content, whose sides go from -1/2 to 1/2.
    down = (cos * rows + sin * columns) / pose.sides[:, 0, None, None]
    across = (cos * columns - sin * rows) / pose.sides[:, 1, None, None]
    inside = (down.abs() <= 0.5) & (across.abs() <= 0.5)
    grid = torch.stack(
        [_coordinate(across, boxes, 1, source.shape[-1]), _coordinate(down, boxes, 0, source.shape[-2])], -1
    )
    content = F.grid_sample(source, grid, 'bilinear', padding_mode='border', align_corners=False)
    content = (content * pose.brightness[:, None, None, None]).clamp(0, PIXEL_MAX)
    return content.where(inside[:, None], images)


def _coordinate(position: Tensor, boxes: Boxes, axis: int, length: int) -> Tensor:
    """Rows or columns of the source for positions in the frame of the content, as ``grid_sample`` takes them."""
    corner, side = boxes.corner[:, axis, None, None], boxes.sides[:, axis, None, None]
    # Not beyond the centers of the outermost pixels, so that nothing outside the box is mixed in.
    inside = ((position + 0.5) * side).clamp(min=0.5).minimum(side - 0.5)
    return 2 * (corner + inside) / length - 1


class RandomPoses:
    """The distribution of poses over which an attack averages (EOT, Athalye et al., ICML 2018).

    Args:
        owner: name of the attack, for messages.
        moves: whether the patch appears anywhere in the image, instead of around its own place.
        scales: the smallest and the largest factor of its sides.
        rotation: the largest angle in degrees, in either direction.
        brightness: the largest relative change of its values, in either direction, in [0, 1).

    Raises:
        ValueError: for a value out of range.
    """

    def __init__(
        self, owner: str, moves: bool, scales: Sequence[float] = (1.0, 1.0), rotation: float = 0, brightness: float = 0
    ):
        if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
            raise UsageError(f'{owner}: scales must be the smallest and the largest factor, above 0, got {scales}')
        if not 0 <= rotation <= 180:
            raise UsageError(f'{owner}: rotation is the largest angle in degrees, from 0 to 180; got {rotation}')
        if not 0 <= brightness < 1:
            raise UsageError(f'{owner}: brightness is the largest relative change, in [0, 1); got {brightness}')
        self.moves = moves
        self.scales = (float(scales[0]), float(scales[1]))
        self.rotation = math.radians(rotation)
        self.brightness = float(brightness)

    @property
    def vary(self) -> bool:
        """Whether there is more than one pose."""
        return self.moves or self.scales != (1.0, 1.0) or bool(self.rotation or self.brightness)

    def draw(self, boxes: Boxes, batch: AttackBatch) -> Pose:
        """A pose for each image, with the batch's random numbers."""
        draws = batch.randomness.uniform_like(boxes.sides.new_empty(len(batch), 5))
        scale, angle, brightness, place = draws.split([1, 1, 1, 2], 1)
        smallest, largest = self.scales
        sides = boxes.sides * (smallest + (largest - smallest) * scale)
        angle = self.rotation * (2 * angle - 1)
        center = boxes.center
        if self.moves:
            extent = sides * angle.cos().abs() + sides.flip(1) * angle.sin().abs()
            frame = torch.tensor(batch.layout.sizes).to(sides, non_blocking=True)
            # What is larger than the image is cut off at its lower and right edge.
            center = random_corner(place, (frame - extent).clamp(min=0)) + extent / 2
        return Pose(center, sides, angle.squeeze(1), 1 + self.brightness * (2 * brightness.squeeze(1) - 1))


@dataclass
class PatchInOtherPoses:
    """Shows the patches of a batch in other poses, each drawn anew, over the clean images.

    Attributes:
        poses: what is drawn.
        boxes: where the patches are.
    """

    poses: RandomPoses
    boxes: Boxes

    def __call__(self, images: Tensor, batch: AttackBatch) -> Tensor:
        return paste(images, self.boxes, self.poses.draw(self.boxes, batch), batch.clean)
