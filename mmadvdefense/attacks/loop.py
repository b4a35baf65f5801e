"""The one loop that every gradient attack runs, inside a norm ball."""

from __future__ import annotations

from typing import Optional, Union

import torch
from torch import Tensor

from ..pixels import stack
from ..randomness import Randomness
from .base import Attack
from .batch import AttackBatch
from .objectives import build_objective


class GradientAttack(Attack):
    """Steepest ascent of an objective, projected back into the ball after each step.

    ``x_{t+1} = project(x_t + step_size * steepest(gradient_t))``. A subclass states its start
    (:meth:`start`), what it does with the gradient (:meth:`direction`), or only its defaults.

    Args:
        eps: radius of the ball in pixels (0-255); 8 is the literature's 8/255.
        step_size: pixels (L-infinity) or length (L2) of one step.
        steps: how many.
        norm: ``'linf'`` or ``'l2'``.
        objective: what is maximised: ``'cross_entropy'``, ``'kl'``, ``'task_loss'`` or a config.
        targeted: False, or how the target class is chosen: ``'random'`` or ``'least_likely'``.

    Raises:
        ValueError: for a negative ``eps``, a missing or non-positive ``step_size`` or ``steps``, or an unknown name.
    """

    averages_draws = True

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        norm: str = 'linf',
        objective: Union[str, dict] = 'cross_entropy',
        targeted: Union[bool, str] = False,
    ):
        name = type(self).__name__
        if eps is None:
            raise ValueError(f'{name}: eps is a radius in pixels (0-255) and must be >= 0, got None')
        super().__init__(eps, norm, targeted)
        if steps is None or steps < 1 or int(steps) != steps:
            raise ValueError(f'{name}: steps must be a whole number >= 1, got {steps}')
        if step_size is None or not step_size > 0:
            raise ValueError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        self.objective = build_objective(objective)
        if self.targeted and not self.objective.targetable:
            raise ValueError(f'{name}: the objective {objective!r} has no targeted form')
        self.step_size = float(step_size)
        self.steps = int(steps)

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        """Where the first gradient is taken, ``(N, 3, H, W)``; projected into the ball by the caller."""
        return clean

    def direction(self, gradient: Tensor, state: dict) -> Tensor:
        """The step of unit size for this gradient, which is zero on padding.

        ``state`` is kept from step to step of one batch. Its ``'mask'`` is 1 on real pixels and 0 on padding, or None
        where nothing is padded.
        """
        return self.ball.steepest(gradient)

    def _start(self, batch: AttackBatch) -> Tensor:
        if batch.layout.is_uniform:
            return self.start(batch.clean, batch.randomness)
        # One by one: neither an image's random numbers nor its norm may depend on how far its neighbours pad it.
        starts = [
            self.start(image[None], batch.randomness.of(index))[0]
            for index, image in enumerate(batch.pixels(batch.clean))
        ]
        return stack(starts)[0]

    def gradient(self, images: Tensor, batch: AttackBatch) -> Tensor:
        """Of the objective, at ``images``; averaged over the draws of a random defence (EOT)."""
        total = None
        for _ in range(batch.source.draws):
            images = images.detach().requires_grad_()
            with torch.enable_grad():
                value = self.objective(batch.pixels(images), batch)
                (gradient,) = torch.autograd.grad(value, images)
            total = gradient if total is None else total + gradient
        return total

    def perturb(self, batch: AttackBatch) -> Tensor:
        clean = batch.clean
        start = self._start(batch)
        adversarial = start if start is clean else self.ball.project(start, clean)
        state: dict = {'mask': batch.mask}
        for _ in range(self.steps):
            step = self.direction(self.gradient(adversarial, batch), state)
            if batch.mask is not None:
                step = step * batch.mask
            adversarial = self.ball.project(adversarial.add(step, alpha=self.step_size), clean)
        return adversarial
