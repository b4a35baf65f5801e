"""Convolutions in the layout that their libraries are fastest in."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from torch.nn.utils import convert_conv2d_weight_memory_format

from ..models import unwrap
from ..registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Stores the weights of all 2D convolutions, the purifier's included, in PyTorch's channels-last layout.

    Feature maps follow their weights, so images stay as they are, and so do shapes, checkpoints and configs. Results
    differ by rounding. On CPUs it pays for most convolutional networks, on CUDA for those that train in half precision.
    """

    def before_run(self, runner) -> None:
        convert_conv2d_weight_memory_format(unwrap(runner.model), torch.channels_last)
