"""The autoregressive model of PixelDefend."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...registry import MODELS
from .logistic_mixture import PARAMETERS_PER_COMPONENT, LogisticMixture

# Kernels of the stream that sees the rows above, and of the one that also sees what is left in the same row.
_ABOVE, _LEFT = (2, 3), (2, 2)


class _ShiftedConv(nn.Module):
    """A convolution that sees no row below its position; with a kernel of even width, no column to the right either."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        height, width = kernel
        right = width // 2 if width % 2 else 0
        self.padding = (width - 1 - right, right, height - 1, 0)
        self.conv = nn.Conv2d(before, after, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.padding))


def _shift_down(x: Tensor) -> Tensor:
    return F.pad(x, (0, 0, 1, 0))[..., :-1, :]


def _shift_right(x: Tensor) -> Tensor:
    return F.pad(x, (1, 0, 0, 0))[..., :-1]


def _concat_elu(x: Tensor) -> Tensor:
    return F.elu(torch.cat([x, -x], 1))


class _GatedBlock(nn.Module):
    """Two shifted convolutions and a gate around a shortcut; ``side`` are further features that it sees."""

    def __init__(self, channels: int, kernel: tuple[int, int], side_channels: int, dropout: float) -> None:
        super().__init__()
        self.first = _ShiftedConv(2 * channels, channels, kernel)
        self.side = nn.Conv2d(2 * side_channels, channels, 1) if side_channels else None
        self.dropout = nn.Dropout2d(dropout)
        self.second = _ShiftedConv(2 * channels, 2 * channels, kernel)

    def forward(self, x: Tensor, side: Tensor | None = None) -> Tensor:
        out = self.first(_concat_elu(x))
        if self.side is not None and side is not None:
            out = out + self.side(_concat_elu(side))
        value, gate = self.second(self.dropout(_concat_elu(out))).chunk(2, 1)
        return x + value * gate.sigmoid()


class _Blocks(nn.Module):
    """A gated block of each stream; the second stream sees the first."""

    def __init__(self, channels: int, dropout: float, skip: bool) -> None:
        super().__init__()
        self.above = _GatedBlock(channels, _ABOVE, channels if skip else 0, dropout)
        self.left = _GatedBlock(channels, _LEFT, 2 * channels if skip else channels, dropout)

    def forward(
        self, streams: tuple[Tensor, Tensor], skipped: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        above, left = streams
        if skipped is None:
            above = self.above(above)
            return above, self.left(left, above)
        above = self.above(above, skipped[0])
        return above, self.left(left, torch.cat([above, skipped[1]], 1))


class _Resampling(nn.Module):
    """Both streams at half or twice the resolution."""

    def __init__(self, channels: int, enlarge: bool) -> None:
        super().__init__()
        stride = 1 if enlarge else 2
        self.above = _ShiftedConv(channels, channels, _ABOVE, stride)
        self.left = _ShiftedConv(channels, channels, _LEFT, stride)
        self.enlarge = enlarge

    def forward(self, streams: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        above, left = streams
        if self.enlarge:
            above, left = (F.interpolate(own, scale_factor=2, mode='nearest') for own in streams)
        return self.above(above), self.left(left)


@MODELS.register_module()
class PixelCNN(nn.Module):
    """Predicts each pixel of an image from those above it and to its left: PixelCNN++ (Salimans et al., ICLR 2017) at a
    smaller size. 0.86 M parameters by default; the published size is ``PixelCNN(channels=160, num_blocks=5,
    num_levels=3)``, 50 M.

    One stream of features sees the rows above a pixel, the other also what is left of it in its row; both are halved
    and doubled in resolution with shortcuts between, as in a U-Net. Doubling is by repetition and a convolution in
    place of a transposed convolution, and there is no weight normalization.

    Args:
        channels: width.
        num_blocks: gated blocks at each level, on the way down as on the way up.
        num_levels: resolutions.
        num_mixtures: components of the distribution of a pixel.
        dropout: probability that a channel is dropped in training.

    Attributes:
        divisor: height and width of the images are multiples of this.

    Raises:
        ValueError: for a number below 1.
    """

    def __init__(
        self, channels: int = 40, num_blocks: int = 2, num_levels: int = 2, num_mixtures: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if min(channels, num_blocks, num_levels, num_mixtures) < 1:
            raise UsageError(
                'PixelCNN: all numbers must be at least 1, got '
                f'{channels=}, {num_blocks=}, {num_levels=}, {num_mixtures=}'
            )
        self.divisor = 2 ** (num_levels - 1)
        # With a channel of ones, which tells the border from a grey image.
        self.stem_above = _ShiftedConv(4, channels, _ABOVE)
        self.stem_row = _ShiftedConv(4, channels, (1, 3))
        self.stem_left = _ShiftedConv(4, channels, (2, 1))
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for layers, way_up in ((self.down, False), (self.up, True)):
            for level in range(num_levels):
                if level:
                    layers.append(_Resampling(channels, enlarge=way_up))
                layers.extend(_Blocks(channels, dropout, skip=way_up) for _ in range(num_blocks))
        self.head = nn.Conv2d(channels, PARAMETERS_PER_COMPONENT * num_mixtures, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The parameters of each pixel's distribution, ``(N, 10 * num_mixtures, H, W)``; those of a pixel depend only
        on the pixels before it, row by row.

        Args:
            x: images in [-1, 1], ``(N, 3, H, W)``; H and W are multiples of :attr:`divisor`.
        """
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        streams = (
            _shift_down(self.stem_above(x)),
            _shift_down(self.stem_row(x)) + _shift_right(self.stem_left(x)),
        )
        skipped = []
        # Blocks of one level, the change of resolution, blocks of the next one.
        for layer in self.down:
            streams = layer(streams)
            if isinstance(layer, _Blocks):
                skipped.append(streams)
        for layer in self.up:
            streams = layer(streams, skipped.pop()) if isinstance(layer, _Blocks) else layer(streams)
        return self.head(F.elu(streams[1]))

    def log_likelihood(self, images: Tensor) -> Tensor:
        """Natural logarithms of the probability of 8-bit images ``(N, 3, H, W)`` in [-1, 1], ``(N, H, W)`` by pixel."""
        parameters = self(images)
        # Differences of probabilities need full precision.
        full = torch.promote_types(parameters.dtype, torch.get_default_dtype())
        with torch.autocast(images.device.type, enabled=False):
            return LogisticMixture.of(parameters.to(full)).log_probability(images.to(full))
