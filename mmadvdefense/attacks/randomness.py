"""Random numbers that depend on nothing but their seeds, so that a resumed run or another batch size repeats them."""

from __future__ import annotations

import hashlib
from typing import Sequence, Union

import torch
from torch import Tensor


def derive_seed(*parts: Union[int, str]) -> int:
    """A 63-bit seed from numbers and names; unlike a sum of them, near inputs give unrelated seeds."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], 'big') >> 1


class Randomness:
    """A stream of random tensors.

    Args:
        seeds: one seed for the batch (drawn on the batch's own device), or one for each image, in which case
            an image's numbers do not depend on the batch it is in.
    """

    def __init__(self, seeds: Union[int, Sequence[int]]):
        self.seeds = seeds
        self._generators: Union[None, torch.Generator, list[torch.Generator]] = None

    def _draw(self, like: Tensor, draw) -> Tensor:
        if isinstance(self.seeds, int):
            if self._generators is None:
                self._generators = torch.Generator(like.device).manual_seed(self.seeds)
            return draw(like.shape, generator=self._generators, device=like.device, dtype=like.dtype)
        if self._generators is None:
            # On the CPU, so that every device sees the same numbers.
            self._generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        images = [draw(like.shape[1:], generator=generator, dtype=like.dtype) for generator in self._generators]
        return torch.stack(images).to(like.device)

    def uniform_like(self, like: Tensor) -> Tensor:
        """Uniform in [0, 1)."""
        return self._draw(like, torch.rand)

    def normal_like(self, like: Tensor) -> Tensor:
        """Standard normal."""
        return self._draw(like, torch.randn)

    def choice(self, number: int) -> int:
        """A whole number below ``number`` for the whole batch, drawn without touching the device."""
        seeds = self.seeds if isinstance(self.seeds, int) else tuple(self.seeds)
        return derive_seed('choice', seeds) % number
