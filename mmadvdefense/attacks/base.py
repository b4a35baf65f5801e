"""Base class of all attacks: raw pixels in, raw pixels out, with counts of queries and non-finite values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Iterable, Optional, Sequence, Union

import torch
from torch import Tensor

from ..errors import UsageError
from ..pixels import PIXEL_MAX, Pixels, check_channels, stack, unstack
from ..randomness import Randomness
from ..registry import ATTACKS, OBJECTIVES, build_as_configured, find_class, named_types, type_name
from ..validation import did_you_mean
from .balls import BALLS, Ball
from .batch import AttackBatch
from .finite import known_finite
from .source import AttackSource, CleanReference
from .targets import check_target_class, target_choice


@dataclass
class AttackResult:
    """The result of an attack on a batch.

    Attributes:
        images: the adversarial images, in the layout of the clean ones; always finite.
        queries: ``(N,)``, the number of queries for each image.
        nonfinite: ``(N,)``, number of gradients, scores and results per image that were NaN or infinite and were
            replaced; if above 0, the attack may be weaker than it appears.
        rise: ``(N,)``, by how much the attack's objective rose at most above its value at the start; NaN where that is
            unknown: of one step, without an objective, or where success does not raise it.
    """

    images: Pixels
    queries: Tensor
    nonfinite: Tensor
    rise: Tensor


class Attack(ABC):
    """Perturbs images so that a source model errs.

    A subclass implements :meth:`perturb`; this class handles everything that attacks share: layouts, ground truth,
    target classes, the model's state, and a final projection, which guarantees finite images inside the ball and the
    pixel range.

    Attributes:
        access: what the attack needs from the model: ``'gradients'``, ``'scores'``, ``'decisions'`` or ``'nothing'``.
        needs_ball: whether ``eps`` is required.
        norms: the norms that its budget can be in; ``'area'`` is the share of the image that it changes.
        supports_eot: whether it can average its gradient over samples of a random defense (EOT).
        stochastic: whether its result depends on the seed.
        undoes_failures: whether images on which it does not succeed stay as they are.
        adversarial: whether it means harm; what nature does runs under the threat model ``'natural'`` alone.
        revision: raised when its images change under the same settings, so that no cache returns those of before.

    Args:
        eps: radius of the ball in pixels (0-255); 8 corresponds to 8/255 in the literature. None for minimum-norm
            attacks, which have no ball.
        norm: ``'linf'`` or ``'l2'``.
        targeted: False, or how the target class is chosen: a name of ``mmadvdefense.attacks.targets``, where
            ``'top_wrong_2'`` is the second most likely wrong class, and so on; ``'class_3'`` is class 3 for all.

    Raises:
        ValueError: for a negative or missing ``eps``, or an unknown name.
    """

    access: str = 'gradients'
    supports_eot: bool = False
    needs_ball: ClassVar[bool] = False
    norms: ClassVar[tuple[str, ...]] = ('linf', 'l2')
    stochastic: bool = False
    undoes_failures: bool = False
    adversarial: ClassVar[bool] = True
    revision: ClassVar[int] = 1

    def __init__(self, eps: Optional[float], norm: str = 'linf', targeted: Union[bool, str] = False):
        name = type(self).__name__
        if self.needs_ball if eps is None else not eps >= 0:
            raise UsageError(f'{name}: eps is a radius in pixels (0-255) and must be >= 0, got {eps}')
        if norm not in self.norms:
            raise UsageError(f'{name}: unknown norm {norm!r}; known: {", ".join(self.norms)}')
        targeted = 'random' if targeted is True else targeted
        if targeted:
            try:
                target_choice(targeted)
            except ValueError as error:
                raise UsageError(f'{name}: {error}') from error
        self.eps = None if eps is None else float(eps)
        self.norm = norm
        self.targeted = targeted
        # Without a budget, only the ball's norm and steepest steps are used.
        self.ball: Ball = BALLS[norm](math.inf if self.eps is None else self.eps)

    @abstractmethod
    def perturb(self, batch: AttackBatch) -> Tensor:
        """Return adversarial images, ``(N, 3, H, W)`` like ``batch.clean``; called under ``no_grad`` and
        ``undisturbed``.
        """

    def ball_around(self, batch: AttackBatch) -> Optional[Ball]:
        """The ball that results for this batch are projected into; None without a budget."""
        return None if self.eps is None else self.ball

    def check_source(self, source: AttackSource) -> None:
        """Raise a ``ValueError`` with the reason if this attack cannot run on a source."""
        if self.access == 'gradients' and not source.gradients:
            raise UsageError(f'{type(self).__name__} needs gradients, but this attacker can only query outputs')
        if source.eot_samples > 1 and not self.supports_eot:
            raise UsageError(f'{type(self).__name__} does not average its gradient over samples of a random defense')
        if self.targeted:
            check_target_class(type(self).__name__, self.targeted, source.task.num_classes)

    def describe(self) -> str:
        """The attack with its budget, as shown in tables: ``'PGD (L-inf 8, 10 steps)'``."""
        return f'{self.title} ({", ".join(self.details())})'

    def scaled(self, share: float) -> Attack:
        """The attack with all its lengths multiplied by ``share`` (at least 0), as a curriculum needs it.

        Raises:
            ValueError: if this attack has no budget that could be scaled.
        """
        raise UsageError(f'{type(self).__name__} has no budget that grows: use a gradient attack such as PGD')

    @property
    def needs_labels(self) -> bool:
        """Whether it uses the true class, which requires a source with the same classes as the tested model."""
        return True

    @property
    def title(self) -> str:
        """The attack's name for :meth:`describe`."""
        return type(self).__name__

    def details(self) -> list[str]:
        """The text that :meth:`describe` puts in parentheses; subclasses add their options."""
        target = [f'target class: {self.targeted.replace("_", " ")}'] if self.targeted else []
        return [self.budget(), *self.length(), *target]

    def budget(self) -> str:
        """The budget, for :meth:`details`."""
        norm = _NORM_NAMES[self.norm]
        return f'minimal {norm}' if self.eps is None else f'{norm} {self.eps:g}'

    def length(self) -> list[str]:
        """The number of steps, for :meth:`details`."""
        steps = getattr(self, 'steps', None)
        return [f'{steps} steps'] if steps and steps > 1 else []

    def members(self) -> dict[str, dict[str, Any]]:
        """By name, the configs of what is tested in its place, one after the other; empty for a single attack."""
        return {}

    def choose_targets(self, batch: AttackBatch) -> Optional[Tensor]:
        """Target class indices; None for an untargeted attack."""
        if not self.targeted:
            return None
        task, randomness = batch.source.task, batch.randomness
        if task.has_candidates:
            if not len(batch.labels):
                return batch.labels
            # One draw for each object, from the stream of its image.
            counts = task.label_counts(batch.samples)
            randomness = randomness.select([image for image, count in enumerate(counts) for _ in range(count)])
        scores = batch.target_scores
        return target_choice(self.targeted)(scores, batch.labels, randomness, task.target_classes(scores))

    def run(
        self,
        source: AttackSource,
        images: Pixels,
        data_samples: Sequence[Any],
        randomness: Randomness,
        reference: Optional[CleanReference] = None,
    ) -> AttackResult:
        """Attack a batch.

        Args:
            source: the attacked model; its state is restored.
            images: float pixels 0-255 on the source's device, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            data_samples: the host's data samples; not modified.
            randomness: source of random starts and targets.
            reference: the source's output on ``images``, if already computed.

        Raises:
            ValueError: for images without three channels, or an unsuitable source.
        """
        check_channels(images, [sample.get('img_path') or f'image {i}' for i, sample in enumerate(data_samples)])
        self.check_source(source)
        clean, layout = stack(images)
        clean = clean.detach()
        with torch.no_grad(), source.undisturbed():
            samples = source.prepare_samples(images, data_samples)
            reference = reference or CleanReference(source, images, randomness=randomness.derive('reference'))
            batch = AttackBatch(source, samples, reference, randomness, clean, layout)
            batch.target = self.choose_targets(batch)
            adversarial = self.perturb(batch).detach()
        # NaN if it is infinite.
        rise = batch.rise + batch.rise * 0
        return AttackResult(unstack(self._inside(adversarial, batch), layout), batch.queries, batch.nonfinite, rise)

    def _inside(self, images: Tensor, batch: AttackBatch) -> Tensor:
        """Project into the ball and the pixel range; non-finite values are replaced by those of the clean image."""
        if not known_finite(images):
            # NaN where an image is not finite, which ``isfinite`` needs four passes to tell.
            zeros = images * 0
            batch.nonfinite += zeros.flatten(1).sum(1).isnan()
            images = batch.clean.where(zeros.isnan(), images)
        ball = self.ball_around(batch)
        images = images.clamp(0, PIXEL_MAX) if ball is None else ball.project(images, batch.clean)
        return images if batch.mask is None else images * batch.mask

    def __call__(self, *args: Any, **kwargs: Any) -> Pixels:
        """Like :meth:`run`, but return only the images."""
        return self.run(*args, **kwargs).images


_NORM_NAMES = {'linf': 'L-inf', 'l2': 'L2'}


def attack_names() -> list[str]:
    """The names of all registered attacks, sorted."""
    return sorted(ATTACKS.module_dict)


def attack_settings(config: dict[str, Any]) -> dict[str, Any]:
    """A serializable copy of an attack's config, with short type names throughout."""
    settings: dict[str, Any] = named_types(dict(config), ATTACKS, OBJECTIVES)
    return settings


def largest_budget(attacks: Iterable[Attack]) -> Optional[float]:
    """The largest radius among several attacks, in pixels; None if one of them has no ball."""
    budgets = [attack.eps for attack in attacks]
    given = [eps for eps in budgets if eps is not None]
    return max(given) if len(given) == len(budgets) else None


def build_attack(config: Union[dict[str, Any], Attack]) -> Attack:
    """Build an attack from its config; an attack object is returned unchanged.

    Raises:
        ValueError: for an unknown name (the message suggests similar ones), or invalid or unknown parameters.
    """
    if isinstance(config, Attack):
        return config
    kind = config.get('type')
    cls, name = find_class(kind, ATTACKS), type_name(kind)
    if cls is None or not issubclass(cls, Attack):
        shown = None if kind is None else name
        raise UsageError(f'unknown attack {shown!r}; {did_you_mean(name, attack_names())}')
    attack: Attack = build_as_configured(config, ATTACKS)
    return attack
