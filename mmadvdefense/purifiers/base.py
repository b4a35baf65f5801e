"""Base class of all purifiers: data preprocessors that clean pixels, then hand them to the host's own preprocessor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Sequence, Union

from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from ..errors import UsageError
from ..hosts import host_of_class
from ..pipelines import native_channel_order
from ..pixels import Pixels, check_channels, check_pixels
from ..randomness import Randomness, derive_seed, image_seeds
from ..registry import MODELS
from .compression import compress_jpeg
from .native import NativeType, native_preprocessor


class Purifier(BaseDataPreprocessor, ABC):
    """Cleans raw pixels, then applies the preprocessor that it replaces in the config.

    A subclass implements :meth:`purify`. Unknown keyword arguments are passed on to the native preprocessor, so that
    ``data_preprocessor=dict(type=...)`` merged into an existing config keeps its mean, std and padding.

    Args:
        native_type: the preprocessor to wrap, as a name or class, or built already; by default that of the current
            default scope.
        jpeg_quality: at test time, compress the purified images as JPEG of this quality (1-100), which has no gradient
            ("Full with JPEG" in the ICLR version of Align). None disables it.
        channel_order: ``'bgr'`` or ``'rgb'``, how the pipeline loads images. Required by JPEG and the perceptual loss;
            by default it is inferred from the native preprocessor's channel conversion.

    Raises:
        ValueError: if the native type or the channel order cannot be determined.
    """

    def __init__(
        self,
        native_type: NativeType = None,
        jpeg_quality: Optional[int] = None,
        channel_order: Optional[str] = None,
        **native: Any,
    ) -> None:
        super().__init__(non_blocking=native.get('non_blocking', False))
        built, loaded_order = native_preprocessor(type(self).__name__, native_type, native)
        channel_order = channel_order or loaded_order
        if channel_order not in ('bgr', 'rgb', None):
            raise UsageError(f"channel_order must be 'bgr' or 'rgb', as images are loaded; got {channel_order!r}")
        if jpeg_quality is not None and not 1 <= jpeg_quality <= 100:
            raise UsageError(f'jpeg_quality must be in 1-100, got {jpeg_quality}')
        self.jpeg_quality = jpeg_quality
        self.channel_order = channel_order
        if jpeg_quality is not None:
            self._require_channel_order('jpeg_quality')
        self.enabled = True
        # Disabled while a hook checks the data loader's output itself, before the attack.
        self.checks_pixels = True
        self.native = built
        if getattr(self.native, 'to_onehot', False):
            self.native.register_forward_hook(_soften)

    @abstractmethod
    def purify(self, images: Pixels, *args: Any, **kwargs: Any) -> Pixels:
        """Return the cleaned images, pixels 0-255 in the layout of ``images``.

        A :class:`RandomPurifier` takes ``randomness`` as a second argument.
        """

    @property
    def keeps_geometry(self) -> bool:
        """Whether the boxes and masks of an image remain valid for the cleaned one."""
        return True

    @property
    def differentiable(self) -> bool:
        """Whether :meth:`clean` has a useful gradient, rather than none or zeros."""
        return self.jpeg_quality is None

    @property
    def stochastic(self) -> bool:
        """Whether the result of :meth:`clean` depends on its ``randomness``."""
        return False

    @property
    def is_random(self) -> bool:
        """Whether :meth:`clean` draws anew for each image, so that an attacker cannot know what it draws."""
        return self.stochastic

    def clean(self, images: Pixels, randomness: Optional[Randomness] = None) -> Pixels:
        """Clean images as :meth:`forward` does at test time, without the native preprocessor.

        Args:
            images: pixels 0-255, ``(N, 3, H, W)`` or a list of ``(3, H_i, W_i)``.
            randomness: the random numbers of a :class:`RandomPurifier`; others ignore it.

        Raises:
            RuntimeError: from :meth:`check_ready`.
        """
        self.check_ready()
        images = self._purify(images, randomness)
        if self.jpeg_quality is None:
            return images
        return compress_jpeg(images, self.jpeg_quality, self._require_channel_order('jpeg_quality'))

    def _purify(self, images: Pixels, randomness: Optional[Randomness]) -> Pixels:
        return self.purify(images)

    def check_ready(self) -> None:
        """Raise an error if this purifier is not ready for use, e.g. untrained."""

    def load_pixels(
        self,
        inputs: Union[Tensor, Sequence[Tensor]],
        data_samples: Optional[Sequence[Any]] = None,
        augmented: bool = False,
    ) -> Pixels:
        """The output of the data loader as float pixels on this module's device.

        Values are checked where the loader leaves them, usually in main memory, to avoid synchronizing with the device.
        8-bit images need no check.

        Args:
            inputs: images of any type.
            data_samples: the samples of these images, used to name an image in error messages.
            augmented: see :func:`~mmadvdefense.pixels.check_pixels`.

        Raises:
            ValueError: for images that do not have three channels, or are not raw pixels.
        """
        names = [sample.get('img_path') or f'image {i} of the batch' for i, sample in enumerate(data_samples or ())]
        check_channels(inputs, names)
        if self.checks_pixels:
            check_pixels(inputs, names, augmented)
        images = self.cast_data(inputs)
        return images.float() if isinstance(images, Tensor) else [image.float() for image in images]

    def forward(self, data: dict[str, Any], training: bool = False) -> Any:
        """Purify ``data['inputs']`` and preprocess them as the host does.

        Raises:
            RuntimeError: from :meth:`check_ready`.
            ValueError: for images that do not have three channels, or are not raw pixels.
        """
        if not self.enabled:
            return self.native(data, training)
        samples = data.get('data_samples')
        images = self.load_pixels(data['inputs'], samples, augmented=training)
        randomness = self._randomness(data['inputs'], samples)
        if training:
            self.check_ready()
            images = self._purify(images, randomness)
        else:
            images = self.clean(images, randomness)
        return self.native({**data, 'inputs': images}, training)

    def _randomness(self, images: Pixels, data_samples: Optional[Sequence[Any]]) -> Optional[Randomness]:
        return None

    def _check_geometry(self, purifier: Purifier) -> None:
        host = host_of_class(type(self.native))
        if not purifier.keeps_geometry and host is not None and host.dense:
            raise UsageError(
                f'{type(purifier).__name__} moves the image content, so boxes and masks would no longer match: '
                f'use it with classifiers only, not with {type(self.native).__name__}'
            )

    def _require_channel_order(self, what: str) -> str:
        if self.channel_order is None:
            raise UsageError(f"{what} needs channel_order='bgr' or 'rgb', as the pipeline loads images")
        return self.channel_order

    def _share_device(self) -> Purifier:
        self.native._device = self._device
        return self

    # MMEngine's preprocessors record their device in these methods.
    def to(self, *args: Any, **kwargs: Any) -> Purifier:
        super().to(*args, **kwargs)
        return self._share_device()

    def cuda(self, *args: Any, **kwargs: Any) -> Purifier:
        super().cuda(*args, **kwargs)
        return self._share_device()

    def cpu(self, *args: Any, **kwargs: Any) -> Purifier:
        super().cpu(*args, **kwargs)
        return self._share_device()


class RandomPurifier(Purifier):
    """A purifier whose random numbers depend only on the seed and each image's name.

    Images without a name (``sample_idx`` or ``img_path``), as passed by inference APIs, are identified by their pixels.

    Args:
        seed: the defender's seed, which attacks must not depend on.
        fixed: draw the same numbers for every image, and for every attacker: the purifier is then deterministic.
        kwargs: see :class:`Purifier` and the native preprocessor.
    """

    # Set on the instance only where it is True: digests of all others are those of versions without it.
    fixed = False

    def __init__(self, seed: int = 0, fixed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        if fixed:
            self.fixed = True
        self._draw = 0

    @property
    def is_random(self) -> bool:
        return self.stochastic and not self.fixed

    @property
    def stochastic(self) -> bool:
        return True

    @abstractmethod
    def purify(self, images: Pixels, randomness: Randomness) -> Pixels:
        """Return the cleaned images, pixels 0-255 in the layout of ``images``; all draws come from ``randomness``."""

    def _purify(self, images: Pixels, randomness: Optional[Randomness]) -> Pixels:
        if randomness is None or self.fixed:
            randomness = self._randomness(images, None)
        return self.purify(images, randomness)

    def _randomness(self, images: Pixels, data_samples: Optional[Sequence[Any]]) -> Randomness:
        if self.fixed:
            return Randomness([derive_seed(self.seed, 'purify', 'fixed')] * len(images))
        randomness = Randomness(image_seeds(self.seed, 'purify', images, data_samples or None))
        return randomness.derive('draw', self._draw) if self._draw else randomness


def _soften(native: nn.Module, args: tuple[Any, ...], output: dict[str, Any]) -> None:
    """Convert MMPretrain's integer one-hot labels to floats, as its cross-entropy expects soft labels."""
    for sample in output['data_samples'] or ():
        if 'gt_score' in sample:
            sample.set_gt_score(sample.gt_score.float())


@contextmanager
def switched(preprocessor: nn.Module, enabled: bool) -> Iterator[None]:
    """Temporarily enable or disable a purifier; other preprocessors are left unchanged."""
    if not isinstance(preprocessor, Purifier):
        yield
        return
    before, preprocessor.enabled = preprocessor.enabled, enabled
    try:
        yield
    finally:
        preprocessor.enabled = before


@contextmanager
def drawn(preprocessor: nn.Module, draw: int) -> Iterator[None]:
    """Temporarily let a random purifier draw other numbers in tests; draw 0 is its usual one."""
    if not isinstance(preprocessor, RandomPurifier):
        yield
        return
    before, preprocessor._draw = preprocessor._draw, draw
    try:
        yield
    finally:
        preprocessor._draw = before


channel_order_of = native_channel_order


def purifier_names() -> list[str]:
    """The registered names of all purifiers, sorted."""
    return sorted(
        name for name, cls in MODELS.module_dict.items() if isinstance(cls, type) and issubclass(cls, Purifier)
    )
