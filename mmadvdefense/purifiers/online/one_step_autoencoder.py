"""OAG without its image steps."""

from __future__ import annotations

from typing import Callable, Optional

from torch import Tensor

from ...randomness import Randomness
from ...registry import MODELS
from .reconstruction import ReconstructionPurifier

DEFAULT_NETWORK = dict(type='ScalarAutoEncoders')


@MODELS.register_module()
class OneStepAutoEncoderPurifier(ReconstructionPurifier):
    """The ablation of Li et al., "Online Alternate Generator against Adversarial Attacks" (TIP 2021), section IV-H: an
    auto-encoder with OAG's network as its encoder, fitted to each image as input and target.

    The image reaches the decoder through a single scalar, so that the auto-encoder cannot simply copy it.

    Args:
        num_steps: number of Adam steps; the paper does not state the optimizer.
        learning_rate: of Adam.
        network: config of the network.
        kwargs: of :class:`ReconstructionPurifier`.

    Raises:
        ValueError: for steps below 1 or a non-positive learning rate.
    """

    def __init__(self, num_steps: int = 200, learning_rate: float = 0.01, network: Optional[dict] = None, **kwargs):
        super().__init__(num_steps, learning_rate, network or DEFAULT_NETWORK, **kwargs)

    def source(self, images: Tensor, randomness: Randomness) -> Callable[[], Tensor]:
        return lambda: images
