"""Transforms that the hosts lack."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from ..errors import UsageError
from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class AddGaussianNoise(BaseTransform):
    """Add independent Gaussian noise to each value of ``results['img']`` and clip to 0-255; the data type is kept.

    Attacks on a model that was trained with noise transfer better (Springer, Mitchell, Kenyon, NeurIPS 2021), because
    such a model relies on features that other models use as well.

    Args:
        std: standard deviation in pixels (0-255).

    Raises:
        ValueError: if ``std`` is negative.
    """

    def __init__(self, std: float):
        if std < 0:
            raise UsageError(f'std must not be negative, got {std}')
        self.std = std

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']``, ``(H, W, C)``."""
        image = results['img']
        noisy = np.clip(image + np.random.normal(0, self.std, image.shape), 0, 255)
        rounded = np.rint(noisy) if np.issubdtype(image.dtype, np.integer) else noisy
        results['img'] = rounded.astype(image.dtype)
        return results
