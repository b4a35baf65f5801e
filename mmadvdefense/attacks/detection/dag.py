"""DAG on detectors: every proposal of an object towards a wrong class (Xie et al., ICCV 2017)."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...registry import ATTACKS, OBJECTIVES
from ...tasks.detections.candidates import Candidates
from ...tasks.detections.objects import log_score
from ...tasks.detections.tables import nearest_objects
from ..batch import AttackBatch
from ..gradient.loop import GradientAttack
from .objectives import MislabelObjective

# A proposal is attacked if it overlaps an object this much and has this score for its class (section 3.3).
_OVERLAP, _SCORE = 0.1, 0.1


@OBJECTIVES.register_module()
class ProposalObjective(MislabelObjective):
    """The log-score of the target class minus that of the true one, summed over the proposals that are still right.

    Equation 3 of the paper, where the sum over proposals stops at those that have another best class. The arguments are
    those of :class:`MislabelObjective`.
    """

    rises = False

    def __init__(self, target: Union[str, int] = 'random'):
        super().__init__(target)

    def of_objects(self, found: Candidates, batch: AttackBatch) -> Tensor:
        assert batch.target is not None, 'the attack chooses a target before it begins'
        which, near = nearest_objects(found, batch.objects, _OVERLAP)
        classes = batch.source.task.num_classes or 0
        scores, (place, places) = log_score(found.scores), found.places()
        # Rows of a place that the host left out score lowest.
        table = scores.new_full((places, classes), -torch.inf).index_put((place, found.labels), scores)
        towards = table[place, batch.target[which]]
        right = near & (found.labels == batch.labels[which]) & (found.scores >= _SCORE)
        right = right & (scores >= table[place].amax(1)) & towards.isfinite() & (batch.target != batch.labels)[which]
        return found.per_image((towards - scores).where(right, 0))


@ATTACKS.register_module()
class DetectionDAG(GradientAttack):
    """Dense adversary generation, clipped to a ball: each step adds the gradient, scaled to a largest value.

    Unlike in the paper, which bounds the number of steps alone, the perturbation stays in the ball. The proposals of a
    two-stage detector are those of its own test settings (the paper keeps more of them); other detectors have a
    proposal at each location or query. An image whose proposals are all wrong is not changed further.

    Args:
        eps: radius of the L-infinity ball in pixels (0-255).
        step_size: the largest change of a pixel in one step (gamma in the paper).
        steps: the most steps.
        targeted: how the wrong class of each object is chosen.
        options: of :class:`~mmadvdefense.attacks.gradient.loop.GradientAttack`.

    Raises:
        ValueError: for an objective, or the L2 norm; as :class:`~mmadvdefense.attacks.gradient.loop.GradientAttack`
            does.
    """

    def __init__(
        self,
        eps: float,
        step_size: Optional[float] = 0.5,
        steps: Optional[int] = 150,
        targeted: str = 'random',
        step_sizes: Optional[Sequence[float]] = None,
        **options: Any,
    ):
        for name in ('objective', 'norm'):
            if name in options:
                raise UsageError(f'DetectionDAG has an {name} of its own; omit {name!r}')
        if step_sizes is not None:
            step_size = steps = None
        objective = dict(type='ProposalObjective')
        options.update(objective=objective, targeted=targeted, step_sizes=step_sizes)
        super().__init__(eps, step_size, steps, **options)

    def direction(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        largest = gradient.abs().amax((1, 2, 3), keepdim=True)
        return gradient / largest.clamp(min=torch.finfo(gradient.dtype).tiny)
