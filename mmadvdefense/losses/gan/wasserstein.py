"""The Wasserstein GAN loss with a gradient penalty."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...registry import MODELS
from ..base import PurifierBatch, total
from .base import GANLoss, logits


@MODELS.register_module()
class WassersteinGANLoss(GANLoss):
    """WGAN-GP (Gulrajani et al., "Improved Training of Wasserstein GANs", arXiv 1704.00028, Algorithm 1), as in
    Defense-GAN.

    ``-E D(fake)`` for the generator; ``E D(fake) - E D(real) + weight * E(|grad D(mix)| - 1)^2`` for the critic, where
    each ``mix`` is a point drawn uniformly from the line between a real and a fake image. The critic must not mix the
    images of a batch, so it has no batch norm.

    Args:
        penalty_weight: weight of the gradient penalty; the paper's lambda.
        generator_interval: critic steps for each step of the generator.
        kwargs: of :class:`GANLoss`; here ``fake`` is ``'purified_clean'`` by default, which is where a generative
            model's images are.
    """

    def __init__(self, penalty_weight: float = 10.0, generator_interval: int = 5, **kwargs: Any) -> None:
        super().__init__(generator_interval=generator_interval, **{'fake': 'purified_clean', **kwargs})
        self.penalty_weight = penalty_weight

    def generator_loss(self, batch: PurifierBatch) -> Tensor:
        return -total(scale.mean() for scale in logits(batch.discriminate(self.fake)))

    def discriminator_loss(self, batch: PurifierBatch) -> Tensor:
        real, fake = (logits(batch.discriminate_detached(name)) for name in (self.real, self.fake))
        distance = total(ours.mean() - theirs.mean() for ours, theirs in zip(fake, real))
        return distance + self.penalty_weight * self.gradient_penalty(batch)

    def gradient_penalty(self, batch: PurifierBatch) -> Tensor:
        """``E(|grad D(mix)| - 1)^2``, the norm over all values of an image in [-1, 1]."""
        real, fake = batch.pixels(self.real).detach(), batch.pixels(self.fake).detach()
        share = batch.randomness.derive('gradient penalty').uniform_like(real[:, :1, :1, :1])
        # A validation loss is computed without gradients; half precision has no second derivative worth its name.
        with torch.enable_grad(), torch.autocast(real.device.type, enabled=False):
            mix = (real + share * (fake - real)).requires_grad_()
            score = total(scale.sum() for scale in logits(batch.discriminate_images(mix)))
            (gradient,) = torch.autograd.grad(score, mix, create_graph=True)
        length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return (length - 1).square().mean()
