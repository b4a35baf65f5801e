"""The super-resolution network of EDSR."""

from __future__ import annotations

import math

from torch import Tensor, nn

from ...errors import UsageError
from ...registry import MODELS


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual_scale * self.body(x)


@MODELS.register_module()
class EDSR(nn.Module):
    """Enlarges images (Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPR workshops
    2017, the baseline model): residual blocks without batch norm at the size of the input, then sub-pixel convolutions.
    1,369,859 parameters by default.

    Args:
        in_channels: channels of the images.
        channels: width.
        num_blocks: residual blocks.
        scale: factor of enlargement, a power of 2.
        residual_scale: multiplies what a block adds; the paper's large models have 0.1.

    Raises:
        ValueError: for a scale that is not a power of 2 above 1.
    """

    divisor = 1

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 64,
        num_blocks: int = 16,
        scale: int = 2,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise UsageError(f'EDSR: scale must be a power of 2 above 1, got {scale}')
        self.scale = scale
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_ResidualBlock(channels, residual_scale) for _ in range(num_blocks)))
        self.merge = nn.Conv2d(channels, channels, 3, padding=1)
        steps: list[nn.Module] = []
        for _ in range(int(math.log2(scale))):
            steps += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2)]
        self.enlarge = nn.Sequential(*steps)
        self.head = nn.Conv2d(channels, in_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge images in [-1, 1], ``(N, in_channels, H, W)``, to ``(N, in_channels, scale * H, scale * W)``.

        Nothing keeps the output in [-1, 1].
        """
        out = self.stem(x)
        out = out + self.merge(self.blocks(out))
        return self.head(self.enlarge(out))
