"""The small ResNets of He et al. for CIFAR."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions around a parameter-free shortcut (option A of the paper)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.pad = (out_channels - in_channels) // 2

    def shortcut(self, x: Tensor) -> Tensor:
        """Every ``stride``-th pixel, with half of the new (zero) channels on either side of the old ones."""
        if self.stride == 1 and self.pad == 0:
            return x
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


@MODELS.register_module()
class CIFARResNet(BaseModule):
    """ResNet for 32x32 images, as in section 4.2 of `Deep Residual Learning for Image Recognition
    <https://arxiv.org/abs/1512.03385>`_.

    Three stages of 16, 32 and 64 channels with ``(depth - 2) / 6`` basic blocks each. The shortcuts have no
    parameters: ResNet-20 with a 10-class linear head has 269,722, ResNet-56 has 853,018. (MMPretrain's ``ResNet_CIFAR``
        is a different network: the ImageNet ResNet with a small stem.)

    Args:
        depth: ``6n + 2``: 8, 14, 20, 32, 44, 56, 110...
        in_channels: channels of the input images.
        init_cfg: MMEngine initialisation; He initialisation by default.

    Raises:
        ValueError: if ``depth`` is not ``6n + 2`` with ``n >= 1``.
    """

    def __init__(self, depth: int = 20, in_channels: int = 3, init_cfg: dict | list[dict] | None = None) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise UsageError(f'depth of a CIFAR ResNet must be 6n + 2 (8, 14, 20, 32, 44, 56...), got {depth}')
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer='BatchNorm2d', val=1),
            ]
        )
        num_blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._make_stage(16, 16, num_blocks, stride=1)
        self.layer2 = self._make_stage(16, 32, num_blocks, stride=2)
        self.layer3 = self._make_stage(32, 64, num_blocks, stride=2)

    @staticmethod
    def _make_stage(in_channels: int, out_channels: int, num_blocks: int, stride: int) -> nn.Sequential:
        blocks = [_BasicBlock(in_channels, out_channels, stride)]
        blocks += [_BasicBlock(out_channels, out_channels, 1) for _ in range(num_blocks - 1)]
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map normalised images ``(N, in_channels, H, W)`` to a tuple of one map ``(N, 64, H / 4, W / 4)``."""
        x = F.relu(self.bn1(self.conv1(x)))
        return (self.layer3(self.layer2(self.layer1(x))),)
