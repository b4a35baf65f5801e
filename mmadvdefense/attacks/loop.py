"""The one loop that every gradient attack runs: raw pixels in, raw pixels out, inside a norm ball."""

from __future__ import annotations

from typing import Optional, Sequence, Union

import torch
from torch import Tensor

from ..pixels import Layout, Pixels, check_channels, stack, unstack, valid_mask
from .balls import BALLS
from .objectives import AttackBatch, build_objective
from .randomness import Randomness
from .source import AttackSource, CleanReference
from .targets import TARGETS


class GradientAttack:
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
        if eps is None or not eps >= 0:
            raise ValueError(f'{name}: eps is a radius in pixels (0-255) and must be >= 0, got {eps}')
        if steps is None or steps < 1 or int(steps) != steps:
            raise ValueError(f'{name}: steps must be a whole number >= 1, got {steps}')
        if step_size is None or not step_size > 0:
            raise ValueError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
        if norm not in BALLS:
            raise ValueError(f'{name}: unknown norm {norm!r}; known: {", ".join(BALLS)}')
        targeted = 'random' if targeted is True else targeted
        if targeted and targeted not in TARGETS:
            raise ValueError(f'{name}: unknown choice of target {targeted!r}; known: {", ".join(TARGETS)}')
        self.objective = build_objective(objective)
        if targeted and not self.objective.targetable:
            raise ValueError(f'{name}: the objective {objective!r} has no targeted form')
        self.eps = float(eps)
        self.step_size = float(step_size)
        self.steps = int(steps)
        self.norm = norm
        self.targeted = targeted
        self.ball = BALLS[norm](self.eps)

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        """Where the first gradient is taken, ``(N, 3, H, W)``; projected into the ball by the caller."""
        return clean

    def direction(self, gradient: Tensor, state: dict) -> Tensor:
        """The step of unit size for this gradient, which is zero on padding.

        ``state`` is kept from step to step of one batch. Its ``'mask'`` is 1 on real pixels and 0 on padding, or None
        where nothing is padded.
        """
        return self.ball.steepest(gradient)

    def _start(self, clean: Tensor, layout: Layout, randomness: Randomness) -> Tensor:
        if layout.is_uniform:
            return self.start(clean, randomness)
        # One by one: neither an image's random numbers nor its norm may depend on how far its neighbours pad it.
        starts = [
            self.start(image[None], randomness.of(index))[0] for index, image in enumerate(unstack(clean, layout))
        ]
        return stack(starts)[0]

    def __call__(
        self,
        source: AttackSource,
        images: Pixels,
        data_samples: Sequence,
        randomness: Randomness,
        reference: Optional[CleanReference] = None,
    ) -> Pixels:
        """Adversarial images in the layout of ``images``.

        Args:
            source: the model whose gradients are used; it is left exactly as it was.
            images: float pixels 0-255 on the source's device, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            data_samples: the host's data samples; not changed.
            randomness: where random starts and targets come from.
            reference: the source's output on ``images`` if the caller has it already.

        Raises:
            ValueError: for images that have not three channels.
        """
        check_channels(images, [sample.get('img_path') or f'image {i}' for i, sample in enumerate(data_samples)])
        clean, layout = stack(images)
        clean = clean.detach()
        mask = valid_mask(layout, clean)
        with source.undisturbed():
            samples = source.prepare_samples(images, data_samples)
            reference = reference or CleanReference(source, images)
            batch = AttackBatch(source, samples, reference, randomness)
            if self.targeted:
                batch.target = TARGETS[self.targeted](reference.logits, batch.labels, randomness)
            start = self._start(clean, layout, randomness)
            adversarial = start if start is clean else self.ball.project(start, clean)
            state: dict = {'mask': mask}
            for _ in range(self.steps):
                adversarial = adversarial.detach().requires_grad_()
                with torch.enable_grad():
                    value = self.objective(unstack(adversarial, layout), batch)
                    (gradient,) = torch.autograd.grad(value, adversarial)
                step = self.direction(gradient, state)
                if mask is not None:
                    step = step * mask
                adversarial = self.ball.project(adversarial.detach().add(step, alpha=self.step_size), clean)
        return unstack(adversarial, layout)
