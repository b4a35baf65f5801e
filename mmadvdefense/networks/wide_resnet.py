"""Wide residual networks, the usual CIFAR target of the adversarial-robustness literature."""

from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


class _PreActBlock(nn.Module):
    """BN-ReLU-conv twice; where the width changes, the shortcut is a 1x1 convolution of the activated input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x))
        identity = x if self.shortcut is None else self.shortcut(activated)
        out = F.relu(self.bn2(self.conv1(activated)))
        return identity + self.conv2(self.dropout(out))


@MODELS.register_module()
class WideResNet(BaseModule):
    """`Wide Residual Network <https://arxiv.org/abs/1605.07146>`_ in the variant of `TRADES
    <https://arxiv.org/abs/1901.08573>`_: the first stage has stride 1, the other two stride 2.

    WRN-34-10 with a 10-class linear head has 46,160,474 parameters. (The class of TRADES also has a ``sub_block1`` that
    its forward pass never uses; it is omitted here.)

    Args:
        depth: ``6n + 4``; every stage has ``n`` blocks.
        widen_factor: the stages are ``16``, ``32`` and ``64`` times this wide.
        dropout: drop probability between the two convolutions of a block.
        in_channels: channels of the input images.
        init_cfg: MMEngine initialisation; He initialisation by default.

    Raises:
        ValueError: if ``depth`` is not ``6n + 4`` with ``n >= 1``, or ``widen_factor`` is below 1.
    """

    def __init__(
        self,
        depth: int = 34,
        widen_factor: int = 10,
        dropout: float = 0.0,
        in_channels: int = 3,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if depth < 10 or (depth - 4) % 6:
            raise UsageError(f'depth of a wide ResNet must be 6n + 4 (10, 16, 22, 28, 34, 40...), got {depth}')
        if widen_factor < 1:
            raise UsageError(f'widen_factor must be at least 1, got {widen_factor}')
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer='BatchNorm2d', val=1),
            ]
        )
        num_blocks = (depth - 4) // 6
        widths = [16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.layer1 = self._make_stage(16, widths[0], num_blocks, 1, dropout)
        self.layer2 = self._make_stage(widths[0], widths[1], num_blocks, 2, dropout)
        self.layer3 = self._make_stage(widths[1], widths[2], num_blocks, 2, dropout)
        self.bn1 = nn.BatchNorm2d(widths[2])

    @staticmethod
    def _make_stage(in_channels: int, out_channels: int, num_blocks: int, stride: int, dropout: float) -> nn.Sequential:
        blocks = [_PreActBlock(in_channels, out_channels, stride, dropout)]
        blocks += [_PreActBlock(out_channels, out_channels, 1, dropout) for _ in range(num_blocks - 1)]
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map normalised images ``(N, in_channels, H, W)`` to a tuple of one map
        ``(N, 64 * widen_factor, H / 4, W / 4)``.
        """
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return (F.relu(self.bn1(x)),)
