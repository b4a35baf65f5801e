"""The neck and anchors that turn MMDetection's SSD300 into RFBNet300, the second detector of the Align paper."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import TASK_UTILS
from torch import Tensor, nn

from ..registry import MODELS

# Channels, kernel, stride and dilation of a convolution.
_Conv = tuple[int, int | tuple[int, int], int, int]


def _unit(in_channels: int, conv: _Conv, relu: bool, padded: bool = True) -> ConvModule:
    """Convolution without bias, batch norm and, if ``relu``, ReLU."""
    channels, kernel, stride, dilation = conv
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (dilation * (height // 2), dilation * (width // 2)) if padded else 0
    return ConvModule(
        in_channels,
        channels,
        kernel,
        stride,
        padding,
        dilation,
        norm_cfg=dict(type='BN', momentum=0.01),
        act_cfg=dict(type='ReLU') if relu else None,
    )


class _RFB(nn.Module):
    """A receptive field block: branches with increasing kernel sizes and dilations, fused and added to a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, branches: Sequence[Sequence[_Conv]]) -> None:
        super().__init__()
        self.branches = nn.ModuleList()
        for branch in branches:
            widths = [in_channels, *(conv[0] for conv in branch)]
            units = [_unit(width, conv, conv is not branch[-1]) for width, conv in zip(widths, branch)]
            self.branches.append(nn.Sequential(*units))
        fused = sum(branch[-1][0] for branch in branches)
        self.fuse = _unit(fused, (out_channels, 1, 1, 1), relu=False)
        self.shortcut = _unit(in_channels, (out_channels, 1, stride, 1), relu=False)

    def forward(self, x: Tensor) -> Tensor:
        fused = self.fuse(torch.cat([branch(x) for branch in self.branches], 1))
        return (fused + self.shortcut(x)).relu()


def _rfb(in_channels: int, out_channels: int, stride: int = 1) -> _RFB:
    """The block of the deeper levels."""
    width = in_channels // 8
    branches = [
        [(2 * width, 1, stride, 1), (2 * width, 3, 1, 2)],
        [(width, 1, 1, 1), (2 * width, 3, stride, 1), (2 * width, 3, 1, 3)],
        [(width, 1, 1, 1), (width // 2 * 3, 3, 1, 1), (2 * width, 3, stride, 1), (2 * width, 3, 1, 5)],
    ]
    return _RFB(in_channels, out_channels, stride, branches)


def _rfb_a(channels: int) -> _RFB:
    """The block of the shallowest level: smaller kernels in more branches."""
    width = channels // 4
    branches: list[list[_Conv]] = [
        [(width, 1, 1, 1), (width, 3, 1, 1)],
        [(width, 1, 1, 1), (width, (3, 1), 1, 1), (width, 3, 1, 3)],
        [(width, 1, 1, 1), (width, (1, 3), 1, 1), (width, 3, 1, 3)],
        [(width // 2, 1, 1, 1), (width // 4 * 3, (1, 3), 1, 1), (width, (3, 1), 1, 1), (width, 3, 1, 5)],
    ]
    return _RFB(channels, channels, 1, branches)


@MODELS.register_module()
class RFBNeck(BaseModule):
    """The layers of `Receptive Field Block Net <https://arxiv.org/abs/1711.07767>`_ between SSD's trunk and head: an
    RFB-a on conv4_3, an RFB on fc7, two RFBs of stride 2 and two pairs of plain convolutions.

    RFBNet300 is ``SSDVGG``, this neck and ``SSDHead`` with 6/6/6/6/4/4 anchors, assembled in
    ``configs/_base_/models/rfbnet300.py``: 36,531,296 parameters for 20 classes and the background. Since it is a neck,
    fc7 remains the last map of the backbone, where the alignment terms read features.

    Args:
        in_channels: channels of conv4_3 and fc7.
        init_cfg: MMEngine initialisation; He initialisation by default.
    """

    def __init__(self, in_channels: Sequence[int] = (512, 1024), init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', layer='BatchNorm2d', val=1),
            ]
        )
        shallow, deep = in_channels
        self.rfb_a = _rfb_a(shallow)
        self.extras = nn.ModuleList([_rfb(deep, 1024), _rfb(1024, 512, 2), _rfb(512, 256, 2)])
        for _ in range(2):
            self.extras.append(_unit(256, (128, 1, 1, 1), relu=True))
            self.extras.append(_unit(128, (256, 3, 1, 1), relu=True, padded=False))
        self.out_indices = (0, 1, 2, 4, 6)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map conv4_3 and fc7, for 300 px ``(N, 512, 38, 38)`` and ``(N, 1024, 19, 19)``, to six levels of 38, 19, 10,
        5, 3 and 1 cells with 512, 1024, 512, 256, 256 and 256 channels.
        """
        conv4_3, x = inputs
        outs = [self.rfb_a(conv4_3)]
        for index, layer in enumerate(self.extras):
            x = layer(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)


@functools.cache
def _clipped_anchor_generator() -> type:
    # Imported lazily, so that only detectors need MMDetection.
    from mmdet.models.task_modules import SSDAnchorGenerator

    class ClippedSSDAnchorGenerator(SSDAnchorGenerator):
        def single_level_grid_priors(self, *args: Any, **kwargs: Any) -> Tensor:
            corners = super().single_level_grid_priors(*args, **kwargs)
            centre = ((corners[:, :2] + corners[:, 2:]) / 2).clamp(0, self.input_size)
            half = (corners[:, 2:] - corners[:, :2]).clamp(max=self.input_size) / 2
            return torch.cat([centre - half, centre + half], 1)

    return ClippedSSDAnchorGenerator


@TASK_UTILS.register_module()
def ClippedSSDAnchorGenerator(**kwargs: Any) -> Any:
    """MMDetection's ``SSDAnchorGenerator`` with the centres, widths and heights of anchors clipped to the input.

    The authors' checkpoints were trained with such anchors. It matters for the widest ones of the last two levels and
    for the outermost cells of the 10 x 10 level, whose centres would lie outside.

    Args:
        kwargs: of ``SSDAnchorGenerator``; with ``basesize_ratio_range`` and ``input_size``.
    """
    return _clipped_anchor_generator()(**kwargs)
