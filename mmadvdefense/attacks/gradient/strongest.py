"""Repeated runs of an attack, keeping the strongest result for each image."""

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
    """Run an attack for each target and restart, and return the images that :class:`Strongest` keeps, ``(N, 3, H, W)``.

    The first run equals a single attack. The others draw different random numbers, which depend only on the image's
    seed and the run's index. Queries are counted, and the batch's target is set to the target of each kept image.
    """
    strongest = Strongest(objective)
    for run in _runs(batch, targets, restarts):
        strongest.offer(attack(run), run)
        batch.absorb(run)
    batch.target = strongest.target
    return strongest.images


def _runs(batch: AttackBatch, targets: Sequence[Optional[Tensor]], restarts: int) -> Iterator[AttackBatch]:
    run = batch
    for number in range(restarts * len(targets)):
        randomness = batch.randomness.derive('run', number) if number else batch.randomness
        # Each run is derived from the previous one, so that choices made for the batch persist.
        run = replace(run, randomness=randomness, target=targets[number % len(targets)])
        yield run


class Strongest:
    """Keeps the strongest of several perturbations of each image.

    For classification, an image that fools all source models (into the target class, if any) beats one that does not;
    ties, and dense tasks, are decided by the objective's
    :meth:`~mmadvdefense.attacks.objectives.Objective.strength`. Against a random defense both criteria are means over
    samples of the defense. The first of equals is kept.

    Args:
        objective: what the attack maximized.

    Attributes:
        images: ``(N, 3, H, W)``.
        target: the target class of each kept image, None if untargeted.
    """

    def __init__(self, objective: Objective):
        self.objective = objective
        self.target: Optional[Tensor] = None
        self._images: Optional[Tensor] = None

    @property
    def images(self) -> Tensor:
        if self._images is None:
            raise StateError('call offer() first: there is no perturbation yet')
        return self._images

    def offer(self, images: Tensor, batch: AttackBatch) -> None:
        """Keep images that are stronger; costs two queries per image and sample of the defense, one for dense tasks."""
        success, value = self._strength(images, batch)
        if self._images is None:
            self._images, self.target, self._success, self._value = images, batch.target, success, value
            return
        better = (success > self._success) | ((success == self._success) & (value > self._value))
        self._images = images.where(_like(better, images), self._images)
        self._success, self._value = success.where(better, self._success), value.where(better, self._value)
        if batch.target is not None and self.target is not None and batch.target is not self.target:
            # A detector has a target for each object.
            counts = torch.tensor(batch.source.task.label_counts(batch.samples), device=better.device)
            better = better.repeat_interleave(counts, output_size=len(batch.target))
            self.target = batch.target.where(_like(better, batch.target), self.target)

    def _strength(self, images: Tensor, batch: AttackBatch) -> tuple[Tensor, Tensor]:
        pixels = batch.pixels(images)
        success = value = torch.zeros(len(images), device=images.device)
        for _ in range(batch.source.eot_samples):
            for view in views(batch, self.objective):
                value = value + self.objective.strength(pixels, view)
            if batch.source.task.one_label:
                success = success + misleads_all_sources(images, batch)
        # NaN would never be replaced.
        return success, value.where(~value.isnan(), -torch.inf)


def _like(flags: Tensor, other: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (other.ndim - 1))
