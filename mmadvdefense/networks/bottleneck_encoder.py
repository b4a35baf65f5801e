"""A small residual encoder, which a generator and a classifier can share."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from .initialization import init_he


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes (option B)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


@MODELS.register_module()
class BottleneckEncoder(BaseModule):
    """A 3x3 stem and one stage of basic blocks per resolution, in the manner of ResNet (arXiv 1512.03385).

    The encoder of :class:`BottleneckGenerator`, and a backbone for MMPretrain, so that it can be trained as a
    classifier first. It then sees what it sees in the generator, images in [-1, 1] in the channel order of the
    pipeline, if the classifier's preprocessor has a mean and std of 127.5 and leaves the channels as they are. By
    default it has 0.65 M parameters and maps 32x32 pixels to 4x4 positions.

    Args:
        in_channels: channels of the input images.
        widths: channels at each resolution, from the full one on; every further one halves height and width.
        blocks: basic blocks at each resolution; 0 is possible at the full one, which then has the stem alone.
        init_cfg: MMEngine initialization; by default, He's as drawn by the constructor.

    Attributes:
        divisor: height and width of images in a generator are multiples of this.

    Raises:
        ValueError: if ``widths`` and ``blocks`` differ in length, are empty, or hold numbers that are too small.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (24, 48, 96, 128),
        blocks: Sequence[int] = (1, 2, 2, 1),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        widths, blocks = tuple(widths), tuple(blocks)
        if not widths or len(widths) != len(blocks):
            raise UsageError(f'widths and blocks hold one number per resolution each, got {widths} and {blocks}')
        if min(widths) < 1 or blocks[0] < 0 or min(blocks[1:], default=1) < 1:
            raise UsageError(
                f'widths must be positive, and so must all blocks but the first, which may be 0; '
                f'got widths={widths}, blocks={blocks}'
            )
        super().__init__(init_cfg)
        self.divisor = 2 ** (len(widths) - 1)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.stages = nn.Sequential(
            *(
                _stage(before, width, number, stride=2 if level else 1)
                for level, (before, width, number) in enumerate(zip([widths[0], *widths], widths, blocks))
            )
        )
        self.apply(init_he)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map images ``(N, in_channels, H, W)`` to a tuple of the last stage's map ``(N, widths[-1], h, w)``.

        ``h`` and ``w`` are H and W divided by :attr:`divisor`, rounded up.
        """
        return (self.stages(self.stem(x)),)


def _stage(in_channels: int, out_channels: int, number: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            _BasicBlock(out_channels if index else in_channels, out_channels, 1 if index else stride)
            for index in range(number)
        )
    )
