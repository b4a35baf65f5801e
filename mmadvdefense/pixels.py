"""The pixel contract: raw float pixels in 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``, order as loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional, Sequence, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import UsageError

Pixels = Union[Tensor, Sequence[Tensor]]
PIXEL_MAX = 255.0


@dataclass(frozen=True)
class Layout:
    """The form of a batch: one tensor, or a list of images that may differ in size."""

    sizes: tuple[tuple[int, int], ...]
    is_list: bool

    @property
    def is_uniform(self) -> bool:
        return len(set(self.sizes)) <= 1

    @classmethod
    def of(cls, images: Pixels) -> Layout:
        """The layout of a batch."""
        if isinstance(images, Tensor):
            return cls((_size(images),) * len(images), is_list=False)
        return cls(tuple(_size(image) for image in images), is_list=True)

    def groups(self) -> dict[tuple[int, int], list[int]]:
        """The positions of the images of each size; sizes are ordered by first occurrence."""
        groups: dict[tuple[int, int], list[int]] = {}
        for index, size in enumerate(self.sizes):
            groups.setdefault(size, []).append(index)
        return groups

    def repeat(self, times: int) -> Layout:
        return Layout(self.sizes * times, self.is_list)


def _size(images: Tensor) -> tuple[int, int]:
    height, width = images.shape[-2:]
    return height, width


def check_channels(images: Pixels, names: Optional[Sequence[str]] = None) -> None:
    """Raise a ``ValueError`` that names the first image without exactly three channels.

    Args:
        images: a batch of images.
        names: a name for each image, usually its file.
    """
    for index, image in enumerate(images):
        if image.ndim != 3 or image.shape[0] != 3:
            name = names[index] if names else f'image {index} of the batch'
            raise UsageError(
                f'{name} has shape {tuple(image.shape)}, but attacks and purifiers take 3 channels (3, H, W); '
                "load it with LoadImageFromFile(color_type='color')"
            )


def check_pixels(images: Pixels, names: Optional[Sequence[str]] = None, augmented: bool = False) -> None:
    """Raise a ``ValueError`` that names the first image whose values are not raw pixels, their range, and the remedy.

    8-bit images are valid by type and need no check. For other types, the minimum and the maximum are computed on the
    images' device, which synchronizes with an accelerator: check batches before copying them to the device. A dark
    image may have no values above 1; images scaled to 0-1 are recognized by fractional values.

    Args:
        images: as a data loader returns them, of any type.
        names: a name for each image, usually its file.
        augmented: whether photometric augmentation may have moved float pixels out of 0-255, which hosts do not clip.
    """
    if all(image.dtype == torch.uint8 for image in ([images] if isinstance(images, Tensor) else images)):
        return
    for index, (image, (low, high)) in enumerate(zip(images, _value_ranges(images))):
        remedy = _remedy(image, low, high, augmented)
        if remedy:
            name = names[index] if names else f'image {index} of the batch'
            raise UsageError(
                f'{name} has {str(image.dtype).removeprefix("torch.")} values from {low:g} to {high:g}, but attacks '
                f'and purifiers take raw pixels 0-255: {remedy}'
            )


# Tolerance for the rounding of interpolation in floats.
_SLACK = 0.5
# Bounds on the result of photometric augmentation of floats (brightness, contrast and saturation in turn).
_AUGMENTED = (-PIXEL_MAX, 2 * PIXEL_MAX)
# Bound on the absolute values of normalised images, unless only the mean was subtracted.
_NORMALISED = 16
# Types that few torch operations support.
_WIDE = (torch.bool, torch.uint16, torch.uint32, torch.uint64)


def _value_ranges(images: Pixels) -> list[tuple[float, float]]:
    """The minimum and maximum of each image; NaN if any value is NaN."""
    if isinstance(images, Tensor):
        images = images.long() if images.dtype in _WIDE else images
        low, high = images.flatten(1).aminmax(dim=1)
        return list(zip(low.tolist(), high.tolist()))
    return [_value_ranges(image[None])[0] for image in images]


def _remedy(image: Tensor, low: float, high: float, augmented: bool) -> Optional[str]:
    """How to fix an image with these values; None if they are valid pixels."""
    if image.dtype == torch.bool:
        return 'make it uint8 with values 0-255'
    if not image.is_floating_point():
        if image.dtype in _WIDE or high > PIXEL_MAX:
            return "load 8 bits per channel, as LoadImageFromFile(color_type='color') does"
        return _REMOVE_NORMALIZE if low < 0 else None
    if not (math.isfinite(low) and math.isfinite(high)):
        return 'repair the file, or the transform that produces non-finite values'
    if low >= 0 and high <= 1 and low < high and not image.frac().eq(0).all():
        return 'remove ToTensor, or whatever else divides by 255, from the pipeline; keep mean and std for 0-255'
    if low < 0 and high <= _NORMALISED and low >= -_NORMALISED and high > 0:
        return _REMOVE_NORMALIZE
    least, most = _AUGMENTED if augmented else (-_SLACK, PIXEL_MAX + _SLACK)
    if low < least:
        return _REMOVE_NORMALIZE
    return 'load 8 bits per channel, or scale the image to 0-255 in the pipeline' if high > most else None


_REMOVE_NORMALIZE = (
    'remove Normalize, or whatever else subtracts a mean, from the pipeline; set mean and std in the data_preprocessor'
)


def stack(images: Pixels) -> tuple[Tensor, Layout]:
    """One ``(N, 3, H, W)`` tensor; smaller images of a list are zero-padded at the bottom and on the right."""
    layout = Layout.of(images)
    if isinstance(images, Tensor):
        return images, layout
    if layout.is_uniform:
        return torch.stack(list(images)), layout
    height, width = (max(side) for side in zip(*layout.sizes))
    padded = [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in images]
    return torch.stack(padded), layout


def unstack(batch: Tensor, layout: Layout) -> Pixels:
    """The inverse of :func:`stack`; differentiable."""
    if not layout.is_list:
        return batch
    return [image[:, :height, :width] for image, (height, width) in zip(batch.unbind(), layout.sizes)]


def joined(first: Pixels, second: Pixels) -> Pixels:
    """Two batches as one, stacked if both are."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    return [*first, *second]


def valid_mask(layout: Layout, like: Tensor) -> Optional[Tensor]:
    """``(N, 1, H, W)``, 1 on real pixels and 0 on the padding of :func:`stack`; None without padding."""
    if layout.is_uniform:
        return None
    height, width = like.shape[-2:]
    # A non-blocking copy avoids synchronizing with the device.
    sizes = torch.tensor(layout.sizes).to(like.device, non_blocking=True)
    rows = torch.arange(height, device=like.device) < sizes[:, :1]
    columns = torch.arange(width, device=like.device) < sizes[:, 1:]
    return (rows[:, None, :, None] & columns[:, None, None, :]).to(like.dtype)


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear with ``align_corners=True``, as in Align's code, to the generator's working size and back."""
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode='bilinear', align_corners=True)


def pad_to_multiple(images: Tensor, divisor: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples of ``divisor``."""
    height, width = images.shape[-2:]
    right = math.ceil(width / divisor) * divisor - width
    below = math.ceil(height / divisor) * divisor - height
    return F.pad(images, (0, right, 0, below), mode='replicate') if right or below else images


def require_multiple(images: Tensor, divisor: int) -> None:
    """Raise a ``ValueError`` unless height and width of images ``(..., H, W)`` are multiples of ``divisor``."""
    height, width = images.shape[-2:]
    if height % divisor or width % divisor:
        raise UsageError(f'height and width of {height}x{width} must be multiples of divisor={divisor}')


def swap_channels(images: Pixels) -> Pixels:
    """BGR to RGB and back."""
    return images.flip(-3) if isinstance(images, Tensor) else [image.flip(-3) for image in images]


def to_unit_range(images: Tensor) -> Tensor:
    """0-255 to [-1, 1], the range of generators and discriminators."""
    return images / (PIXEL_MAX / 2) - 1


def to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] to 0-255, clamped."""
    # Exporters to ONNX take bounds of one type only.
    return ((images + 1) * (PIXEL_MAX / 2)).clamp(0.0, PIXEL_MAX)


def round_to_8bit(images: Tensor) -> Tensor:
    """Round to integers in 0-255, as saving to an image file does."""
    return images.round().clamp(0, PIXEL_MAX)


def psnr(images: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each image, ``(N,)``; infinite for identical images."""
    error = (images - reference).flatten(1).pow(2).mean(1)
    return 10 * torch.log10(PIXEL_MAX**2 / error)
