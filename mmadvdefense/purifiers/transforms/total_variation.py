"""Total variation minimisation: a smooth image close to the pixels that are kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import PIXEL_MAX, Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ...validation import check_integer
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly

# Step sizes of the primal and the dual variable; their product must be at most 1/8, one over the squared norm of the
# discrete gradient.
PRIMAL_STEP = 0.5
DUAL_STEP = 0.25


def minimize_total_variation(images: Tensor, kept: Tensor, weight: float, steps: int) -> Tensor:
    """``argmin_z 0.5 * sum(kept * (z - images)^2) + weight * TV(z)``, channel by channel.

    ``TV`` is isotropic: the sum over pixels of the norm of the forward differences. This is the Rudin-Osher-Fatemi
    problem with missing pixels, solved by the primal-dual method of Chambolle and Pock ("A first-order primal-dual
    algorithm for convex problems", 2011, algorithm 1).

    Args:
        images: ``(N, C, H, W)``.
        kept: ``(N, 1, H, W)``, 1 for pixels that are kept and 0 for those that are dropped.
        weight: weight of ``TV``, in the unit of ``images``.
        steps: number of iterations; backpropagation needs the memory of all of them.
    """
    count = kept.sum((2, 3), keepdim=True).clamp(min=1)
    # Dropped pixels start at the mean, so that they do not show through after few steps.
    start = images * kept + (images * kept).sum((2, 3), keepdim=True) / count * (1 - kept)
    primal = ahead = start
    dual = _gradient(start) * 0
    for _ in range(steps):
        dual = _shorten(dual + DUAL_STEP * _gradient(ahead), weight)
        moved = (primal + PRIMAL_STEP * (_divergence(dual) + kept * images)) / (1 + PRIMAL_STEP * kept)
        ahead, primal = 2 * moved - primal, moved
    return primal


def _gradient(images: Tensor) -> Tensor:
    return torch.stack([F.pad(images.diff(dim=-2), (0, 0, 0, 1)), F.pad(images.diff(dim=-1), (0, 1))])


def _divergence(field: Tensor) -> Tensor:
    """Minus the adjoint of :func:`_gradient`."""
    down, right = field
    return F.pad(down[..., :-1, :], (0, 0, 1, 1)).diff(dim=-2) + F.pad(right[..., :-1], (1, 1)).diff(dim=-1)


def _shorten(field: Tensor, length: float) -> Tensor:
    # Clamped before the root, whose gradient at zero is infinite.
    return field / (field.square().sum(0).clamp(min=length**2).sqrt() / length)


@MODELS.register_module()
class TotalVariationPurifier(RandomPurifier):
    """Drops pixels at random and reconstructs them by total variation minimisation (TVM: Guo et al., "Countering
    Adversarial Images using Input Transformations", ICLR 2018).

    Differentiable, through all steps: a gradient needs the memory of ``steps`` times about six batches of images.
    Images stay on their device. With ``drop_rate=0`` it is the deterministic Rudin-Osher-Fatemi denoiser.

    Args:
        weight: weight of the total variation relative to half the squared distance, in pixels (0-255): 255 times the
            ``weight`` of scikit-image's ``denoise_tv_chambolle`` for images in [0, 1].
        drop_rate: share of the pixels that are dropped, in [0, 1).
        steps: number of solver iterations.
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for a ``weight`` that is not above 0, a ``drop_rate`` outside [0, 1) or ``steps`` below 1.
    """

    def __init__(self, weight: float = 0.03 * PIXEL_MAX, drop_rate: float = 0.5, steps: int = 100, **kwargs):
        super().__init__(**kwargs)
        name = type(self).__name__
        if not weight > 0:
            raise UsageError(f'{name}: weight is in pixels (0-255) and must be > 0, got {weight}')
        if not 0 <= drop_rate < 1:
            raise UsageError(f'{name}: drop_rate must be at least 0 and below 1, got {drop_rate}')
        check_integer(name, steps=steps)
        self.weight = float(weight)
        self.drop_rate = float(drop_rate)
        self.steps = int(steps)

    @property
    def stochastic(self) -> bool:
        return self.drop_rate > 0

    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return map_by_size_randomly(self._purify_stacked, images, randomness)

    def _purify_stacked(self, images: Tensor, randomness: Randomness) -> Tensor:
        kept = (randomness.uniform_like(images[:, :1].detach()) >= self.drop_rate).to(images)
        return minimize_total_variation(images, kept, self.weight, self.steps).clamp(0, PIXEL_MAX)
