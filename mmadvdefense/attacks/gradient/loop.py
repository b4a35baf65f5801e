"""The loop shared by all gradient attacks inside a norm ball."""

from __future__ import annotations

import copy
from functools import reduce
from typing import Any, Callable, ClassVar, Iterable, Optional, Sequence, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import stack
from ...randomness import Randomness
from ...validation import check_integer
from ..balls import BALLS, Ball
from ..base import Attack
from ..batch import AttackBatch, Climb
from ..ensemble import views
from ..objectives import build_objective
from ..source import AttackSource
from ..targets import top_wrong_targets
from .diversity import InputDiversity
from .smoothing import gaussian_kernel, smooth
from .strongest import strongest_run


class GradientAttack(Attack):
    """Steepest ascent of an objective, projected back into the ball after each step.

    ``x_{t+1} = project(x_t + step_size * steepest(gradient_t))``. All options can be combined. A subclass sets
    defaults, or overrides the start (:meth:`start`) or the use of the gradient (:meth:`direction`).

    Args:
        eps: radius of the ball in pixels (0-255); 8 corresponds to 8/255 in the literature.
        step_size: pixels (L-infinity) or length (L2) of one step.
        steps: the number of steps.
        norm: ``'linf'`` or ``'l2'``.
        objective: the objective to maximize: ``'cross_entropy'``, ``'kl'``, ``'task_loss'`` or a config; for
            detectors also ``'vanish'``, ``'fabricate'``, ``'mislabel'`` and others of
            :mod:`mmadvdefense.attacks.objectives`.
        targeted: False, or how the target class is chosen: ``'random'``, ``'least_likely'`` or ``'top_wrong'``.
        num_targets: with ``'top_wrong'``: attack towards each of this many classes (or all wrong ones if there are
            fewer), and keep the image that is strongest on the source, as
            :class:`Strongest` defines it. If the tested model is not the source, this is weaker than AutoAttack's
            protocol: see :class:`~mmadvdefense.attacks.worst_of.EachTarget`.
        step_sizes: one size per step, instead of ``step_size`` and ``steps``, e.g. decaying ones (HGD, appendix D).
        random_start: ``'uniform'`` in the ball, ``'normal'`` around the clean image, or None.
        start_std: standard deviation of the normal start in pixels; by default 0.001 * 255 as in TRADES.
        momentum: decay of the sum of past gradients, each divided by its L1 norm (Dong et al., CVPR 2018, equation 6,
            with 1); None for the gradient alone.
        kernel_size: side of the Gaussian kernel that smooths the gradient (Dong et al., CVPR 2019); None disables
            smoothing.
        kernel_sigma: its standard deviation in pixels, a fifth of the side by default.
        diversity: probability that an image is resized at a step, see
            :class:`~mmadvdefense.attacks.gradient.diversity.InputDiversity` (Xie et al., CVPR 2019); 0 disables it.
        diversity_scales: the smallest and the largest resizing factor.
        restarts: number of runs with different random numbers; the strongest image is kept. The first run equals the
            attack without restarts.

    Raises:
        ValueError: for an invalid or missing value, an unknown name, or restarts of a deterministic attack.
    """

    supports_eot = True
    needs_ball = True
    eps: float
    # Attributes of a subclass that are lengths in pixels, too.
    lengths: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        norm: str = 'linf',
        objective: Union[str, dict[str, Any]] = 'cross_entropy',
        targeted: Union[bool, str] = False,
        num_targets: int = 1,
        step_sizes: Optional[Sequence[float]] = None,
        random_start: Optional[str] = None,
        start_std: float = 0.001 * 255,
        momentum: Optional[float] = None,
        kernel_size: Optional[int] = None,
        kernel_sigma: Optional[float] = None,
        diversity: float = 0.0,
        diversity_scales: Sequence[float] = (0.9, 1.0),
        restarts: int = 1,
    ):
        name = type(self).__name__
        super().__init__(eps, norm, targeted)
        self.step_sizes: Sequence[Union[float, Tensor]] = step_list(name, step_size, steps, step_sizes)
        self.step_size, self.steps = self.step_sizes[0], len(self.step_sizes)
        self.objective = build_objective(objective)
        self.targeted = self.targeted or self.objective.default_target or False
        if self.targeted and not self.objective.targetable:
            raise UsageError(f'{name}: the objective {objective!r} has no targeted form')
        self.num_targets = num_targets
        self.random_start = random_start
        self.start_std = start_std
        self.momentum = momentum
        self.kernel_size = kernel_size
        self.kernel_sigma = kernel_sigma or (kernel_size or 0) / 5
        # What the model sees of the images at a step.
        self.diversity: Optional[Callable[[Tensor, AttackBatch], Tensor]] = None
        if diversity:
            self.diversity = InputDiversity(diversity, diversity_scales)
        self.restarts = restarts
        draws = type(self).stochastic or bool(random_start or self.diversity)
        self.stochastic = draws or self.targeted == 'random' or self.objective.stochastic
        check_options(self, draws)

    @property
    def needs_labels(self) -> bool:
        # The choice of the strongest restart depends on whether the source is fooled.
        return self.objective.needs_labels or bool(self.targeted) or self.restarts > 1

    def details(self) -> list[str]:
        counts = ((self.num_targets, 'targets'), (self.restarts, 'restarts'))
        smoothed = [f'gradient smoothed over {self.kernel_size} pixels'] if (self.kernel_size or 0) > 1 else []
        return [*super().details(), *smoothed, *(f'{count} {what}' for count, what in counts if count > 1)]

    def scaled(self, share: float) -> GradientAttack:
        attack = copy.copy(self)
        for name in ('eps', 'step_size', *self.lengths):
            setattr(attack, name, share * getattr(self, name))
        attack.ball = BALLS[self.norm](attack.eps)
        attack.step_sizes = tuple(share * size for size in self.step_sizes)
        return attack

    def check_source(self, source: AttackSource) -> None:
        super().check_source(source)
        self.objective.check_task(type(self).__name__, source.task)

    def start(self, clean: Tensor, randomness: Randomness) -> Tensor:
        """The starting point ``(N, 3, H, W)``; projected into the ball by the caller."""
        if self.random_start == 'uniform':
            return clean + self.ball.random_delta(clean, randomness)
        if self.random_start == 'normal':
            return clean + self.start_std * randomness.normal_like(clean)
        return clean

    def direction(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """The unit step for this gradient, which is zero on padding.

        ``state`` persists over the steps of one batch. Its ``'mask'`` is 1 on real pixels and 0 on padding, or None
        without padding.
        """
        return self.ball.steepest(self.processed(gradient, state))

    def processed(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """The gradient after smoothing and momentum; the arguments are those of :meth:`direction`."""
        if self.kernel_size is not None:
            if 'kernel' not in state:
                state['kernel'] = gaussian_kernel(self.kernel_size, self.kernel_sigma, gradient)
            gradient = smooth(gradient, state['kernel'], state['mask'])
        if self.momentum is not None:
            tiny = torch.finfo(gradient.dtype).tiny
            gradient = gradient / gradient.flatten(1).norm(1, 1).clamp(min=tiny).view(-1, 1, 1, 1)
            if 'momentum' in state:
                gradient = gradient.add(state['momentum'], alpha=self.momentum)
            state['momentum'] = gradient
        return gradient

    def gradient(self, images: Tensor, batch: AttackBatch) -> Tensor:
        """The gradient of the objective at ``images``, summed over samples of a random defense (EOT)."""
        return reduce(torch.add, (self._one_gradient(images, batch) for _ in range(batch.source.eot_samples)))

    def _one_gradient(self, images: Tensor, batch: AttackBatch) -> Tensor:
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            seen = images if self.diversity is None else self.diversity(images, batch)
            value = self.objective(batch.pixels(seen), batch)
            (gradient,) = torch.autograd.grad(value, images)
        # Kept until the next step: if everything is freed at once, the heap is returned to the system, and reallocating
        # it in every step takes a tenth of the run time on a CPU.
        batch.last_value = value
        return gradient

    def perturb(self, batch: AttackBatch) -> Tensor:
        targets: Sequence[Optional[Tensor]] = [batch.target]
        if self.num_targets > 1:
            scores = batch.target_scores
            classes = batch.source.task.target_classes(scores)
            targets = list(top_wrong_targets(scores, batch.labels, self.num_targets, classes))
        applies = self.objective.applies(batch)
        if len(targets) * self.restarts == 1:
            adversarial = self._ascend(batch)
        else:
            adversarial = strongest_run(self._ascend, self.objective, batch, targets, self.restarts)
        return adversarial if applies is None else adversarial.where(applies.view(-1, 1, 1, 1), batch.clean)

    def _ascend(self, batch: AttackBatch) -> Tensor:
        clean = batch.clean
        start = self._start(batch)
        project = self.ball.projection(clean)
        # A start may belong to someone else, and the clean images are inside anyway.
        adversarial = start if start is clean else project(start.clone())
        state: dict[str, Any] = {'mask': batch.mask}
        seen_by = views(batch, self.objective)
        climb = Climb(seen_by)
        for done, step_size in enumerate(self.step_sizes):
            note_progress(done / self.steps, seen_by)
            gradient = reduce(torch.add, (self.gradient(adversarial, view) for view in seen_by))
            climb.step()
            step = self.direction(gradient, state)
            if batch.mask is not None:
                step = step * batch.mask
            adversarial = project(step_along(adversarial, step, step_size))
        note_progress(1.0, (batch, *seen_by))
        batch.note_rise(climb.rise if self.objective.rises else None)
        # A choice that an objective made for the batch also applies to the other runs.
        batch._choice = seen_by[0]._choice
        return adversarial

    def _start(self, batch: AttackBatch) -> Tensor:
        if batch.layout.is_uniform:
            return self.start(batch.clean, batch.randomness)
        # One by one, because neither an image's random numbers nor its norm may depend on its padding.
        starts = [
            self._with(self.ball.of(index)).start(image[None], batch.randomness.of(index))[0]
            for index, image in enumerate(batch.pixels(batch.clean))
        ]
        return stack(starts)[0]

    def _with(self, ball: Ball) -> GradientAttack:
        """A copy of the attack with another ball."""
        attack = copy.copy(self)
        attack.ball = ball
        return attack


def note_progress(progress: float, views: Iterable[AttackBatch]) -> None:
    """Note on all views of a batch the share of the steps that are done, for objectives that depend on it."""
    for view in views:
        view.progress = progress


def step_along(images: Tensor, direction: Tensor, size: Union[float, Tensor]) -> Tensor:
    """Move images by ``size`` along a unit direction; a tensor ``(N, 1, 1, 1)`` holds one size per image."""
    return images + size * direction if isinstance(size, Tensor) else images.add(direction, alpha=size)


def step_list(
    name: str, step_size: Optional[float], steps: Optional[int], step_sizes: Optional[Sequence[float]]
) -> tuple[float, ...]:
    """The size of each step, from either way of specifying it.

    Raises:
        ValueError: for a missing or non-positive value, or if both are given; prefixed with ``name``.
    """
    if step_sizes is not None:
        if step_size is not None or steps is not None:
            raise UsageError(f'{name}: step_sizes replaces step_size and steps; omit those')
        if not step_sizes or not all(size > 0 for size in step_sizes):
            raise UsageError(f'{name}: step_sizes are in pixels (0-255) and must be > 0, got {step_sizes}')
        return tuple(float(size) for size in step_sizes)
    if steps is None or step_size is None:
        missing = [word for word, value in (('steps', steps), ('step_size', step_size)) if value is None]
        raise UsageError(f'{name}: give {" and ".join(missing)}, such as steps=10 and step_size=2 (pixels, 0-255)')
    check_integer(name, steps=steps)
    if not step_size > 0:
        raise UsageError(f'{name}: step_size is in pixels (0-255) and must be > 0, got {step_size}')
    return (float(step_size),) * int(steps)


def check_options(attack: GradientAttack, draws: bool) -> None:
    """Raise a ``ValueError`` for options that are out of range or without effect.

    Args:
        attack: with all its options set.
        draws: whether anything but the target is drawn at random.
    """
    name = type(attack).__name__
    if attack.random_start not in ('uniform', 'normal', None):
        raise UsageError(f"{name}: random_start must be 'uniform', 'normal' or None, got {attack.random_start!r}")
    if attack.kernel_size is not None and (attack.kernel_size < 1 or attack.kernel_size % 2 == 0):
        raise UsageError(f'{name}: kernel_size must be odd, got {attack.kernel_size}')
    if attack.momentum is not None and not attack.momentum >= 0:
        raise UsageError(f'{name}: momentum must be >= 0, got {attack.momentum}')
    check_integer(name, restarts=attack.restarts, num_targets=attack.num_targets)
    if attack.num_targets > 1 and attack.targeted != 'top_wrong':
        raise UsageError(f"{name}: num_targets needs targeted='top_wrong', got {attack.targeted!r}")
    if attack.restarts > 1 and not draws:
        raise UsageError(
            f'{name}: all restarts would be the same, since nothing is drawn at random; '
            "set random_start='uniform' or diversity=0.5"
        )
