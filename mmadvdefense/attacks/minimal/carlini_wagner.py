"""The margin of Carlini and Wagner in two attacks: as penalty of a minimum-norm attack, and as objective in a ball."""

from __future__ import annotations

from typing import Any, Optional, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS
from ..base import Attack
from ..batch import AttackBatch
from ..gradient.fgsm_family import PGD
from ..source import AttackSource
from .base import SUCCESS_THRESHOLD, ActiveImages, check_class_scores, check_minimal_settings
from .penalty_descent import PenaltyDescent


@ATTACKS.register_module()
class CarliniWagner(Attack):
    """The minimum-norm attack of Carlini and Wagner (S&P 2017): finds the adversarial image nearest in L2.

    Runs :class:`~mmadvdefense.attacks.minimal.penalty_descent.PenaltyDescent` with a binary search over the weight of
    the margin for each image. An image for which the attack fails, or that already meets the goal, is left unchanged.
    Pixels at 0 or 255 hardly move.

    Tables with a budget often use "C&W" for a different attack: see :class:`CarliniWagnerBounded`.

    Args:
        eps: None, as for every minimum-norm attack.
        norm: ``'l2'``.
        targeted: False, or how the target class is chosen, as for every attack.
        confidence: the required margin of class scores, kappa in the paper.
        steps: number of Adam steps for each weight.
        binary_search_steps: number of weights to try.
        initial_const: the initial weight, c in the paper.
        learning_rate: of Adam.
        abort_early: stop for images whose loss has not decreased by 0.01 % in a tenth of the steps.
        success_threshold: share of the labelled pixels of an image that must reach the margin; for segmentors only.
        clip_to: radius in pixels (0-255) of the L2 ball into which the result is projected, like ``epsilons`` in
            foolbox; larger perturbations then miss the margin. None disables the projection.

    Raises:
        ValueError: for a setting out of range, or if ``eps`` is given.
    """

    def __init__(
        self,
        eps: None = None,
        norm: str = 'l2',
        targeted: Union[bool, str] = False,
        confidence: float = 0.0,
        steps: int = 1000,
        binary_search_steps: int = 9,
        initial_const: float = 1e-3,
        learning_rate: float = 0.01,
        abort_early: bool = True,
        success_threshold: float = SUCCESS_THRESHOLD,
        clip_to: Optional[float] = None,
        **others: Any,
    ):
        if eps is not None or norm != 'l2' or others:
            raise _misplaced(eps, norm, others)
        if clip_to is not None and not clip_to >= 0:
            raise UsageError(f'CarliniWagner: clip_to must be a radius in pixels (0-255) >= 0, got {clip_to}')
        super().__init__(clip_to, norm, targeted)
        check_minimal_settings('CarliniWagner', success_threshold, steps=steps, binary_search_steps=binary_search_steps)
        for what, value in dict(initial_const=initial_const, learning_rate=learning_rate).items():
            if not value > 0:
                raise UsageError(f'CarliniWagner: {what} must be > 0, got {value}')
        if not confidence >= 0:
            raise UsageError(f'CarliniWagner: confidence must be a margin of class scores >= 0, got {confidence}')
        self.stochastic = self.targeted == 'random'
        self.steps = int(steps)
        self.binary_search_steps = int(binary_search_steps)
        self.initial_const = initial_const
        self.descend = PenaltyDescent(confidence, self.steps, learning_rate, abort_early, success_threshold)

    def check_source(self, source: AttackSource) -> None:
        check_class_scores('CarliniWagner', source)
        super().check_source(source)

    def details(self) -> list[str]:
        return [*super().details(), *([] if self.eps is None else ['projected'])]

    def length(self) -> list[str]:
        return [f'{self.binary_search_steps} x {self.steps} steps']

    def perturb(self, batch: AttackBatch) -> Tensor:
        adversarial = batch.clean.clone()
        active = ActiveImages(batch)
        _, reached = self.descend.missing(batch.clean, active.part)
        if active.keep(~reached):
            adversarial[active.at] = self._search(active.part)
        active.close()
        return adversarial

    def _search(self, batch: AttackBatch) -> Tensor:
        """The nearest adversarial images over all weights, or the clean images if none was found."""
        nearest, distance = batch.clean.clone(), batch.clean.new_full((len(batch),), torch.inf)
        const = torch.full_like(distance, self.initial_const)
        lower, upper = torch.zeros_like(const), distance.clone()
        for _ in range(self.binary_search_steps):
            found, found_distance, success = self.descend(batch, const)
            nearest = found.where((found_distance < distance).view(-1, 1, 1, 1), nearest)
            distance = torch.minimum(distance, found_distance)
            upper, lower = const.where(success, upper), lower.where(success, const)
            const = torch.where(upper.isfinite(), (lower + upper) / 2, const * 10)
        return nearest


def _misplaced(eps: Optional[float], norm: str, others: dict[str, Any]) -> UsageError:
    """The error for settings that only the bounded form of the attack takes."""
    given = [*([] if eps is None else ['eps']), *([] if norm == 'l2' else [f'norm={norm!r}']), *sorted(others)]
    return UsageError(
        f'CarliniWagner is the minimum-norm attack in L2 and takes no {", ".join(given)}; PGD on its margin inside a '
        "ball of radius eps is type='CarliniWagnerBounded'"
    )


@ATTACKS.register_module()
class CarliniWagnerBounded(PGD):
    """PGD on the margin ``max_{k != y} z_k - z_y`` in a ball, called C&W in robustness tables with a budget.

    For segmentors it maximizes the sum of the margins of all pixels.

    Args:
        args: ``eps``, ``step_size`` and ``steps`` of :class:`~mmadvdefense.attacks.gradient.fgsm_family.PGD`.
        confidence: the margin of an image or pixel at which the objective is capped; 50 as in the evaluations of Madry
            et al. (ICLR 2018).
        options: all other options of :class:`~mmadvdefense.attacks.gradient.fgsm_family.PGD`.
    """

    def __init__(self, eps: float, *args: Any, confidence: float = 50.0, **options: Any):
        options.update(objective=dict(type='MarginObjective', confidence=confidence))
        super().__init__(eps, *args, **options)

    def check_source(self, source: AttackSource) -> None:
        # Its message suggests attacks for detectors, unlike that of the objective.
        check_class_scores(type(self).__name__, source)
        super().check_source(source)

    @property
    def title(self) -> str:
        return 'CarliniWagner'

    def length(self) -> list[str]:
        return ['margin loss', f'{self.steps} steps']
