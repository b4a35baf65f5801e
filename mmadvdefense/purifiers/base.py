"""What every purifier is: a data preprocessor that cleans pixels and then hands them to the host's own."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Optional, Sequence, Union

import cv2
import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DefaultScope
from torch import Tensor

from .. import compat
from ..pixels import Pixels, check_channels, round_to_8bit
from ..randomness import Randomness, derive_seed, image_identity
from ..registry import MODELS

# Each host's own preprocessor, by the default scope of its configs.
NATIVE_TYPES = {
    'mmpretrain': 'mmpretrain.ClsDataPreprocessor',
    'mmseg': 'mmseg.SegDataPreProcessor',
    'mmdet': 'mmdet.DetDataPreprocessor',
}


class Purifier(BaseDataPreprocessor, ABC):
    """Cleans raw pixels, then applies the preprocessor that it replaces in the config.

    A subclass implements :meth:`purify`. All keyword arguments it does not know go to the native preprocessor, so
    that ``data_preprocessor=dict(type=...)`` merged into an existing config keeps its mean, std and padding.

    Args:
        native_type: type of the preprocessor to wrap; by default the one of the current default scope.
        jpeg_quality: compress the purified images as JPEG of this quality (1-100) at test time, a step without a
            gradient ("Full with JPEG" in the ICLR version of Align). None leaves it out.
        channel_order: ``'bgr'`` or ``'rgb'``, how the pipeline loads images. JPEG and the perceptual loss need it;
            by default it is read off the native preprocessor's channel conversion.

    Raises:
        ValueError: if the native type or the channel order cannot be told.
    """

    def __init__(
        self,
        native_type: Optional[str] = None,
        jpeg_quality: Optional[int] = None,
        channel_order: Optional[str] = None,
        **native,
    ):
        super().__init__(non_blocking=native.get('non_blocking', False))
        scope = DefaultScope.get_current_instance()
        scope_name = scope.scope_name if scope else None
        if native_type is None:
            if scope_name not in NATIVE_TYPES:
                raise ValueError(
                    f'{type(self).__name__} cannot tell which preprocessor to wrap in default scope {scope_name!r}: '
                    f"set default_scope to one of {', '.join(NATIVE_TYPES)}, or pass native_type='...DataPreprocessor'"
                )
            native_type = NATIVE_TYPES[scope_name]
        compat.apply_for_scope(native_type.split('.')[0] if '.' in native_type else scope_name)
        if native.pop('batch_augments', None) and 'ClsDataPreprocessor' in native_type:
            # Mixup and its like would mix images that the attack never saw, but they switch on soft labels, and
            # the host's loss may rely on those.
            native['to_onehot'] = True
        channel_order = channel_order or _channel_order(native)
        if channel_order not in ('bgr', 'rgb', None):
            raise ValueError(f"channel_order is 'bgr' or 'rgb', how the pipeline loads images; got {channel_order!r}")
        if jpeg_quality is not None:
            if not 1 <= jpeg_quality <= 100:
                raise ValueError(f'jpeg_quality must be in 1-100, got {jpeg_quality}')
            if channel_order is None:
                raise ValueError("jpeg_quality needs channel_order='bgr' or 'rgb': how the pipeline loads images")
        self.jpeg_quality = jpeg_quality
        self.channel_order = channel_order
        self.enabled = True
        self.native = MODELS.build(dict(type=native_type, **native))

    @abstractmethod
    def purify(self, images: Pixels) -> Pixels:
        """Cleaned images, pixels 0-255 in the layout of ``images``."""

    @property
    def differentiable(self) -> bool:
        """Whether the gradient of :meth:`clean` is that of what it computes, and not zero or missing."""
        return self.jpeg_quality is None

    def clean(self, images: Pixels, randomness: Optional[Randomness] = None) -> Pixels:
        """What :meth:`forward` does to images at test time before it hands them to the native preprocessor.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            randomness: what a :class:`RandomPurifier` draws from; others ignore it.

        Raises:
            RuntimeError: from :meth:`check_ready`.
        """
        self.check_ready()
        images = self._purify(images, randomness)
        return images if self.jpeg_quality is None else self._compress(images)

    def _purify(self, images: Pixels, randomness: Optional[Randomness]) -> Pixels:
        return self.purify(images)

    def check_ready(self) -> None:
        """Raise an error if this purifier cannot clean anything yet."""

    def load_pixels(self, inputs: Union[Tensor, Sequence[Tensor]], data_samples: Optional[Sequence] = None) -> Pixels:
        """What the data loader gives, as float pixels on this module's device.

        Args:
            inputs: images of any type.
            data_samples: of these images, to name one in a message.

        Raises:
            ValueError: for images that have not three channels.
        """
        names = [sample.get('img_path') or f'image {i} of the batch' for i, sample in enumerate(data_samples or ())]
        check_channels(inputs, names)
        images = self.cast_data(inputs)
        return images.float() if isinstance(images, Tensor) else [image.float() for image in images]

    def forward(self, data: dict, training: bool = False) -> dict:
        """Purify ``data['inputs']`` and preprocess them as the host does.

        Raises:
            RuntimeError: from :meth:`check_ready`.
            ValueError: for images that have not three channels.
        """
        if not self.enabled:
            return self.native(data, training)
        samples = data.get('data_samples')
        images, randomness = self.load_pixels(data['inputs'], samples), self._randomness(data['inputs'], samples)
        if training:
            self.check_ready()
            images = self._purify(images, randomness)
        else:
            images = self.clean(images, randomness)
        return self.native({**data, 'inputs': images}, training)

    def _randomness(self, images: Pixels, data_samples: Optional[Sequence]) -> Optional[Randomness]:
        return None

    @torch.no_grad()
    def _compress(self, images: Pixels) -> Pixels:
        compressed = [_jpeg(image, self.jpeg_quality, self.channel_order) for image in images]
        return torch.stack(compressed) if isinstance(images, Tensor) else compressed

    def _share_device(self) -> Purifier:
        self.native._device = self._device
        return self

    # MMEngine's preprocessors note their device in these, for themselves alone.
    def to(self, *args, **kwargs) -> Purifier:
        return super().to(*args, **kwargs)._share_device()

    def cuda(self, *args, **kwargs) -> Purifier:
        return super().cuda(*args, **kwargs)._share_device()

    def cpu(self, *args, **kwargs) -> Purifier:
        return super().cpu(*args, **kwargs)._share_device()


class RandomPurifier(Purifier):
    """A purifier that draws random numbers: an image's come from the seed and the image's name alone.

    Images without a name (``sample_idx`` or ``img_path``), as inference APIs pass them, are told apart by their pixels.

    Args:
        seed: of the defender; what an attacker does must not depend on it.
        kwargs: of :class:`Purifier` and the native preprocessor.
    """

    def __init__(self, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    @abstractmethod
    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        """Cleaned images, pixels 0-255 in the layout of ``images``, with numbers drawn from ``randomness``."""

    def _purify(self, images: Pixels, randomness: Optional[Randomness]) -> Pixels:
        return self.purify(images, self._randomness(images, None) if randomness is None else randomness)

    def _randomness(self, images: Pixels, data_samples: Optional[Sequence]) -> Randomness:
        samples = data_samples or [None] * len(images)
        names = [image_identity(sample) or _digest(image) for image, sample in zip(images, samples)]
        return Randomness([derive_seed(self.seed, 'purify', name) for name in names])


def _digest(image: Tensor) -> str:
    return hashlib.sha256(image.detach().float().cpu().numpy().tobytes()).hexdigest()


def _channel_order(native: dict) -> Optional[str]:
    if native.get('bgr_to_rgb') or native.get('to_rgb'):
        return 'bgr'
    return 'rgb' if native.get('rgb_to_bgr') else None


def _jpeg(image: Tensor, quality: int, channel_order: str) -> Tensor:
    array = round_to_8bit(image).permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    if channel_order == 'rgb':
        array = array[..., ::-1]
    _, encoded = cv2.imencode('.jpg', np.ascontiguousarray(array), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if channel_order == 'rgb':
        decoded = decoded[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(decoded)).permute(2, 0, 1).to(image)
