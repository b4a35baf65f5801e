"""A patch for each image, found by gradients."""

from __future__ import annotations

from functools import partialmethod, reduce
from typing import Any, Optional, Sequence, Union

import torch
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX, stack
from ...registry import ATTACKS
from ...validation import check_integer
from ..balls import AREA, PatchBall
from ..batch import AttackBatch
from ..gradient.loop import GradientAttack
from .budget import AreaBudget
from .placement import Place, Placement
from .poses import PatchInOtherPoses, RandomPoses


class PatchAttack(AreaBudget, GradientAttack):
    """Gradient ascent on the pixels of a rectangle, which may take any value; the rest of the image stays clean.

    The gradient is that of the patch in poses drawn anew at every step (EOT). The result has the patch upright, in its
    full size and in its own place. Ground truth stays as it is: an object behind the patch still counts.

    Args:
        area: the budget: largest share of the image that the patch covers, in (0, 1).
        steps: the number of steps.
        step_size: pixel values (0-255) per step, along the sign of the gradient.
        place: where the patch is: ``'random'`` (drawn for each image), ``'top_left'``, ``'top_right'``,
            ``'bottom_left'``, ``'bottom_right'``, ``'center'``, or a pair of shares, see
            :class:`~mmadvdefense.attacks.patch.placement.Placement`.
        shape: ``'square'``, or ``'image'`` for the proportions of the image.
        moves: whether gradients see the patch anywhere in the image; otherwise in its own place.
        scales: smallest and largest factor of its sides that gradients see.
        rotation: largest angle in degrees that gradients see, in either direction.
        brightness: largest relative change of its values that gradients see, in either direction.
        samples: the number of poses per gradient. Against a random defense with more EOT samples there is one for each.
        random_start: ``'uniform'`` for a patch of noise, None for what the image shows there.
        options: ``objective``, ``targeted``, ``num_targets``, ``momentum`` and ``restarts`` of
            :class:`~mmadvdefense.attacks.GradientAttack`.

    Raises:
        ValueError: for an invalid value; when run, for an image that the patch does not fit into.
    """

    needs_ball = False

    def __init__(
        self,
        area: float = 0.05,
        steps: int = 100,
        step_size: float = 8.0,
        place: Place = 'random',
        shape: str = 'square',
        moves: bool = False,
        scales: Sequence[float] = (1.0, 1.0),
        rotation: float = 0.0,
        brightness: float = 0.0,
        samples: int = 1,
        random_start: Optional[str] = 'uniform',
        objective: Union[str, dict[str, Any]] = 'cross_entropy',
        targeted: Union[bool, str] = False,
        num_targets: int = 1,
        momentum: Optional[float] = None,
        restarts: int = 1,
    ):
        name = type(self).__name__
        self.placement = Placement(name, area, place, shape)
        self.poses = RandomPoses(name, moves, scales, rotation, brightness)
        check_integer(name, samples=samples)
        if random_start not in ('uniform', None):
            raise UsageError(f"{name}: random_start must be 'uniform' or None, got {random_start!r}")
        self.samples = int(samples)
        super().__init__(
            PIXEL_MAX,
            step_size,
            steps,
            norm=AREA,
            objective=objective,
            targeted=targeted,
            num_targets=num_targets,
            random_start=random_start,
            momentum=momentum,
            restarts=restarts,
        )
        self.stochastic = self.stochastic or self.placement.random or self.poses.vary

    def perturb(self, batch: AttackBatch) -> Tensor:
        boxes = self.placement.boxes(batch)
        placed = self._with(PatchBall(region=boxes.mask(*batch.clean.shape[-2:])))
        if self.poses.vary:
            placed.diversity = PatchInOtherPoses(self.poses, boxes)
        return GradientAttack.perturb(placed, batch)

    def gradient(self, images: Tensor, batch: AttackBatch) -> Tensor:
        samples = max(self.samples, batch.source.eot_samples)
        return reduce(torch.add, (self._one_gradient(images, batch) for _ in range(samples)))

    def _start(self, batch: AttackBatch) -> Tensor:
        if self.random_start is None or batch.layout.is_uniform:
            return self.start(batch.clean, batch.randomness)
        # One by one, because an image's random numbers must not depend on its padding.
        noise = [
            batch.randomness.of(index).uniform_like(image[None])[0]
            for index, image in enumerate(batch.pixels(batch.clean))
        ]
        return self.ball.project(PIXEL_MAX * stack(noise)[0], batch.clean)


@ATTACKS.register_module()
class AdversarialPatch(PatchAttack):
    """A patch that works in many poses (Brown et al., "Adversarial Patch", 2017), here one for each image.

    It is at a place drawn for each image. By default gradients see it anywhere, scaled by 0.8 to 1.2, turned by up to
    20 degrees and up to 20 % brighter or darker. A patch for all images is
    :class:`~mmadvdefense.attacks.patch.universal.UniversalPatch`.
    """

    __init__ = partialmethod(
        PatchAttack.__init__, moves=True, scales=(0.8, 1.2), rotation=20.0, brightness=0.2, momentum=1.0
    )


@ATTACKS.register_module()
class DPatch(PatchAttack):
    """A patch in a fixed place, the upper left corner as in Liu et al. (AAAI 2019 workshop), for every task.

    As in the paper's untargeted form, the loss on the true classes and boxes grows; the patch is optimized in its own
    pose alone. A detector needs one of its objectives, such as ``objective='cls+loc'``.
    """

    __init__ = partialmethod(PatchAttack.__init__, place='top_left')
