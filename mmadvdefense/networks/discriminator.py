"""The discriminator that distinguishes purified adversarial from purified clean images."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import MODELS
from .initialization import init_normal

MAX_CHANNELS = 512


class _PatchDiscriminator(nn.Module):
    """One scale: ``num_layers`` convolutions of stride 2, one of stride 1, and one that yields the logits."""

    def __init__(self, in_channels: int, base_channels: int, num_layers: int) -> None:
        super().__init__()
        widths = [in_channels, *(min(base_channels * 2**level, MAX_CHANNELS) for level in range(num_layers + 1)), 1]
        self.layers = nn.ModuleList()
        for index, (width, next_width) in enumerate(pairwise(widths)):
            layer: list[nn.Module] = [nn.Conv2d(width, next_width, 4, stride=2 if index < num_layers else 1, padding=2)]
            if 0 < index <= num_layers:
                layer.append(nn.InstanceNorm2d(next_width))
            if index <= num_layers:
                # Not in-place: feature matching uses every layer's output.
                layer.append(nn.LeakyReLU(0.2))
            self.layers.append(nn.Sequential(*layer))

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs


@MODELS.register_module()
class MultiscaleDiscriminator(nn.Module):
    """The multi-scale PatchGAN of pix2pixHD.

    Architecture: `High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
    <https://arxiv.org/abs/1711.11585>`_, section 3.2 and appendix. Instance norm has no parameters.

    Args:
        in_channels: channels of the input: 3 for images, more where a condition is concatenated to them.
        base_channels: width of the first layer; doubled in each following layer, up to 512.
        num_layers: number of layers that halve the resolution.
        num_scales: number of discriminators; each sees the image at half the resolution of the previous one.
    """

    def __init__(self, in_channels: int = 3, base_channels: int = 64, num_layers: int = 3, num_scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            _PatchDiscriminator(in_channels, base_channels, num_layers) for _ in range(num_scales)
        )
        self.apply(init_normal)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Compute patch-wise logits and intermediate features.

        Args:
            x: images in [-1, 1], ``(N, in_channels, H, W)``.

        Returns:
            For each scale, full resolution first, the outputs of its ``num_layers + 2`` layers; the last of them is the
            logits map ``(N, 1, h, w)``.
        """
        outputs = []
        for index, scale in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            outputs.append(scale(x))
        return outputs
