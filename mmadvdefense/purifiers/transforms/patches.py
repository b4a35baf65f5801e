"""Patches of clean images: drawing them from a data set, keeping them in a file, finding the nearest ones."""

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
# How many distances are computed at once.
BLOCK = 2**24


@dataclass(frozen=True)
class PatchDatabase:
    """Square patches.

    Attributes:
        patches: ``(M, 3, p, p)``, 8 bits.
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
        """Patches at random places of clean images.

        Args:
            batches: pixels 0-255, e.g. the ``inputs`` of a data loader.
            channel_order: of these images, ``'bgr'`` or ``'rgb'``.
            per_image: how many are taken of each image.
            patch_size: their side in pixels.
            seed: of the places.

        Raises:
            ValueError: for an unknown ``channel_order``, no image at all, or one that is smaller than a patch.
        """
        if channel_order not in ('bgr', 'rgb'):
            raise UsageError(f"channel_order is 'bgr' or 'rgb', how the images were loaded; got {channel_order!r}")
        generator = torch.Generator().manual_seed(seed)
        patches = [_draw(image, per_image, patch_size, generator) for images in batches for image in images]
        if not patches:
            raise UsageError('a patch database needs images, and there are none')
        return cls(torch.cat(patches), channel_order)

    def save(self, path: Union[str, Path]) -> None:
        """Write a file that :meth:`load` reads; it is there completely or not at all."""
        save_tensors(path, FORMAT, {'patches': self.patches, 'channel_order': self.channel_order})

    @classmethod
    def load(cls, path: Union[str, Path]) -> PatchDatabase:
        """Read a file of :meth:`save`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is something else.
        """
        content = load_tensors(path, FORMAT, 'patch database', 'tools/build_patches.py CONFIG OUT')
        return cls(content['patches'], content['channel_order'])

    def vectors(self, channel_order: Optional[str] = None) -> Tensor:
        """``(M, 3 * p * p)`` float, with channels in this order."""
        flipped = channel_order not in (None, self.channel_order)
        return (self.patches.flip(1) if flipped else self.patches).flatten(1).float()


def _draw(image: Tensor, number: int, size: int, generator: torch.Generator) -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) < size:
        raise UsageError(f'an image of {height} x {width} pixels has no patch of {size} x {size}')
    rows = torch.randint(height - size + 1, (number,), generator=generator)
    columns = torch.randint(width - size + 1, (number,), generator=generator)
    windows = image.unfold(1, size, 1).unfold(2, size, 1)
    return round_to_8bit(windows[:, rows, columns].transpose(0, 1).float()).to(torch.uint8)


def nearest(queries: Tensor, vectors: Tensor, number: int = 1) -> Tensor:
    """Indices of the nearest vectors in squared distance, ``(Q, number)``, nearest first, of two the lower index first.

    Args:
        queries: ``(Q, D)``.
        vectors: ``(M, D)``; all are compared, because in so many dimensions a search tree is slower.
        number: how many for each query, at most ``M``.
    """
    length = vectors.square().sum(1)
    # A matrix product is fast, but so inexact that it may confuse near ones: a few more, compared exactly.
    several = min(number + 8, len(vectors))
    found = []
    for part in queries.split(max(1, BLOCK // len(vectors))):
        rough = torch.addmm(length, part, vectors.T, alpha=-2)
        candidates = rough.topk(several, largest=False).indices.sort(dim=1).values
        exact = (part[:, None] - vectors[candidates]).square().sum(-1)
        found.append(candidates.gather(1, exact.sort(dim=1, stable=True).indices[:, :number]))
    return torch.cat(found)
