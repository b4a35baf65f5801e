"""JPEG, by OpenCV on the CPU."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..pixels import Pixels, round_to_8bit


@torch.no_grad()
def compress_jpeg(images: Pixels, quality: int, channel_order: str) -> Pixels:
    """Images as they are read back from a JPEG file, without a gradient.

    Args:
        images: pixels 0-255; rounded to integers first.
        quality: 1-100.
        channel_order: ``'bgr'`` or ``'rgb'``, that of ``images``.
    """
    compressed = [_round_trip(image, quality, channel_order) for image in images]
    return torch.stack(compressed) if isinstance(images, Tensor) else compressed


def _round_trip(image: Tensor, quality: int, channel_order: str) -> Tensor:
    array = round_to_8bit(image).permute(1, 2, 0).cpu().numpy().astype(np.uint8)
    if channel_order == 'rgb':
        array = array[..., ::-1]
    _, encoded = cv2.imencode('.jpg', np.ascontiguousarray(array), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError('OpenCV cannot decode the JPEG that it has just encoded')
    if channel_order == 'rgb':
        decoded = decoded[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(decoded)).permute(2, 0, 1).to(image)
