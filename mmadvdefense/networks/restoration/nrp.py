"""The networks of NRP."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...registry import MODELS

# Of a block's output before it is added to its input; the same for the dense block and the block of three of them.
RESIDUAL_SCALE = 0.2
SLOPE = 0.2


class _DenseBlock(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [channels + index * growth for index in range(5)]
        self.convs = nn.ModuleList(
            nn.Conv2d(width, channels if index == 4 else growth, 3, padding=1) for index, width in enumerate(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), SLOPE))
        return x + RESIDUAL_SCALE * self.convs[-1](torch.cat(seen, 1))


class _ResidualInResidualBlock(nn.Module):
    """RRDB of ESRGAN (arXiv 1809.00219): three dense blocks around a shortcut."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.blocks(x)


class _ResidualBlock(nn.Module):
    """Two convolutions around a shortcut, without normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@MODELS.register_module()
class NRPGenerator(nn.Module):
    """The purifier network of Naseer et al., "A Self-supervised Approach for Adversarial Robustness" (CVPR 2020): no
    batch norm, no shortcut from image to image, no activation at the end. It works on images in [0, 1], to which it
    converts at its own door.

    Args:
        in_channels: channels of the images.
        channels: width of the trunk.
        num_blocks: blocks of the trunk.
        growth: width of the inner layers of a dense block.
        light: plain residual blocks in place of the residual-in-residual dense ones: 1.70 M parameters by default,
            where the other has 16.55 M.
    """

    divisor = 1

    def __init__(
        self, in_channels: int = 3, channels: int = 64, num_blocks: int = 23, growth: int = 32, light: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.trunk = nn.Sequential(
            *(
                _ResidualBlock(channels) if light else _ResidualInResidualBlock(channels, growth)
                for _ in range(num_blocks)
            )
        )
        self.head = nn.Conv2d(channels, in_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Purify images in [-1, 1], ``(N, in_channels, H, W)`` of any size.

        Nothing keeps the output in [-1, 1]: a purifier clips what it hands on, and in training a clipped value would
        have no gradient.
        """
        return 2 * self.head(self.trunk(self.stem((x + 1) / 2))) - 1


@MODELS.register_module()
class NRPDiscriminator(nn.Module):
    """The critic of NRP, in the form of SRGAN's and ESRGAN's: pairs of a 3x3 convolution and a 4x4 one of stride 2,
    with batch norm, then two fully connected layers.

    The paper does not give the sizes. The last map is averaged to 4x4, so that images of any size have the same critic.

    Args:
        in_channels: channels of the images.
        base_channels: width of the first pair; doubled in each following one, up to eight times.
        num_pairs: pairs of convolutions, each of which halves the resolution: 5 for 128 pixels, 3 for 32.

    Raises:
        ValueError: for no pair.
    """

    def __init__(self, in_channels: int = 3, base_channels: int = 64, num_pairs: int = 5) -> None:
        super().__init__()
        if num_pairs < 1:
            raise UsageError(f'NRPDiscriminator: num_pairs must be at least 1, got {num_pairs}')
        widths = [in_channels, *(base_channels * min(2**level, 8) for level in range(num_pairs))]
        self.layers = nn.ModuleList()
        for index, (before, width) in enumerate(pairwise(widths)):
            self.layers.append(_unit(nn.Conv2d(before, width, 3, padding=1), norm=index > 0))
            self.layers.append(_unit(nn.Conv2d(width, width, 4, stride=2, padding=1)))
        self.classifier = nn.Sequential(nn.Linear(16 * widths[-1], 100), nn.LeakyReLU(SLOPE), nn.Linear(100, 1))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """The outputs of all layers for images ``(N, in_channels, H, W)`` in [-1, 1], as one scale; the last are the
        logits, ``(N, 1)``.
        """
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return [[*outputs, self.classifier(F.adaptive_avg_pool2d(x, 4).flatten(1))]]


def _unit(conv: nn.Conv2d, norm: bool = True) -> nn.Sequential:
    norms = [nn.BatchNorm2d(conv.out_channels)] if norm else []
    # Not in-place: feature matching uses every layer's output.
    return nn.Sequential(conv, *norms, nn.LeakyReLU(SLOPE))
