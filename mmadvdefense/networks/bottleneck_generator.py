"""A generator whose output has passed through a narrow bottleneck."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import require_multiple
from ..registry import MODELS
from .bottleneck_encoder import BottleneckEncoder
from .initialization import init_he, init_normal


def _unit(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def mix_low_passed(decoded: Tensor, x: Tensor, share: float, pool: int) -> Tensor:
    """Mix decoded images with a low-passed input, so that they remain pictures.

    Args:
        decoded: images in [-1, 1], ``(N, C, H, W)``.
        x: the input, of the same shape; H and W are multiples of ``pool`` unless ``share`` is 0.
        share: of the low-passed input in the result, in [0, 1).
        pool: side in pixels of the averages, which are interpolated bilinearly.

    Returns:
        Images in [-1, 1], of the same shape.
    """
    if not share:
        return decoded
    low = F.interpolate(F.avg_pool2d(x, pool), x.shape[-2:], mode='bilinear', align_corners=False)
    return decoded.lerp(low, share)


@MODELS.register_module()
class BottleneckGenerator(nn.Module):
    """Residual encoder, narrow code, bilinear decoder, and no path around the code.

    For training against adaptive attackers: in a residual generator, the identity path carries a perturbation to the
    target whatever the network learns, here nothing reaches the target but what the code holds. With the defaults, an
    image of 32x32 pixels becomes 4x4 positions of 32 numbers. 0.82 M parameters by default, 0.65 M of them in the
    encoder.

    Args:
        in_channels: channels of the images.
        num_downsamples: how many times the resolution is halved.
        widths: channels at each of the ``num_downsamples + 1`` resolutions, from the full one on; the decoder uses them
            in reverse.
        blocks: basic blocks of the encoder at each resolution.
        code_channels: channels of the code, between 1x1 convolutions; the smaller, the narrower the bottleneck.
        image_mix: share, in [0, 1), of the low-passed input in the output, so that it remains a picture. This is the
            one path around the code.
        image_pool: side in pixels of the low-pass filter's averages, which are interpolated bilinearly.
        encoder_checkpoint: checkpoint of a classifier with a :class:`BottleneckEncoder` of the same widths and blocks
            as its backbone. A :class:`~mmadvdefense.hooks.PurifierTrainHook` loads it into the encoder before the
            first update; whoever tests or resumes a trained generator does not need the file.

    Attributes:
        divisor: height and width of the images are multiples of this.
        pretrained: for each part that starts as one of a trained classifier's, by name: that part and the checkpoint.

    Raises:
        ValueError: for numbers that do not fit together or are out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_downsamples: int = 3,
        widths: Sequence[int] = (24, 48, 96, 128),
        blocks: Sequence[int] = (1, 2, 2, 1),
        code_channels: int = 32,
        image_mix: float = 0.0,
        image_pool: int = 8,
        encoder_checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != num_downsamples + 1:
            raise UsageError(
                f'num_downsamples={num_downsamples} needs {num_downsamples + 1} widths and blocks, got {tuple(widths)}'
            )
        if code_channels < 1 or image_pool < 1:
            raise UsageError(f'code_channels and image_pool must be at least 1, got {code_channels} and {image_pool}')
        if not 0 <= image_mix < 1:
            raise UsageError(f'image_mix is the share of the low-passed input, 0 to below 1, got {image_mix}')
        self.image_mix = image_mix
        self.image_pool = image_pool
        self.pretrained = {'encoder': ('backbone', encoder_checkpoint)} if encoder_checkpoint else {}
        self.encoder = BottleneckEncoder(in_channels, widths, blocks)
        self.divisor = math.lcm(self.encoder.divisor, image_pool) if image_mix else self.encoder.divisor
        self.to_code = nn.Conv2d(widths[-1], code_channels, 1)
        self.from_code = _unit(code_channels, widths[-1], 1)
        self.decoder = nn.ModuleList(_unit(below, width, 3) for below, width in zip(widths[:0:-1], widths[-2::-1]))
        self.head = nn.Conv2d(widths[0], in_channels, 3, padding=1)
        for module in (self.to_code, self.from_code, self.decoder):
            module.apply(init_he)
        # Small, so that tanh does not saturate from the start.
        init_normal(self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Purify.

        Args:
            x: images in [-1, 1], ``(N, in_channels, H, W)``; H and W are multiples of :attr:`divisor`.

        Returns:
            ``(1 - image_mix) * decoded + image_mix * low_passed``: images in [-1, 1], of the same shape.

        Raises:
            ValueError: if H or W is not a multiple of :attr:`divisor`.
        """
        require_multiple(x, self.divisor)
        out = self.from_code(self.to_code(self.encoder(x)[-1]))
        for unit in self.decoder:
            out = unit(F.interpolate(out, scale_factor=2, mode='bilinear', align_corners=False))
        return mix_low_passed(self.head(out).tanh(), x, self.image_mix, self.image_pool)
