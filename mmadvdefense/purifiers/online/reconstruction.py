"""Purifiers that fit a network to reproduce each image and stop before it reproduces the noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Callable, Iterator

import torch
from torch import Tensor

from ...pixels import PIXEL_MAX
from ...randomness import Randomness
from ...registry import MODELS
from .base import OnlinePurifier


class ReconstructionPurifier(OnlinePurifier):
    """Minimizes the mean squared error between each image and its network's output with Adam.

    Args:
        num_steps: of Adam.
        learning_rate: of Adam.
        network: config of the networks.
        kwargs: of :class:`OnlinePurifier`.

    Raises:
        ValueError: for steps below 1 or a non-positive learning rate.
    """

    def __init__(self, num_steps: int, learning_rate: float, network: dict[str, Any], **kwargs):
        super().__init__(num_steps, **kwargs)
        self._require_positive('learning_rate', learning_rate)
        self.learning_rate = learning_rate
        self.network = MODELS.build(dict(network))

    @abstractmethod
    def source(self, images: Tensor, randomness: Randomness) -> Callable[[], Tensor]:
        """A function that returns the networks' input at each step, for images in [0, 1], ``(N, 3, H, W)``."""

    def fit(self, images: Tensor, randomness: Randomness) -> Iterator[Tensor]:
        wanted = images / PIXEL_MAX
        parameters = self.network.draw(wanted, randomness)
        source = self.source(wanted, randomness)
        for parameter in parameters.values():
            parameter.requires_grad_()
        # Adam is elementwise and the loss is a sum over images, so each image is fitted independently.
        optimizer = torch.optim.Adam(list(parameters.values()), self.learning_rate)
        outputs = self._outputs(source, parameters)
        while True:
            with torch.enable_grad():
                loss = (outputs - wanted).square().flatten(1).mean(1).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            outputs = self._outputs(source, parameters)
            yield outputs.detach() * PIXEL_MAX

    @torch.enable_grad()
    def _outputs(self, source: Callable[[], Tensor], parameters: dict[str, Tensor]) -> Tensor:
        return self.network(source(), parameters)
