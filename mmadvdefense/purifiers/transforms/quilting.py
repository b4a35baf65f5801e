"""Image quilting: images assembled from patches of clean ones."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX, Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly
from .patches import PatchDatabase, nearest
from .seams import join


@MODELS.register_module()
class QuiltingPurifier(RandomPurifier):
    """Replaces each patch of a regular grid by a similar patch of a clean image, and joins overlapping patches where
    they differ least (Guo et al., "Countering Adversarial Images using Input Transformations", ICLR 2018).

    The cut between two neighbours is Efros and Freeman's: rows of patches are joined first, then the rows. Not
    differentiable. The database is searched on the images' device and is not part of checkpoints.

    Args:
        patches: a file written by ``tools/build_patches.py``, or a :class:`PatchDatabase`.
        neighbours: number of nearest patches to draw from; 1 always takes the nearest and is deterministic.
        overlap: overlap of neighbouring patches in pixels, 0 to half their side; by default half, rounded down.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: without patches, for more ``neighbours`` than patches, for a bad ``overlap``, or if the channel
            order is unknown.
        FileNotFoundError: if the file does not exist.
    """

    differentiable = False

    def __init__(
        self,
        patches: Optional[Union[str, PatchDatabase]] = None,
        neighbours: int = 1,
        overlap: Optional[int] = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if patches is None:
            raise UsageError(
                'QuiltingPurifier needs patches of clean images: '
                "make them with tools/build_patches.py CONFIG patches.pth, and set patches='patches.pth'"
            )
        self._require_channel_order('QuiltingPurifier')
        database = patches if isinstance(patches, PatchDatabase) else PatchDatabase.load(patches)
        number, _, self.patch_size, _ = database.patches.shape
        if neighbours not in range(1, number + 1):
            raise UsageError(
                f'QuiltingPurifier: neighbours must be an integer from 1 to the number of patches, {number}, '
                f'got {neighbours}'
            )
        overlap = self.patch_size // 2 if overlap is None else overlap
        if overlap not in range(self.patch_size // 2 + 1):
            raise UsageError(
                f'QuiltingPurifier: overlap must be an integer from 0 to half the patch size {self.patch_size}, '
                f'got {overlap}'
            )
        self.neighbours = int(neighbours)
        self.overlap = int(overlap)
        # Centred at zero, where distances are numerically more accurate.
        vectors = database.vectors(self.channel_order) - PIXEL_MAX / 2
        self.register_buffer('vectors', vectors, persistent=False)

    @property
    def stochastic(self) -> bool:
        return self.neighbours > 1

    @torch.no_grad()
    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return map_by_size_randomly(self._quilt, images, randomness)

    def _quilt(self, images: Tensor, randomness: Randomness) -> Tensor:
        size, step = self.patch_size, self.patch_size - self.overlap
        height, width = images.shape[2:]
        padded = _repeat_border(images, *(_covered(side, size, step) for side in (height, width)))
        # (N, 3, rows, columns, p, p)
        grid = padded.unfold(2, size, step).unfold(3, size, step)
        chosen = self._replace(grid.permute(0, 2, 3, 1, 4, 5), randomness)
        strips = join(chosen.flatten(0, 1).transpose(0, 1), self.overlap)
        # (N * rows, 3, p, W) to (rows, N, 3, W, p): the same from top to bottom.
        stacked = strips.unflatten(0, chosen.shape[:2]).transpose(0, 1).transpose(-1, -2)
        return join(stacked, self.overlap).transpose(-1, -2)[..., :height, :width]

    def _replace(self, grid: Tensor, randomness: Randomness) -> Tensor:
        """Replace patches ``(N, rows, columns, 3, p, p)`` with patches of the database."""
        indices = nearest(grid.reshape(-1, self.vectors.shape[1]) - PIXEL_MAX / 2, self.vectors, self.neighbours)
        if self.stochastic:
            chance = randomness.uniform_like(grid[..., 0, 0, 0])
            indices = indices.gather(1, (chance.flatten()[:, None] * self.neighbours).long())
        return (self.vectors[indices[:, 0]] + PIXEL_MAX / 2).view(grid.shape)


def _covered(side: int, size: int, step: int) -> int:
    """The smallest length, at least ``side``, that patches of ``size`` at a stride of ``step`` cover exactly."""
    return size + max(0, -(-(side - size) // step)) * step


def _repeat_border(images: Tensor, height: int, width: int) -> Tensor:
    pad = (0, width - images.shape[3], 0, height - images.shape[2])
    return torch.nn.functional.pad(images, pad, mode='replicate') if any(pad) else images
