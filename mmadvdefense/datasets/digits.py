"""Real images that need no download: scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from ..errors import DependencyError, UsageError
from ..registry import DATASETS

_SPLITS = ('train', 'test')
_TEST_IMAGES_PER_CLASS = 50
_IMAGE_SIZE = 32


@DATASETS.register_module()
class HandwrittenDigits(BaseDataset):
    """1,797 handwritten digits (UCI "Optical Recognition of Handwritten Digits", in
    :func:`sklearn.datasets.load_digits`) as 32x32 images for MMPretrain pipelines.

    The 8x8 originals with values 0 to 16 are enlarged bicubically and scaled to 0 to 255. The split is fixed: 50
    images of each class (500) for testing, the other 1,297 for training. Like an item of MMPretrain's ``CIFAR10``, an
    item holds ``img`` (uint8, ``(32, 32, 3)``, three equal channels, so BGR and RGB are the same), ``gt_label`` (int,
    0 to 9) and ``sample_idx``, so no loading transform is needed.

    Args:
        split: ``'train'`` or ``'test'``.
        pipeline: transforms, such as ``[dict(type='PackInputs')]``.
        **kwargs: other arguments of :class:`mmengine.dataset.BaseDataset` (``indices``, ``test_mode``...).

    Raises:
        ValueError: if ``split`` is unknown.
        ImportError: if scikit-learn is not installed.
    """

    METAINFO: dict = dict(classes=tuple(str(digit) for digit in range(10)))

    def __init__(self, split: str = 'train', pipeline: Sequence[dict | Callable] = (), **kwargs: Any) -> None:
        if split not in _SPLITS:
            raise UsageError(f'split of HandwrittenDigits must be one of {", ".join(_SPLITS)}, got {split!r}')
        self.split = split
        super().__init__(pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Items of this split; the base class adds ``sample_idx`` on access."""
        images, labels = _load_arrays()
        test = _test_mask(labels)
        chosen = np.flatnonzero(test if self.split == 'test' else ~test)
        return [dict(img=_enlarge(images[i]), gt_label=int(labels[i])) for i in chosen]


def _load_arrays() -> tuple[np.ndarray, np.ndarray]:
    """Images ``(1797, 8, 8)`` with values 0 to 16, labels ``(1797,)``."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DependencyError(
            f'HandwrittenDigits needs scikit-learn, which cannot be imported ({error}): pip install scikit-learn'
        ) from error
    digits = load_digits()
    return digits.images, digits.target


def _test_mask(labels: np.ndarray) -> np.ndarray:
    """Which images are for testing: always the same, since NumPy freezes RandomState's streams (NEP 19)."""
    rng = np.random.RandomState(0)
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        mask[rng.permutation(np.flatnonzero(labels == label))[:_TEST_IMAGES_PER_CLASS]] = True
    return mask


def _enlarge(image: np.ndarray) -> np.ndarray:
    """One image ``(8, 8)``, 0 to 16, as ``(32, 32, 3)`` uint8, 0 to 255."""
    scaled = (image * (255 / 16)).astype(np.float32)
    enlarged = cv2.resize(scaled, (_IMAGE_SIZE, _IMAGE_SIZE), interpolation=cv2.INTER_CUBIC)
    # Bicubic interpolation overshoots at edges.
    grey = np.rint(np.clip(enlarged, 0, 255)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
