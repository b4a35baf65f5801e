"""DIP: an untrained network fits the image before it fits the noise."""

from __future__ import annotations

from typing import Callable, Optional

from torch import Tensor

from ...errors import UsageError
from ...randomness import Randomness
from ...registry import MODELS
from .reconstruction import ReconstructionPurifier

DEFAULT_NETWORK = dict(type='HourglassNetworks')


@MODELS.register_module()
class DIPPurifier(ReconstructionPurifier):
    """The deep image prior (Ulyanov et al., CVPR 2018) against adversarial noise, as Kattamis, Adel and Weller use it
    ("Exploring Properties of the Deep Image Prior", NeurIPS 2019 workshop): a network that maps fixed noise to the
    image, with early stopping.

    Args:
        num_steps: number of Adam steps before stopping.
        learning_rate: of Adam.
        jitter: standard deviation of the noise that is added to the input at each step; 1/30 in the authors' denoising
            code, whose input is uniform in [0, 0.1). 0 disables it.
        network: config of the network.
        kwargs: of :class:`ReconstructionPurifier`.

    Raises:
        ValueError: for steps below 1, a learning rate that is not positive or a negative jitter.
    """

    def __init__(
        self,
        num_steps: int = 300,
        learning_rate: float = 0.01,
        jitter: float = 1 / 30,
        network: Optional[dict] = None,
        **kwargs,
    ):
        super().__init__(num_steps, learning_rate, network or DEFAULT_NETWORK, **kwargs)
        if not jitter >= 0:
            raise UsageError(f'{type(self).__name__}: jitter must be >= 0, got {jitter}')
        self.jitter = jitter

    def source(self, images: Tensor, randomness: Randomness) -> Callable[[], Tensor]:
        noise = self.network.draw_noise(images, randomness)
        if self.jitter == 0:
            return lambda: noise
        return lambda: noise + self.jitter * randomness.normal_like(noise)
