"""Carlini and Wagner's two uses of the margin: as a penalty on the way to the smallest change, and inside a ball."""

from __future__ import annotations

import inspect
from typing import ClassVar, Optional, Union

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
    """The attack of Carlini and Wagner (S&P 2017), in one of two forms, which are not to be confused.

    - Without ``eps``, :class:`CarliniWagnerL2`: the paper's own attack, which looks for the smallest L2 change.
    - With ``eps``, :class:`CarliniWagnerBounded`: PGD on the paper's margin in a ball, which is what robustness tables
      with a budget call C&W.

    Raises:
        ValueError: for an argument of the other form.
    """

    form: ClassVar[str]
    title = 'CarliniWagner'

    def __new__(cls, eps: Optional[float] = None, *args, **options) -> CarliniWagner:
        forms = [CarliniWagnerL2, CarliniWagnerBounded]
        form, other = forms if eps is None else forms[::-1]
        misplaced = sorted(options.keys() & (_arguments(other) - _arguments(form)))
        if misplaced:
            raise UsageError(f'CarliniWagner takes {", ".join(misplaced)} in {other.form} only; this is {form.form}')
        return super().__new__(form if cls is CarliniWagner else cls)

    def check_source(self, source: AttackSource) -> None:
        # Names the attacks that detectors have, where the objective only says what it lacks.
        check_class_scores('CarliniWagner', source)
        super().check_source(source)


class CarliniWagnerL2(CarliniWagner):
    """The smallest L2 change that makes the model err.

    Found by :class:`PenaltyDescent`; a binary search for each image finds the
    weight of the margin that gives the smallest change. An image for which none is found, or that needs none, is left
    as it is. Pixels that are 0 or 255 hardly move.

    Args:
        eps: None.
        norm: ``'l2'``.
        targeted: False, or how the target class is chosen, as for every attack.
        confidence: the margin of class scores to be reached, kappa in the paper.
        steps: of Adam for each weight.
        binary_search_steps: how many weights are tried.
        initial_const: the first of them, c in the paper.
        learning_rate: of Adam.
        abort_early: stop for an image whose loss has not fallen by 0.01 % in a tenth of the steps.
        success_threshold: of the labelled pixels of an image that shall reach the margin; counts for segmentors only.
        clip_to: radius in pixels (0-255) of the L2 ball that the result is projected into, as foolbox does with its
            ``epsilons``; what is found outside then falls short of the margin. None for the smallest change itself.

    Raises:
        ValueError: for a setting out of its range.
    """

    form = 'the minimal L2 form (without eps)'

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
    ):
        if clip_to is not None and not clip_to >= 0:
            raise UsageError(f'CarliniWagner: clip_to is a radius in pixels (0-255) and must be >= 0, got {clip_to}')
        super().__init__(clip_to, norm, targeted)
        if norm != 'l2':
            raise UsageError(f"CarliniWagner without eps has norm 'l2', got {norm!r}; the bounded form needs eps")
        check_minimal_settings('CarliniWagner', success_threshold, steps=steps, binary_search_steps=binary_search_steps)
        for what, value in dict(initial_const=initial_const, learning_rate=learning_rate).items():
            if not value > 0:
                raise UsageError(f'CarliniWagner: {what} must be > 0, got {value}')
        if not confidence >= 0:
            raise UsageError(f'CarliniWagner: confidence is a margin of class scores >= 0, got {confidence}')
        self.stochastic = self.targeted == 'random'
        self.steps = int(steps)
        self.binary_search_steps = int(binary_search_steps)
        self.initial_const = initial_const
        self.descend = PenaltyDescent(confidence, self.steps, learning_rate, abort_early, success_threshold)

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
        """The nearest images found over all weights, the clean ones where there is none."""
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


class CarliniWagnerBounded(CarliniWagner, PGD):
    """PGD on the margin ``max_{k != y} z_k - z_y`` in a ball; of segmentors, on the sum of all pixels' margins.

    Args:
        eps, step_size, steps and all others: as for :class:`~mmadvdefense.attacks.gradient.fgsm_family.PGD`.
        confidence: the margin of an image or pixel beyond which nothing is gained; 50 as in the evaluations of Madry
            et al. (ICLR 2018).
    """

    form = 'the bounded form (with eps)'

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = None,
        steps: Optional[int] = None,
        confidence: float = 50.0,
        **options,
    ):
        objective = dict(type='MarginObjective', confidence=confidence)
        super().__init__(eps, step_size, steps, objective=objective, **options)

    def length(self) -> list[str]:
        return ['margin loss', f'{self.steps} steps']


def _arguments(form: type[CarliniWagner]) -> set[str]:
    return {name for base in form.__mro__ for name in inspect.signature(base.__init__).parameters}
