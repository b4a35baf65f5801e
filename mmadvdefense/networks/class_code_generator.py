"""A generator that shows the target nothing but class probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import require_multiple
from ..registry import MODELS
from .bottleneck_encoder import BottleneckEncoder
from .bottleneck_generator import mix_low_passed


@MODELS.register_module()
class ClassCodeGenerator(nn.Module):
    """Residual encoder, one score per class, and a learned drawing of each class.

    For training against adaptive attackers: the narrowest bottleneck through which a classifier can see an image. The
    output is ``tanh(sum_k p_k d_k)``, with the softmax ``p`` of the encoder's class scores and a drawing ``d_k`` of
    each class, learned so that the target recognizes it. The purifier is then as robust as its encoder is as a
    classifier, as long as the target reads the drawings as they are meant, and no more than that: what the target has
    learned about images is not used. For classifiers only. With the defaults and ten classes, 0.68 M parameters.

    Args:
        num_classes: classes of the encoder and of the target.
        in_channels: channels of the images.
        widths: channels of the encoder at each resolution, from the full one on.
        blocks: basic blocks of the encoder at each resolution.
        size: height and width of the drawings, which are resized to the images' bilinearly.
        image_mix: share, in [0, 1), of the low-passed input in the output, so that it remains a picture. This is the
            one path around the code.
        image_pool: side in pixels of the low-pass filter's averages, which are interpolated bilinearly.
        encoder_checkpoint: checkpoint of a classifier with a :class:`BottleneckEncoder` of the same widths and blocks
            as its backbone and a linear head. A :class:`~mmadvdefense.hooks.PurifierTrainHook` loads both before the
            first update; whoever tests or resumes a trained generator does not need the file.

    Attributes:
        for_classifiers: whether no segmentor or detector finds anything in the output.
        divisor: height and width of the images are multiples of this.
        pretrained: for each part that starts as one of a trained classifier's, by name: that part and the checkpoint.

    Raises:
        ValueError: for numbers that do not fit together or are out of range.
    """

    for_classifiers = True

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        widths: Sequence[int] = (24, 48, 96, 128),
        blocks: Sequence[int] = (1, 2, 2, 1),
        size: tuple[int, int] = (32, 32),
        image_mix: float = 0.0,
        image_pool: int = 8,
        encoder_checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2 or min(size) < 1 or image_pool < 1:
            raise UsageError(
                'ClassCodeGenerator: num_classes is at least 2, and size and image_pool are at least 1, '
                f'got {num_classes}, {size} and {image_pool}'
            )
        if not 0 <= image_mix < 1:
            raise UsageError(f'image_mix is the share of the low-passed input, 0 to below 1, got {image_mix}')
        self.image_mix = image_mix
        self.image_pool = image_pool
        parts = dict(encoder='backbone', scores='head.fc')
        self.pretrained = {name: (part, encoder_checkpoint) for name, part in parts.items() if encoder_checkpoint}
        self.encoder = BottleneckEncoder(in_channels, widths, blocks)
        self.divisor = math.lcm(self.encoder.divisor, image_pool) if image_mix else self.encoder.divisor
        self.scores = nn.Linear(widths[-1], num_classes)
        self.drawings = nn.Parameter(torch.randn(num_classes, in_channels, *size))

    def forward(self, x: Tensor) -> Tensor:
        """Purify.

        Args:
            x: images in [-1, 1], ``(N, in_channels, H, W)``; H and W are multiples of :attr:`divisor`.

        Returns:
            ``(1 - image_mix) * drawn + image_mix * low_passed``: images in [-1, 1], of the same shape.

        Raises:
            ValueError: if H or W is not a multiple of :attr:`divisor`.
        """
        require_multiple(x, self.divisor)
        probabilities = self.scores(self.encoder(x)[-1].mean((-2, -1))).softmax(-1)
        drawn = torch.einsum('nk,kchw->nchw', probabilities, self.drawings)
        drawn = F.interpolate(drawn, x.shape[-2:], mode='bilinear', align_corners=False)
        return mix_low_passed(drawn.tanh(), x, self.image_mix, self.image_pool)
