"""An attack run several times, of which each image keeps the strongest result."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterator, Optional, Sequence

import torch
from torch import Tensor

from ...errors import StateError
from ..batch import AttackBatch
from ..criteria import misleads_all_sources
from ..ensemble import views
from ..objectives import Objective


def strongest_run(
    attack: Callable[[AttackBatch], Tensor],
    objective: Objective,
    batch: AttackBatch,
    targets: Sequence[Optional[Tensor]],
    restarts: int,
) -> Tensor:
    """The images that :class:`Strongest` keeps of an attack on each target with each restart, ``(N, 3, H, W)``.

    The first run is the attack by itself. The others draw other numbers, which depend on an image's seed and the run's
    number alone. Queries are counted, and the batch's target becomes the one that each image was moved towards.
    """
    strongest = Strongest(objective)
    for run in _runs(batch, targets, restarts):
        strongest.offer(attack(run), run)
        batch.queries += run.queries
        batch.nonfinite += run.nonfinite
    batch.target = strongest.target
    return strongest.images


def _runs(batch: AttackBatch, targets: Sequence[Optional[Tensor]], restarts: int) -> Iterator[AttackBatch]:
    run = batch
    for number in range(restarts * len(targets)):
        randomness = batch.randomness.derive('run', number) if number else batch.randomness
        # Each is made from the one before, so that what was chosen once for the batch stays chosen.
        run = replace(run, randomness=randomness, target=targets[number % len(targets)])
        yield run


class Strongest:
    """Keeps the strongest of several perturbations of each image.

    For classification an image that misleads all source models (into its target class, if it has one) beats one that
    does not; among these, and for dense tasks, the higher value of the objective wins. Against a random defense both
    are means over samples of the defense. Of equals, the first stays.

    Args:
        objective: what the attack maximized.

    Attributes:
        images: ``(N, 3, H, W)``.
        target: the target class of each image that is kept, None if untargeted.
    """

    def __init__(self, objective: Objective):
        self.objective = objective
        self.target: Optional[Tensor] = None
        self._images: Optional[Tensor] = None

    @property
    def images(self) -> Tensor:
        if self._images is None:
            raise StateError('no perturbation has been offered yet')
        return self._images

    def offer(self, images: Tensor, batch: AttackBatch) -> None:
        """Compare with what is kept; two queries per image and sample of the defense, one for dense tasks."""
        success, value = self._strength(images, batch)
        if self._images is None:
            self._images, self.target, self._success, self._value = images, batch.target, success, value
            return
        better = (success > self._success) | ((success == self._success) & (value > self._value))
        self._images = images.where(_like(better, images), self._images)
        self._success, self._value = success.where(better, self._success), value.where(better, self._value)
        if batch.target is not None and self.target is not None and batch.target is not self.target:
            self.target = batch.target.where(_like(better, batch.target), self.target)

    def _strength(self, images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor]:
        pixels = batch.pixels(images)
        success = value = torch.zeros(len(images), device=images.device)
        for _ in range(batch.source.eot_samples):
            for view in views(batch, self.objective):
                value = value + self.objective.values(pixels, view)
            if batch.source.task.one_label:
                success = success + misleads_all_sources(images, batch)
        # NaN would never be beaten.
        return success, value.where(~value.isnan(), -torch.inf)


def _like(flags: Tensor, other: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (other.ndim - 1))
