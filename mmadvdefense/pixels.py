"""The pixel contract: raw float pixels in 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``, order as loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor

Pixels = Union[Tensor, Sequence[Tensor]]
PIXEL_MAX = 255.0


@dataclass(frozen=True)
class Layout:
    """How a batch was given: one tensor, or a list of images that may differ in size."""

    sizes: tuple[tuple[int, int], ...]
    is_list: bool

    @property
    def is_uniform(self) -> bool:
        return len(set(self.sizes)) <= 1

    def repeat(self, times: int) -> Layout:
        return Layout(self.sizes * times, self.is_list)


def check_channels(images: Pixels, names: Optional[Sequence[str]] = None) -> None:
    """Raise a ``ValueError`` that names the first image that has not three channels.

    Args:
        images: a batch of images.
        names: a name for each, usually its file.
    """
    for index, image in enumerate(images):
        if image.ndim != 3 or image.shape[0] != 3:
            name = names[index] if names else f'image {index} of the batch'
            raise ValueError(
                f'{name} has shape {tuple(image.shape)}, but attacks and purifiers take 3 channels (3, H, W); '
                "load it with LoadImageFromFile(color_type='color')"
            )


def stack(images: Pixels) -> tuple[Tensor, Layout]:
    """One ``(N, 3, H, W)`` tensor; smaller images of a list are padded with zeros below and on the right."""
    if isinstance(images, Tensor):
        return images, Layout((tuple(images.shape[-2:]),) * len(images), is_list=False)
    layout = Layout(tuple(tuple(image.shape[-2:]) for image in images), is_list=True)
    if layout.is_uniform:
        return torch.stack(list(images)), layout
    height, width = (max(side) for side in zip(*layout.sizes))
    padded = [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in images]
    return torch.stack(padded), layout


def unstack(batch: Tensor, layout: Layout) -> Pixels:
    """The inverse of :func:`stack`; gradients flow through."""
    if not layout.is_list:
        return batch
    return [image[:, :height, :width] for image, (height, width) in zip(batch.unbind(), layout.sizes)]


def valid_mask(layout: Layout, like: Tensor) -> Optional[Tensor]:
    """``(N, 1, H, W)``, 1 on real pixels and 0 on the padding of :func:`stack`; None where nothing is padded."""
    if layout.is_uniform:
        return None
    height, width = like.shape[-2:]
    # Copied without waiting for the device.
    sizes = torch.tensor(layout.sizes).to(like.device, non_blocking=True)
    rows = torch.arange(height, device=like.device) < sizes[:, :1]
    columns = torch.arange(width, device=like.device) < sizes[:, 1:]
    return (rows[:, None, :, None] & columns[:, None, None, :]).to(like.dtype)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear with ``align_corners=True``, as the method's authors resize to the generator's working size and back."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode='bilinear', align_corners=True)


def pad_to_multiple(images: Tensor, divisor: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``divisor``."""
    height, width = images.shape[-2:]
    right = math.ceil(width / divisor) * divisor - width
    below = math.ceil(height / divisor) * divisor - height
    return F.pad(images, (0, right, 0, below), mode='replicate') if right or below else images


def to_unit_range(images: Tensor) -> Tensor:
    """0-255 to [-1, 1], where generators and discriminators work."""
    return images / (PIXEL_MAX / 2) - 1


def to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] to 0-255, clamped."""
    return ((images + 1) * (PIXEL_MAX / 2)).clamp(0, PIXEL_MAX)


def round_to_8bit(images: Tensor) -> Tensor:
    """What survives a save to an image file: whole numbers in 0-255."""
    return images.round().clamp(0, PIXEL_MAX)


def psnr(images: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, ``(N,)``; infinite where the two are equal."""
    error = (images - reference).flatten(1).pow(2).mean(1)
    return 10 * torch.log10(PIXEL_MAX**2 / error)
