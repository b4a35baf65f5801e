"""Patches of clean images: sampling them from a data set, storing them in a file, and nearest-neighbour search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels, round_to_8bit
from ...saving import load_tensors, save_tensors

FORMAT = 'mmadvdefense patches'
# Number of distances computed at once.
BLOCK = 2**24


@dataclass(frozen=True)
class PatchDatabase:
    """A set of square image patches.

    Attributes:
        patches: ``(M, 3, p, p)``, uint8.
        channel_order: ``'bgr'`` or ``'rgb'``.
    """

    patches: Tensor
    channel_order: str

    @classmethod
    def draw(
        cls,
        batches: Iterable[Pixels],
        channel_order: str,
        per_image: int = 10,
        patch_size: int = 5,
        seed: int = 0,
    ) -> PatchDatabase:
        """Sample patches at random positions of clean images.

        Args:
            batches: pixels 0-255, e.g. the ``inputs`` of a data loader.
            channel_order: channel order of these images, ``'bgr'`` or ``'rgb'``.
            per_image: number of patches per image.
            patch_size: side of a patch in pixels.
            seed: seed of the positions.

        Raises:
            ValueError: for an unknown ``channel_order``, no images, or an image smaller than a patch.
        """
        if channel_order not in ('bgr', 'rgb'):
            raise UsageError(f"channel_order must be 'bgr' or 'rgb', as the images were loaded; got {channel_order!r}")
        generator = torch.Generator().manual_seed(seed)
        patches = [_draw(image, per_image, patch_size, generator) for images in batches for image in images]
        if not patches:
            raise UsageError('a patch database needs images, but got none')
        return cls(torch.cat(patches), channel_order)

    def save(self, path: Union[str, Path]) -> None:
        """Write a file that :meth:`load` reads, atomically."""
        save_tensors(path, FORMAT, {'patches': self.patches, 'channel_order': self.channel_order})

    @classmethod
    def load(cls, path: Union[str, Path]) -> PatchDatabase:
        """Read a file written by :meth:`save`.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if the file is not a patch database.
        """
        content = load_tensors(path, FORMAT, 'patch database', 'tools/build_patches.py CONFIG OUT')
        return cls(content['patches'], content['channel_order'])

    def vectors(self, channel_order: Optional[str] = None) -> Tensor:
        """``(M, 3 * p * p)`` float, with the channels in the given order."""
        flipped = channel_order not in (None, self.channel_order)
        return (self.patches.flip(1) if flipped else self.patches).flatten(1).float()


def _draw(image: Tensor, number: int, size: int, generator: torch.Generator) -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) < size:
        raise UsageError(f'an image of {height} x {width} pixels is too small for patches of {size} x {size}')
    rows = torch.randint(height - size + 1, (number,), generator=generator)
    columns = torch.randint(width - size + 1, (number,), generator=generator)
    windows = image.unfold(1, size, 1).unfold(2, size, 1)
    return round_to_8bit(windows[:, rows, columns].transpose(0, 1).float()).to(torch.uint8)


def nearest(queries: Tensor, vectors: Tensor, number: int = 1) -> Tensor:
    """Indices of the nearest vectors in squared distance, ``(Q, number)``, nearest first; ties go to the lower index.

    Args:
        queries: ``(Q, D)``.
        vectors: ``(M, D)``; searched exhaustively, because a search tree is slower in so many dimensions.
        number: number of neighbours per query, at most ``M``.
    """
    length = vectors.square().sum(1)
    # Distances by matrix product are fast but inexact: preselect a few more candidates, then compare exactly.
    several = min(number + 8, len(vectors))
    found = []
    for part in queries.split(max(1, BLOCK // len(vectors))):
        rough = torch.addmm(length, part, vectors.T, alpha=-2)
        candidates = rough.topk(several, largest=False).indices.sort(dim=1).values
        exact = (part[:, None] - vectors[candidates]).square().sum(-1)
        found.append(candidates.gather(1, exact.sort(dim=1, stable=True).indices[:, :number]))
    return torch.cat(found)
