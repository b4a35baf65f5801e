"""OAG: an image is synthesized anew while a network learns its distribution."""

from __future__ import annotations

import math
from typing import Iterator, Optional

import torch
from torch import Tensor

from ...pixels import PIXEL_MAX
from ...randomness import Randomness
from ...registry import MODELS
from ...validation import check_integer
from .base import OnlinePurifier

DEFAULT_NETWORK = dict(type='EnergyNetworks')


@MODELS.register_module()
class OAGPurifier(OnlinePurifier):
    """The online alternate generator of Li, Zeng, Li, Lin and Yu, "Online Alternate Generator against Adversarial
    Attacks" (TIP 2021, arXiv 2009.08110), Algorithm 1. Needs no training, no attack and no target.

    Image steps (Eq. 3) and network steps (Eq. 5) alternate. The synthesized image ``I_s`` starts at zero and never sees
    the input ``I_z``, which enters only through the network::

        I ← I − (ε²/2)(I − ∂F(I; θ)/∂I) + ε N(0, 1)
        θ ← θ + β(∂F(I_z; θ)/∂θ − ∂F(I_s; θ)/∂θ)

    The paper gives neither ε nor β nor the range of images. Here images are pixels centred at mid-grey, -127.5 to
    127.5: the N(0, 1) prior that Eq. 3 implies without a network is then noise of one pixel value, and synthesis starts
    from a grey image. In [-1, 1] the same noise would swamp the image.

    Args:
        num_steps: network steps ``T_N``; 200 to 300 in the paper, 600 for ImageNet.
        image_steps: image steps ``T_I`` before each network step.
        noise: ``ε`` of Eq. 3.
        learning_rate: of Eq. 5 with ``β = learning_rate / √n``, where ``n`` is the number of values that all positions
            of the kernel see in total. The largest stable β decreases with image size in this way: images of any size,
            even all-white ones, are stable below about 0.018 (with 20 image steps of 0.3).
        network: config of ``F``.
        kwargs: of :class:`OnlinePurifier`.

    Raises:
        ValueError: for steps below 1, or a noise or learning rate that is not positive.
    """

    def __init__(
        self,
        num_steps: int = 200,
        image_steps: int = 20,
        noise: float = 0.3,
        learning_rate: float = 0.01,
        network: Optional[dict] = None,
        **kwargs,
    ):
        super().__init__(num_steps, **kwargs)
        check_integer(type(self).__name__, image_steps=image_steps)
        self._require_positive('noise', noise)
        self._require_positive('learning_rate', learning_rate)
        self.image_steps = int(image_steps)
        self.noise = noise
        self.learning_rate = learning_rate
        self.network = MODELS.build(dict(network or DEFAULT_NETWORK))

    def fit(self, images: Tensor, randomness: Randomness) -> Iterator[Tensor]:
        reference = images - PIXEL_MAX / 2
        synthesized = torch.zeros_like(reference)
        parameters = self.network.draw(reference, randomness)
        beta = self.learning_rate / math.sqrt(self.network.num_inputs(reference))
        while True:
            synthesized = self._update_image(synthesized, parameters, randomness)
            parameters = self._update_network(parameters, reference, synthesized, beta)
            yield synthesized + PIXEL_MAX / 2

    def _update_image(self, image: Tensor, parameters: dict[str, Tensor], randomness: Randomness) -> Tensor:
        """All image steps before one network step, Eq. 3."""
        steps, rate = self.image_steps, self.noise**2 / 2
        # A single draw for all steps, because random numbers are generated on the CPU.
        noise = self.noise * randomness.normal_like(image.new_empty(len(image), steps, *image.shape[1:]))
        for step in range(steps):
            with torch.enable_grad():
                image.requires_grad_()
                (gradient,) = torch.autograd.grad(self.network(image, parameters).sum(), image)
            image = image.detach() - rate * (image.detach() - gradient) + noise[:, step]
        return image

    def _update_network(
        self, parameters: dict[str, Tensor], reference: Tensor, synthesized: Tensor, beta: float
    ) -> dict[str, Tensor]:
        """One network step, Eq. 5."""
        with torch.enable_grad():
            tracked = {name: value.requires_grad_() for name, value in parameters.items()}
            difference = self.network(reference, tracked) - self.network(synthesized, tracked)
            gradients = torch.autograd.grad(difference.sum(), list(tracked.values()))
        return {name: value.detach() + beta * step for (name, value), step in zip(tracked.items(), gradients)}
