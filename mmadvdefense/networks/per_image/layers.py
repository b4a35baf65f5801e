"""Layers with separate weights for every image of a batch, for networks that are each fitted to one image."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional, Sequence

import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...randomness import Randomness

# The weights of all networks side by side, by name; the first dimension of each tensor is the image.
Parameters = dict[str, Tensor]


def draw_uniform(images: Tensor, shape: Sequence[int], fan_in: int, randomness: Randomness) -> Tensor:
    """Weights for every image, uniform within ±1/√fan_in, as PyTorch initializes convolutions and linear layers.

    Args:
        images: ``(N, ...)``; the weights get their type and device.
        shape: shape of one image's weights.
        fan_in: how many numbers each output is computed from.
        randomness: an image's weights come from its own stream.

    Returns:
        ``(N, *shape)``.
    """
    return (2 * randomness.uniform_like(images.new_empty(len(images), *shape)) - 1) / math.sqrt(fan_in)


class PerImageConv2d:
    """A convolution of ``(N, C, H, W)`` whose weights, ``(N, K, C, size, size)``, are given with each call.

    Args:
        in_channels: C.
        out_channels: K.
        kernel_size: height and width of the kernel.
        stride: between positions of the kernel.
        padding: zeros on every side.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0):
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding

    @classmethod
    def covering(cls, out_channels: int, kernel_size: int, stride: int) -> PerImageConv2d:
        """A convolution of images that sees every pixel.

        Raises:
            ValueError: for a kernel size that is even, or a stride that leaves pixels out.
        """
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise UsageError(f'kernel_size must be odd, got {kernel_size}')
        if not 1 <= stride <= kernel_size:
            raise UsageError(f'stride must be in 1-{kernel_size}, the kernel size, to see every pixel; got {stride}')
        return cls(3, out_channels, kernel_size, stride, padding=kernel_size // 2)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of one image's kernels."""
        return self.out_channels, self.in_channels, self.kernel_size, self.kernel_size

    @property
    def fan_in(self) -> int:
        """How many numbers each output is computed from."""
        return self.in_channels * self.kernel_size**2

    def output_size(self, size: Sequence[int]) -> tuple[int, int]:
        """``(H, W)`` of the output for an input of ``size``."""
        height, width = ((side + 2 * self.padding - self.kernel_size) // self.stride + 1 for side in size)
        return height, width

    def draw_weight(self, images: Tensor, randomness: Randomness) -> Tensor:
        return draw_uniform(images, self.shape, self.fan_in, randomness)

    def draw_bias(self, images: Tensor, randomness: Randomness) -> Tensor:
        return draw_uniform(images, (self.out_channels,), self.fan_in, randomness)

    def __call__(self, images: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
        return _grouped(F.conv2d, images, weight, bias, stride=self.stride, padding=self.padding)

    def transposed(self, features: Tensor, weight: Tensor, bias: Tensor, size: Sequence[int]) -> Tensor:
        """The transposed convolution, from K channels back to C.

        Args:
            features: ``(N, K, h, w)``, the output of the convolution of an image of ``size``.
            weight: ``(N, K, C, size, size)``.
            bias: ``(N, C)``.
            size: ``(H, W)`` of the result.
        """
        left_over = [(side + 2 * self.padding - self.kernel_size) % self.stride for side in size]
        settings = dict(stride=self.stride, padding=self.padding, output_padding=left_over)
        return _grouped(F.conv_transpose2d, features, weight, bias, **settings)


def _grouped(
    convolution: Callable[..., Tensor], images: Tensor, weight: Tensor, bias: Optional[Tensor], **settings: Any
) -> Tensor:
    """One convolution for all images: they become channels, and each is a group."""
    count = len(images)
    # A single group is computed differently from many and rounds differently, which grows over hundreds of steps: an
    # image would depend on whether it is alone in its batch. So there are always at least two.
    groups = max(count, 2)

    def side_by_side(value: Tensor) -> Tensor:
        return value.expand(groups, *value.shape[1:]).flatten(0, 1)

    biases = None if bias is None else side_by_side(bias)
    outputs = convolution(side_by_side(images)[None], side_by_side(weight), biases, groups=groups, **settings)
    return outputs.unflatten(1, (groups, -1))[0, :count]
