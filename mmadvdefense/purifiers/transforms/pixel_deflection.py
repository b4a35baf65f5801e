"""Pixel deflection: a few pixels give way to their neighbours, and a wavelet denoiser smooths over it."""

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
    """Replace pixels, drawn without repetition, by others from the window around them, drawn uniformly.

    Args:
        images: ``(N, C, H, W)``; a pixel is all channels of it.
        deflections: how many pixels of each image are replaced; some may get the value they had.
        window: how far away another pixel may be in rows and in columns. At the border, where the window is cut off, it
            is drawn from what is left.
        randomness: where places come from.

    Raises:
        ValueError: for images of fewer pixels than ``deflections``.
    """
    height, width = images.shape[2:]
    if deflections > height * width:
        raise UsageError(f'{deflections} deflections are more than the pixels of an image of {height} x {width}')
    place = randomness.uniform_like(images.new_empty(len(images), height * width)).topk(deflections).indices
    chance = randomness.uniform_like(images.new_empty(len(images), 2, deflections))
    row = _near(place // width, height, window, chance[:, 0])
    column = _near(place % width, width, window, chance[:, 1])
    flat = images.flatten(2)
    source, target = (index[:, None].expand(-1, images.shape[1], -1) for index in (row * width + column, place))
    return flat.scatter(2, target, flat.gather(2, source)).view_as(images)


def _near(position: Tensor, length: int, window: int, chance: Tensor) -> Tensor:
    """Positions within ``window`` of these in a side of ``length``, for ``chance`` uniform in [0, 1)."""
    first, last = (position - window).clamp(min=0), (position + window).clamp(max=length - 1)
    return first + (chance * (last - first + 1)).long()


@MODELS.register_module()
class PixelDeflectionPurifier(RandomPurifier):
    """Deflects pixels, then denoises by soft thresholds of wavelets, BayesShrink in YCbCr (Prakash et al., "Deflecting
    Adversarial Attacks with Pixel Deflection", CVPR 2018).

    The paper can also spare what its "robust activation map" of the class calls important; that needs the activations
    of a classifier and is left out. The authors' code replaces one channel of a pixel at a time and takes from pixels
    that it has replaced already; here whole pixels are replaced, by those of the image that came in.

    scikit-image denoises image by image on the CPU. There is no gradient.

    Args:
        deflections: pixels of each image that are replaced; the authors take 200 of images of 224 x 224.
        window: how far away the pixel that replaces another may be, in rows and in columns.
        sigma: of the noise that is removed, in pixels (0-255).
        kwargs: of :class:`RandomPurifier`.

    Raises:
        ValueError: for a setting out of its range, or if the order of the channels cannot be told.
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
