"""Super-resolution: wavelet denoising, then enlargement by a network that knows clean images."""

from __future__ import annotations

from typing import Sequence

import torch.nn.functional as F
from torch import Tensor

from ...errors import UsageError
from ...pixels import Pixels, pad_to_multiple, stack, to_pixels, to_unit_range
from ...registry import MODELS
from ..sizes import map_by_size
from ..transforms.wavelets import denoise_wavelets
from .generator import GeneratorPurifier
from .step import PurifiedImages, PurifierStep


@MODELS.register_module()
class SuperResolutionPurifier(GeneratorPurifier):
    """Image super-resolution as a defense (Mustafa et al., IEEE TIP 2019, arXiv 1901.01677): wavelet denoising, which
    removes what the attack has added to high frequencies, then EDSR, which puts back those of natural images.

    In the paper the target gets the enlarged image. Boxes and masks do not fit that, so by default the image is resized
    back to its own size, for all tasks alike; what is left then is the denoising and what EDSR changes below the
    original's Nyquist frequency, which is less than what the name says. ``resize_back=False`` is the paper's form, for
    classifiers that take images of any size.

    Trained on clean images alone, without an attack: the generator enlarges a batch that has been reduced by its
    factor (bicubic), and is compared with the batch itself. Wavelets have no part in that.

    Args:
        sigma: standard deviation of the noise that wavelet denoising removes, in pixels (0-255); 0 to leave it out. The
            paper's 0.01 of images in [0, 1] is 2.55.
        resize_back: whether the purified image has the size of the input.
        kwargs: of :class:`GeneratorPurifier`, without working size and tiles: the network takes images as they are.

    Raises:
        ValueError: for a negative ``sigma``, a generator without ``scale``, settings of other generators, an unknown
            channel order, or ``resize_back=False`` for segmentation or detection.
    """

    default_generator = dict(type='EDSR')
    recipe = 'super_resolution'
    trained_on_clean = True

    def __init__(self, sigma: float = 2.55, resize_back: bool = True, **kwargs):
        name = type(self).__name__
        for setting in ('working_size', 'tile_size'):
            if kwargs.get(setting) is not None:
                raise UsageError(f'{name} takes images at their own size: leave {setting} out')
        super().__init__(**kwargs)
        if not sigma >= 0:
            raise UsageError(f'{name}: sigma is in pixels (0-255) and must be >= 0, got {sigma}')
        self.scale = int(getattr(self.generator, 'scale', 1))
        if self.scale < 2:
            raise UsageError(f"{name} needs a generator that enlarges, e.g. dict(type='EDSR', scale=2)")
        if sigma:
            self._require_channel_order(name)
        self.sigma = float(sigma)
        self.resize_back = resize_back
        self._check_geometry(self)

    @property
    def keeps_geometry(self) -> bool:
        return self.resize_back

    def purify(self, images: Pixels) -> Pixels:
        return map_by_size(self._purify_stacked, images)

    def _purify_stacked(self, images: Tensor) -> Tensor:
        if self.sigma:
            images = denoise_wavelets(images, self.sigma, bgr=self.channel_order == 'bgr')
        enlarged = self.generator(to_unit_range(images)).to(images.dtype)
        return to_pixels(_resized(enlarged, images.shape[-2:]) if self.resize_back else enlarged)

    def _train_on_clean(self, step: PurifierStep) -> Pixels:
        restored = map_by_size(self._restored, step.clean)
        step.images = PurifiedImages(to_unit_range(stack(step.clean)[0]), None, stack(restored)[0], None)
        return to_pixels(restored) if isinstance(restored, Tensor) else [to_pixels(image) for image in restored]

    def _restored(self, images: Tensor) -> Tensor:
        """Images ``(N, 3, H, W)`` reduced and enlarged again, in [-1, 1]."""
        padded = pad_to_multiple(to_unit_range(images), self.scale)
        reduced = _resized(padded, [side // self.scale for side in padded.shape[-2:]])
        return self.generator(reduced).to(images.dtype)[..., : images.shape[-2], : images.shape[-1]]


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bicubic with a low-pass filter, and pixels as areas: what reduces images in the training of EDSR."""
    return F.interpolate(images, tuple(size), mode='bicubic', align_corners=False, antialias=True)
