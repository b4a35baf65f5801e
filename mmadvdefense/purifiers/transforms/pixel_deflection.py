"""Pixel deflection: a few pixels are replaced by neighbours, then a wavelet denoiser smooths the image."""

from __future__ import annotations

from typing import Callable

import numpy as np
import torch
from torch import Tensor

from ...errors import DependencyError, UsageError
from ...pixels import PIXEL_MAX, Pixels
from ...randomness import Randomness
from ...registry import MODELS
from ...validation import check_integer
from ..base import RandomPurifier
from ..sizes import map_by_size_randomly


def deflect_pixels(images: Tensor, deflections: int, window: int, randomness: Randomness) -> Tensor:
    """Replace pixels, drawn without repetition, by pixels drawn uniformly from the window around them.

    Args:
        images: ``(N, C, H, W)``; all channels of a pixel are replaced together.
        deflections: number of pixels replaced in each image; some may keep their value.
        window: maximum distance to the replacing pixel, in rows and in columns. The window is cropped at the border.
        randomness: source of the positions.

    Raises:
        ValueError: for images with fewer pixels than ``deflections``.
    """
    height, width = images.shape[2:]
    if deflections > height * width:
        raise UsageError(f'{deflections} deflections exceed the number of pixels of an image of {height} x {width}')
    place = randomness.uniform_like(images.new_empty(len(images), height * width)).topk(deflections).indices
    chance = randomness.uniform_like(images.new_empty(len(images), 2, deflections))
    row = _near(place // width, height, window, chance[:, 0])
    column = _near(place % width, width, window, chance[:, 1])
    flat = images.flatten(2)
    source, target = (index[:, None].expand(-1, images.shape[1], -1) for index in (row * width + column, place))
    return flat.scatter(2, target, flat.gather(2, source)).view_as(images)


def _near(position: Tensor, length: int, window: int, chance: Tensor) -> Tensor:
    """Positions within ``window`` of the given ones on a side of ``length``, for ``chance`` uniform in [0, 1)."""
    first, last = (position - window).clamp(min=0), (position + window).clamp(max=length - 1)
    return first + (chance * (last - first + 1)).long()


@MODELS.register_module()
class PixelDeflectionPurifier(RandomPurifier):
    """Deflects pixels, then denoises by wavelet soft thresholding, BayesShrink in YCbCr (Prakash et al., "Deflecting
    Adversarial Attacks with Pixel Deflection", CVPR 2018).

    The paper's "robust activation map", which spares regions important to the class, needs the activations of a
    classifier and is not implemented. The authors' code replaces one channel of a pixel at a time and may copy from
    already replaced pixels; here whole pixels are replaced by pixels of the input image.

    scikit-image denoises image by image on the CPU. Not differentiable.

    Args:
        deflections: number of pixels replaced in each image; the authors use 200 for images of 224 x 224.
        window: maximum distance to the replacing pixel, in rows and in columns.
        sigma: standard deviation of the noise to remove, in pixels (0-255).
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for a setting out of range, or if the channel order is unknown.
        ImportError: without scikit-image or PyWavelets.
    """

    differentiable = False

    def __init__(self, deflections: int = 200, window: int = 10, sigma: float = 0.04 * PIXEL_MAX, **kwargs):
        super().__init__(**kwargs)
        name = type(self).__name__
        check_integer(name, deflections=deflections, window=window)
        if not sigma > 0:
            raise UsageError(f'{name}: sigma is in pixels (0-255) and must be > 0, got {sigma}')
        self._require_channel_order(name)
        self._denoise = _wavelet_denoiser()
        self.deflections = int(deflections)
        self.window = int(window)
        self.sigma = float(sigma)

    @torch.no_grad()
    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        return map_by_size_randomly(self._purify_stacked, images, randomness)

    def _purify_stacked(self, images: Tensor, randomness: Randomness) -> Tensor:
        deflected = deflect_pixels(images, self.deflections, self.window, randomness)
        return torch.stack([self._denoised(image) for image in deflected])

    def _denoised(self, image: Tensor) -> Tensor:
        rgb = image.flip(0) if self.channel_order == 'bgr' else image
        array = self._denoise(
            (rgb / PIXEL_MAX).permute(1, 2, 0).cpu().numpy(),
            sigma=self.sigma / PIXEL_MAX,
            mode='soft',
            method='BayesShrink',
            convert2ycbcr=True,
            channel_axis=-1,
        )
        denoised = torch.from_numpy(array).permute(2, 0, 1).to(image)
        return (denoised.flip(0) if self.channel_order == 'bgr' else denoised).mul(PIXEL_MAX).clamp(0, PIXEL_MAX)


def _wavelet_denoiser() -> Callable[..., np.ndarray]:
    try:
        import pywt  # noqa: F401  scikit-image needs it for this function and installs without it
        from skimage.restoration import denoise_wavelet
    except ImportError as error:
        raise DependencyError(
            f'PixelDeflectionPurifier needs scikit-image and PyWavelets ({error}): '
            "pip install 'mmadvdefense[purifiers]'"
        ) from error
    return denoise_wavelet
