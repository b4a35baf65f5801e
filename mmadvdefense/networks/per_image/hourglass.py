"""The untrained network of the deep image prior."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...randomness import Randomness
from ...registry import MODELS
from .layers import Parameters, PerImageConv2d


@MODELS.register_module()
class HourglassNetworks(nn.Module):
    """A small U-Net from noise to an image, with one network for each image: "hourglass" with skip connections of
    Ulyanov et al., "Deep Image Prior" (CVPR 2018), at widths for small images. Multiples of 16 are fast.

    Every unit is a 3x3 convolution, a normalisation of each channel of each image (what batch norm is for one image)
    and LeakyReLU 0.2; a skip connection is a unit of 1x1. A sigmoid ends in [0, 1].

    Args:
        noise_channels: of the input.
        widths: channels of each stage; every stage but the first halves the resolution.
        skip_channels: of each skip connection.

    Raises:
        ValueError: for no stage, or one without channels.
    """

    def __init__(self, noise_channels: int = 16, widths: Sequence[int] = (16, 32, 64), skip_channels: int = 16) -> None:
        super().__init__()
        if not widths or min(noise_channels, skip_channels, *widths) < 1:
            raise UsageError(
                'an hourglass needs at least one stage, and channels everywhere; got '
                f'noise_channels={noise_channels}, widths={tuple(widths)}, skip_channels={skip_channels}'
            )
        self.noise_channels = noise_channels
        self.depth = len(widths)
        before = [noise_channels, *widths]
        units: dict[str, PerImageConv2d] = {}
        for stage, width in enumerate(widths):
            units[f'down{stage}'] = PerImageConv2d(before[stage], width, 3, stride=2 if stage else 1, padding=1)
            units[f'down{stage}_next'] = PerImageConv2d(width, width, 3, padding=1)
        for stage in reversed(range(self.depth - 1)):
            units[f'skip{stage}'] = PerImageConv2d(widths[stage], skip_channels, 1)
            units[f'up{stage}'] = PerImageConv2d(widths[stage + 1] + skip_channels, widths[stage], 3, padding=1)
        units['image'] = PerImageConv2d(widths[0], 3, 1)
        self.units = units

    def draw(self, images: Tensor, randomness: Randomness) -> Parameters:
        """Random weights for each of ``(N, 3, H, W)``."""
        parameters: Parameters = {}
        for name, conv in self.units.items():
            parameters[name] = conv.draw_weight(images, randomness)
            if name == 'image':
                parameters['image_bias'] = conv.draw_bias(images, randomness)
            else:
                parameters[f'{name}_scale'] = images.new_ones(len(images), conv.out_channels)
                parameters[f'{name}_shift'] = images.new_zeros(len(images), conv.out_channels)
        return parameters

    def draw_noise(self, images: Tensor, randomness: Randomness) -> Tensor:
        """The input for each of ``(N, 3, H, W)``: uniform in [0, 0.1), ``(N, noise_channels, H, W)``."""
        return randomness.uniform_like(images.new_empty(len(images), self.noise_channels, *images.shape[2:])) / 10

    def forward(self, noise: Tensor, parameters: Parameters) -> Tensor:
        """Images in [0, 1], ``(N, 3, H, W)``, from ``(N, noise_channels, H, W)``."""
        out = noise
        skips = []
        for stage in range(self.depth):
            out = self._unit(f'down{stage}_next', self._unit(f'down{stage}', out, parameters), parameters)
            if stage < self.depth - 1:
                skips.append(self._unit(f'skip{stage}', out, parameters))
        for stage in reversed(range(self.depth - 1)):
            out = F.interpolate(out, skips[stage].shape[-2:], mode='bilinear', align_corners=False)
            out = self._unit(f'up{stage}', torch.cat([out, skips[stage]], 1), parameters)
        return self.units['image'](out, parameters['image'], parameters['image_bias']).sigmoid()

    def _unit(self, name: str, features: Tensor, parameters: Parameters) -> Tensor:
        scale, shift = (parameters[f'{name}_{kind}'][..., None, None] for kind in ('scale', 'shift'))
        out = self.units[name](features, parameters[name])
        return F.leaky_relu(F.layer_norm(out, out.shape[-2:]) * scale + shift, 0.2)
