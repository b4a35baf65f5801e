"""The networks of APE-GAN."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS


def _unit(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.LeakyReLU())


@MODELS.register_module()
class APEGANGenerator(nn.Module):
    """The generator of Shen et al., "APE-GAN: Adversarial Perturbation Elimination with GAN" (arXiv 1707.05474): two
    convolutions down, two up. 269,059 parameters by default.

    The authors published no code and no exact sizes; these are those of the public PyTorch implementation.

    Args:
        in_channels: channels of the images.
        base_channels: width at half the resolution; at a quarter it is twice as wide.

    Attributes:
        divisor: height and width of the images are multiples of this.
    """

    divisor = 4

    def __init__(self, in_channels: int = 3, base_channels: int = 64) -> None:
        super().__init__()
        self.down = nn.Sequential(
            _unit(nn.Conv2d(in_channels, base_channels, 4, stride=2, padding=1)),
            _unit(nn.Conv2d(base_channels, 2 * base_channels, 4, stride=2, padding=1)),
        )
        self.up = _unit(nn.ConvTranspose2d(2 * base_channels, base_channels, 4, stride=2, padding=1))
        self.head = nn.ConvTranspose2d(base_channels, in_channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Purify images in [-1, 1], ``(N, in_channels, H, W)``; H and W are multiples of :attr:`divisor`."""
        return self.head(self.up(self.down(x))).tanh()


@MODELS.register_module()
class APEGANDiscriminator(nn.Module):
    """The discriminator of APE-GAN, in the same implementation: three 3x3 convolutions of stride 2 without padding, and
    a fully connected layer.

    At 32x32 pixels the last map is 3x3, as in the original. Maps of other sizes are averaged to 3x3, so that images of
    any size from 15x15 on have the same discriminator.

    Args:
        in_channels: channels of the images.
        base_channels: width of the first layer; doubled in each of the other two.
    """

    def __init__(self, in_channels: int = 3, base_channels: int = 64) -> None:
        super().__init__()
        widths = [base_channels, 2 * base_channels, 4 * base_channels]
        self.layers = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(in_channels, widths[0], 3, stride=2), nn.LeakyReLU()),
                _unit(nn.Conv2d(widths[0], widths[1], 3, stride=2)),
                _unit(nn.Conv2d(widths[1], widths[2], 3, stride=2)),
            ]
        )
        self.classifier = nn.Linear(9 * widths[2], 1)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """The outputs of all layers for images ``(N, in_channels, H, W)`` in [-1, 1], as one scale; the last are the
        logits, ``(N, 1)``.
        """
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return [[*outputs, self.classifier(F.adaptive_avg_pool2d(x, 3).flatten(1))]]
