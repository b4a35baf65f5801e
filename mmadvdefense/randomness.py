"""Random numbers that depend only on their seeds, so that a resumed run or another batch size repeats them."""

from __future__ import annotations

import hashlib
import random
from numbers import Integral
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.runner import Runner
from torch import Tensor

from .pixels import Pixels


def derive_seed(*parts: Union[int, str, tuple[int, ...]]) -> int:
    """A 63-bit seed from numbers and names; unlike with a sum, similar inputs give unrelated seeds."""
    # NumPy's integers have a repr of their own.
    parts = tuple(int(part) if isinstance(part, Integral) else part for part in parts)
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], 'big') >> 1


def image_identity(sample: Any) -> Optional[str]:
    """What identifies an image whatever the batch size and the number of ranks: its index in the data set, or its file
    name.

    Args:
        sample: a host's data sample, or None.

    Returns:
        None if the sample has neither.
    """
    if sample is None:
        return None
    known = sample.get('sample_idx', sample.get('img_path'))
    return None if known is None else Path(str(known)).name


def image_names(images: Pixels, samples: Optional[Sequence[Any]] = None) -> list[str]:
    """What identifies each image of a batch: :func:`image_identity`, or a digest of its pixels if it has none.

    Args:
        images: pixels, preferably where the data loader leaves them: an image is copied to main memory to be digested.
        samples: the host's data samples of these images; None if there are none.
    """
    known = [image_identity(sample) for sample in samples] if samples is not None else [None] * len(images)
    return [name or _digest(image) for name, image in zip(known, images)]


def image_seeds(seed: int, purpose: str, images: Pixels, samples: Optional[Sequence[Any]] = None) -> list[int]:
    """A seed for each image that depends neither on its batch nor on its place in it.

    Args:
        seed: of the run.
        purpose: what is drawn, such as ``'test'`` for attacks; draws for different purposes are unrelated.
        images: see :func:`image_names`.
        samples: see :func:`image_names`.
    """
    return [derive_seed(seed, purpose, name) for name in image_names(images, samples)]


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().float().cpu().numpy().tobytes()).hexdigest()


class Randomness:
    """A stream of random tensors.

    Args:
        seeds: one seed for the batch (drawn on the batch's own device), or one for each image, in which case
            an image's numbers do not depend on the batch it is in.
    """

    def __init__(self, seeds: Union[int, Sequence[int]]):
        self.seeds = seeds
        self._batch_generator: Optional[torch.Generator] = None
        self._generators: Optional[list[torch.Generator]] = None

    def of(self, index: int) -> Randomness:
        """The stream of one image of the batch; what is drawn from it will not be drawn from this one again."""
        return self.select([index])

    def select(self, index: Sequence[int]) -> Randomness:
        """The streams of some images of the batch; what is drawn from them will not be drawn from this one again."""
        if isinstance(self.seeds, int):
            return self
        part = Randomness([self.seeds[i] for i in index])
        generators = self._image_generators(self.seeds)
        part._generators = [generators[i] for i in index]
        return part

    def derive(self, *names: Union[int, str]) -> Randomness:
        """Separate streams that depend on these seeds and names, not on what was drawn before."""
        if isinstance(self.seeds, int):
            return Randomness(derive_seed(self.seeds, *names))
        return Randomness([derive_seed(seed, *names) for seed in self.seeds])

    def _image_generators(self, seeds: Sequence[int]) -> list[torch.Generator]:
        if self._generators is None:
            # On the CPU, so that every device sees the same numbers.
            self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return self._generators

    def _draw(self, like: Tensor, draw: Callable[..., Tensor]) -> Tensor:
        if isinstance(self.seeds, int):
            if self._batch_generator is None:
                self._batch_generator = torch.Generator(like.device).manual_seed(self.seeds)
            return draw(like.shape, generator=self._batch_generator, device=like.device, dtype=like.dtype)
        generators = self._image_generators(self.seeds)
        images = [draw(like.shape[1:], generator=generator, dtype=like.dtype) for generator in generators]
        return torch.stack(images).to(like.device)

    def uniform_like(self, like: Tensor) -> Tensor:
        """Uniform in [0, 1)."""
        return self._draw(like, torch.rand)

    def normal_like(self, like: Tensor) -> Tensor:
        """Standard normal."""
        return self._draw(like, torch.randn)

    def choice(self, number: int) -> int:
        """An integer below ``number`` for the whole batch, drawn without touching the device."""
        seeds = self.seeds if isinstance(self.seeds, int) else tuple(self.seeds)
        return derive_seed('choice', seeds) % number


def seed_epoch(runner: Runner) -> None:
    """Seed the generators that augmentation draws from, by epoch and rank."""
    seed = derive_seed(runner.seed, 'epoch', runner.epoch, get_rank()) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
