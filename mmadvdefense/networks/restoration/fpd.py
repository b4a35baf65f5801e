"""The network of FPD."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...pixels import require_multiple
from ...registry import MODELS
from ..bottleneck_encoder import BottleneckEncoder
from ..initialization import init_he, init_normal


def denoised(features: Tensor) -> Tensor:
    """A feature map ``(N, C, H, W)`` plus its non-local mean with dot products, ``F + (F F^T) F / (H W)``."""
    positions = features.flatten(2)
    # Divided first, because sums over all positions can overflow half precision.
    scaled = positions / positions.shape[2] ** 0.5
    return features + (scaled @ scaled.mT @ positions).view_as(features)


@MODELS.register_module()
class FPDGenerator(nn.Module):
    """The restoration branch of Li et al., "Enhancing Intrinsic Adversarial Robustness via Feature Pyramid Decoder"
    (CVPR 2020), with an encoder of its own.

    In the paper the classifier's own layers are the encoder: it runs twice, first to restore the image, then to
    classify what has been restored, and both passes are trained. In front of a frozen target the encoder has to be
    another network, here a residual one; ``encoder_checkpoint`` starts it as a trained classifier's backbone.

    1x1 convolutions bring all stages to ``channels``, which are added from coarse to fine (bilinear); a 3x3
    convolution and transposed ones, 256 to 64 to 16 to 3 by default, make an image of the finest stage. The image, the
    stem and the first stage are followed by :func:`denoised`. 3.67 M parameters by default.

    Args:
        in_channels: channels of the images.
        widths: channels of each stage of the encoder, from the full resolution on; each further one halves it.
        blocks: basic blocks of each stage.
        channels: width of the pyramid.
        head_channels: widths between the pyramid and the image.
        finest: the finest stage of the pyramid, from 0, the full resolution. The transposed convolutions double the
            resolution so many times; 2 for large images, whose ResNets begin at a quarter of the resolution.
        denoise: whether to follow image, stem and first stage by :func:`denoised`.
        encoder_checkpoint: as for :class:`BottleneckGenerator`: of a classifier whose backbone is a
            :class:`BottleneckEncoder` of the same widths and blocks.

    Attributes:
        divisor: height and width of the images are multiples of this.
        pretrained: for each part that starts as one of a trained classifier's, by name: that part and the checkpoint.

    Raises:
        ValueError: for ``widths`` and ``blocks`` that do not fit together, or a ``finest`` stage that leaves no pyramid
            or more doublings than there are transposed convolutions.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (32, 64, 128, 256),
        blocks: Sequence[int] = (2, 2, 2, 2),
        channels: int = 256,
        head_channels: Sequence[int] = (64, 16),
        finest: int = 0,
        denoise: bool = True,
        encoder_checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        head_widths = [channels, *head_channels, in_channels]
        if not 0 <= finest < len(widths) - 1 or finest >= len(head_widths):
            raise UsageError(
                f'FPDGenerator: a pyramid has at least two stages, and at most as many doublings as transposed '
                f'convolutions, got finest={finest} with widths={tuple(widths)}, head_channels={tuple(head_channels)}'
            )
        self.finest = finest
        self.denoise = denoise
        self.pretrained = {'encoder': ('backbone', encoder_checkpoint)} if encoder_checkpoint else {}
        self.encoder = BottleneckEncoder(in_channels, widths, blocks)
        self.divisor = self.encoder.divisor
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths[finest:])
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        steps: list[nn.Module] = []
        for index, (before, width) in enumerate(pairwise(head_widths)):
            kernel_size, stride = (4, 2) if index < finest else (3, 1)
            steps += [nn.ReLU(), nn.ConvTranspose2d(before, width, kernel_size, stride, padding=1)]
        self.head = nn.Sequential(*steps)
        for module in (self.laterals, self.smooth):
            module.apply(init_he)
        # Small, so that tanh does not saturate from the start.
        init_normal(self.head[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Restore images in [-1, 1], ``(N, in_channels, H, W)``; H and W are multiples of :attr:`divisor`."""
        require_multiple(x, self.divisor)
        out = self.encoder.stem(self._denoised(x))
        maps = []
        for index, stage in enumerate(self.encoder.stages):
            out = stage(self._denoised(out) if index == 0 else out)
            out = self._denoised(out) if index == 0 else out
            maps.append(out)
        *finer, coarsest = (lateral(own) for lateral, own in zip(self.laterals, maps[self.finest :]))
        total = coarsest
        for own in reversed(finer):
            total = own + F.interpolate(total, own.shape[-2:], mode='bilinear', align_corners=False)
        return self.head(self.smooth(total)).tanh()

    def _denoised(self, features: Tensor) -> Tensor:
        return denoised(features) if self.denoise else features
