"""The perturbation of free adversarial training, which moves along gradients that the update computes anyway."""

from __future__ import annotations

from typing import Optional, Sequence

from torch import Tensor

from ..attacks import CleanReference, Randomness
from ..attacks.balls import BALLS
from ..errors import StateError
from ..pixels import Pixels, stack, unstack, valid_mask


class FreePerturbation:
    """Stands in for a :class:`~mmadvdefense.training.training_attack.TrainingAttack`, at no cost.

    Algorithm 1 of Shafahi et al., "Adversarial Training for Free!" (NeurIPS 2019). Images are handed out with the
    perturbation as it is; after the backward pass, :meth:`update` moves it by one step along the gradient that has
    arrived at them. It is carried on from one batch to the next, as long as their sizes are the same.

    Args:
        eps: radius of the ball in pixels (0-255).
        step_size: pixels (L-infinity) or length (L2) of one step.
        norm: ``'linf'`` or ``'l2'``.

    Attributes:
        delta: the perturbation of the stacked batch in pixels, ``(N, 3, H, W)``; None before the first update.
    """

    def __init__(self, eps: float, step_size: float, norm: str):
        self.eps, self.step_size, self.norm = eps, step_size, norm
        self.delta: Optional[Tensor] = None
        self._handed_out: Optional[tuple[Tensor, Tensor, float]] = None

    def __call__(
        self,
        clean: Pixels,
        data_samples: Sequence,
        randomness: Randomness,
        reference: Optional[CleanReference] = None,
        share: float = 1.0,
    ) -> Pixels:
        """Perturbed images in the layout of ``clean``, to which gradients flow; the other arguments but ``share``, the
        share of budget and step size that is used, are those of a training attack and not needed.
        """
        stacked, layout = stack(clean)
        images, mask = stacked.clone(), valid_mask(layout, stacked)
        if self.delta is not None and self.delta.shape == stacked.shape:
            delta = self.delta.to(stacked) if mask is None else self.delta.to(stacked) * mask
            images = BALLS[self.norm](share * self.eps).project(stacked + delta, stacked)
        images.requires_grad_()
        self._handed_out = stacked, images, share
        return unstack(images, layout)

    def update(self) -> None:
        """Move the perturbation, after the backward pass.

        Raises:
            RuntimeError: if no gradient has arrived at the images.
        """
        handed_out, self._handed_out = self._handed_out, None
        gradient = None if handed_out is None else handed_out[1].grad
        if handed_out is None or gradient is None:
            raise StateError('no gradient of the training loss has arrived at the images of free adversarial training')
        clean, images, share = handed_out
        ball = BALLS[self.norm](share * self.eps)
        # With a loss scale that is too large, gradients overflow, and the update is skipped as well.
        direction = ball.steepest(gradient.nan_to_num(0.0, 0.0, 0.0))
        self.delta = ball.project(images.detach().add(direction, alpha=share * self.step_size), clean) - clean
