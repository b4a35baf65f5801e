"""The denoiser of HGD."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


def _stage(in_channels: int, out_channels: int, num_units: int, stride: int = 1) -> nn.Sequential:
    """Units of 3x3 convolution, batch norm and ReLU; the first one has the stride."""
    layers: list[nn.Module] = []
    for index in range(num_units):
        conv = nn.Conv2d(
            out_channels if index else in_channels, out_channels, 3, 1 if index else stride, padding=1, bias=False
        )
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


@MODELS.register_module()
class DUNet(nn.Module):
    """Denoising U-Net that predicts the negative noise, DUNET of `Defense against Adversarial Attacks Using High-Level
    Representation Guided Denoiser <https://arxiv.org/abs/1712.02976>`_, section 3.2. 11.0 M parameters by default.

    Args:
        in_channels: channels of the image.
        widths: channels of each encoder stage; every stage but the first halves the resolution. The decoder uses them
            in reverse, from the second to last.
        encoder_units: convolutions in each encoder stage.
        decoder_units: convolutions in each decoder stage, from deep to shallow.
        lateral: whether decoder stages receive the encoder's output at their resolution. False gives the paper's DAE.
        zero_init: initialize the last convolution to zero, so that an untrained network changes nothing.

    Raises:
        ValueError: if ``encoder_units`` or ``decoder_units`` do not fit the number of stages.
    """

    divisor = 1

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 256, 256),
        encoder_units: Sequence[int] = (2, 3, 3, 3, 3),
        decoder_units: Sequence[int] = (3, 3, 3, 2),
        lateral: bool = True,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        if len(encoder_units) != len(widths) or len(decoder_units) != len(widths) - 1:
            raise UsageError(
                f'{len(widths)} widths need as many encoder_units and one fewer decoder_units, '
                f'but there are {len(encoder_units)} and {len(decoder_units)}'
            )
        self.lateral = lateral
        self.encoder = nn.ModuleList(
            _stage(before, width, units, stride=2 if index else 1)
            for index, (before, width, units) in enumerate(zip([in_channels, *widths], widths, encoder_units))
        )
        deep_to_shallow = list(reversed(widths))
        self.decoder = nn.ModuleList(
            _stage(below + width if lateral else below, width, units)
            for below, width, units in zip(deep_to_shallow, deep_to_shallow[1:], decoder_units)
        )
        self.head = nn.Conv2d(widths[0], in_channels, 1, bias=False)
        if zero_init:
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Denoise.

        Args:
            x: images in [-1, 1], ``(N, in_channels, H, W)`` of any size.

        Returns:
            Images in [-1, 1], of the same shape.
        """
        out = x
        laterals = []
        for stage in self.encoder:
            out = stage(out)
            laterals.append(out)
        for stage, lateral in zip(self.decoder, reversed(laterals[:-1])):
            out = F.interpolate(out, lateral.shape[-2:], mode='bilinear', align_corners=False)
            out = stage(torch.cat([out, lateral], 1) if self.lateral else out)
        return (x + self.head(out)).clamp(-1, 1)
