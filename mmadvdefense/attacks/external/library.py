"""Adapts sources to other libraries, which expect a classifier of images in [0, 1]."""

from __future__ import annotations

import importlib
import random
from abc import abstractmethod
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar, Iterator, Optional

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import DependencyError, StateError, UsageError
from ...pixels import PIXEL_MAX
from ...randomness import derive_seed
from ..base import Attack
from ..batch import AttackBatch
from ..source import AttackSource


def import_library(name: str, user: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ImportError: if it is not installed; the message names the package and its use.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            f'{user} runs attacks of {name}, which cannot be imported ({error}): pip install mmadvdefense[attacks], '
            f'or pip install --no-deps {name}, which leaves the versions of its dependencies alone'
        ) from error


class UnitRangeClassifier(nn.Module):
    """A source as other libraries expect it: maps ``(M, 3, H, W)`` images in [0, 1] to ``(M, K)`` class scores.

    All inputs count as queries of the single image in :attr:`batch`.

    Attributes:
        batch: the image under attack; None between two images.
        num_classes: number of class scores.
    """

    def __init__(self, device: torch.device, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        # Libraries read the device from a parameter. The host is not a submodule, because they would change its mode.
        self.device_of = nn.Parameter(torch.empty(0, device=device), requires_grad=False)
        self.batch: Optional[AttackBatch] = None

    def forward(self, images: Tensor) -> Tensor:
        batch = self.batch
        if batch is None:
            raise StateError('class scores were requested while no image is under attack')
        batch.count(len(images))
        pixels = batch.guarded(images * PIXEL_MAX)
        return batch.source.logits(pixels, batch.randomness.select([0] * len(images)))


class LibraryAttack(Attack):
    """An attack of another library on classifiers, one image at a time.

    Libraries draw from the global state, so an image's random numbers would depend on its neighbours in the batch. Here
    each image has its own seed, and the global random states are restored afterwards.

    Raises:
        ImportError: if the library is not installed.
        ValueError: when run on anything but a classifier.
    """

    package: ClassVar[str]
    stochastic = True

    def __init__(self, eps: Optional[float], **options: Any):
        super().__init__(eps, **options)
        import_library(self.package, type(self).__name__)

    @abstractmethod
    def attack_image(self, model: UnitRangeClassifier, image: Tensor, label: Tensor, seed: int) -> Tensor:
        """An adversarial image.

        Args:
            model: the attacked model; the same object for all images of a batch.
            image: ``(1, 3, H, W)`` in [0, 1].
            label: ``(1,)``, the true class, or the target class of a targeted attack.
            seed: for generators that the library seeds itself; global generators have already been seeded with it.
        """

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        if not source.task.one_label:
            raise UsageError(
                f'{type(self).__name__}: the attacks of {self.package} take classifiers, but this is a model for '
                f'{source.task.name}'
            )

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        model = UnitRangeClassifier(batch.clean.device, class_count(batch.source))
        labels = batch.labels if batch.target is None else batch.target
        for index, (height, width) in enumerate(batch.layout.sizes):
            part = batch.select([index]).cropped()
            model.batch = part
            seed = library_seed(batch, index)
            with torch.enable_grad(), seeded_globals(seed, batch.clean.device):
                found = self.attack_image(model, part.clean / PIXEL_MAX, labels[index : index + 1], seed)
            adversarial[index, :, :height, :width] = found.detach()[0] * PIXEL_MAX
            batch.merge(part, [index])
        model.batch = None
        return adversarial


def class_count(source: AttackSource) -> int:
    """Number of classes that a source predicts, 0 if none."""
    return source.task.num_classes or 0


def library_seed(batch: AttackBatch, index: int) -> int:
    """The library's seed for one image of a batch."""
    seeds = batch.randomness.derive('library').seeds
    return derive_seed(seeds, index) if isinstance(seeds, int) else seeds[index]


@contextmanager
def seeded_globals(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch, and restore them afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
