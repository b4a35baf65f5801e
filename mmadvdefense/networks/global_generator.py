"""The image-to-image generator used for purification."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import require_multiple
from ..registry import MODELS
from .initialization import init_normal


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    mode: Literal['reflect', 'zeros'] = 'reflect',
) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, padding_mode=mode)


def _unit(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.InstanceNorm2d(conv.out_channels), nn.ReLU(inplace=True))


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_unit(_conv(channels, channels, 3)), _conv(channels, channels, 3), nn.InstanceNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@MODELS.register_module()
class GlobalGenerator(nn.Module):
    """The global generator of pix2pixHD: down-sampling, residual blocks, up-sampling.

    Architecture: `High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
    <https://arxiv.org/abs/1711.11585>`_, section 3.2 and appendix. Instance norm has no parameters.

    Args:
        in_channels: channels of the input image.
        out_channels: channels of the output image.
        base_channels: width at full resolution, doubled by every down-sampling.
        num_downsamples: how many times the resolution is halved (the Align paper: 2 for 32-64 pixels, 4 otherwise).
        num_blocks: residual blocks at the lowest resolution.
        residual: predict a residual that is added to the input. The last layer is then initialized to zero, so that an
            untrained generator changes nothing.

    Raises:
        ValueError: if ``residual`` is set and the numbers of input and output channels differ.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        base_channels: int = 64,
        num_downsamples: int = 4,
        num_blocks: int = 9,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if residual and in_channels != out_channels:
            raise UsageError(
                f'a residual generator adds to its input: in_channels={in_channels} must equal {out_channels}'
            )
        widths = [base_channels * 2**level for level in range(num_downsamples + 1)]
        self.residual = residual
        self.divisor = 2**num_downsamples
        self.stem = _unit(_conv(in_channels, base_channels, 7))
        self.down = nn.Sequential(*(_unit(_conv(w, 2 * w, 3, 2, 'zeros')) for w in widths[:-1]))
        self.blocks = nn.Sequential(*(_ResidualBlock(widths[-1]) for _ in range(num_blocks)))
        self.up = nn.Sequential(
            *(_unit(nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1)) for w in reversed(widths[1:]))
        )
        self.head = _conv(base_channels, out_channels, 7)
        self.apply(init_normal)
        if residual:
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Purify.

        Args:
            x: images in [-1, 1], ``(N, in_channels, H, W)``; H and W are multiples of :attr:`divisor`.

        Returns:
            Images in [-1, 1], ``(N, out_channels, H, W)``.

        Raises:
            ValueError: if H or W is not a multiple of :attr:`divisor`.
        """
        require_multiple(x, self.divisor)
        out = self.head(self.up(self.blocks(self.down(self.stem(x)))))
        return (x + out).clamp(-1, 1) if self.residual else out.tanh()
