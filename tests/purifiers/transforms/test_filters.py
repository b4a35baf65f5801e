"""Mean, median, bit depth and JPEG against other implementations and numbers worked out by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage


@pytest.mark.parametrize('kernel_size', [1, 3, 5, 9])
@pytest.mark.parametrize(
    ('name', 'reference'),
    [('MeanFilterPurifier', ndimage.uniform_filter), ('MedianFilterPurifier', ndimage.median_filter)],
)
def test_filters_equal_scipy(build_purifier, make_images, name, reference, kernel_size):
    """The window may be larger than the image."""
    images = [make_images(3, 16, 11), make_images(3, 4, 6)]
    purifier = build_purifier(dict(type=name, kernel_size=kernel_size))
    for image, cleaned in zip(images, purifier.clean(images)):
        expected = reference(image.double().numpy(), size=(1, kernel_size, kernel_size), mode='nearest')
        np.testing.assert_allclose(cleaned.numpy(), expected, atol=1e-3)


@pytest.mark.parametrize(
    ('bits', 'values', 'expected'),
    [
        (1, [0, 127, 128, 255], [0, 0, 255, 255]),
        # levels 0, 85, 170, 255
        (2, [0, 42, 43, 127, 128, 212, 213, 255], [0, 0, 85, 85, 170, 170, 255, 255]),
        # 15 steps of 17
        (4, [0, 8.4, 8.6, 17, 100, 246.4, 246.6, 255], [0, 0, 17, 17, 102, 238, 255, 255]),
        (8, [0, 1, 99.4, 99.6, 254, 255], [0, 1, 99, 100, 254, 255]),
    ],
)
def test_bit_depth_by_hand(build_purifier, bits, values, expected):
    image = torch.tensor(values, dtype=torch.float32).expand(3, 2, -1)
    (cleaned,) = build_purifier(dict(type='BitDepthPurifier', bits=bits)).clean([image])
    assert torch.allclose(cleaned, torch.tensor(expected, dtype=torch.float32).expand(3, 2, -1), atol=1e-4)


def test_bit_depth_leaves_its_own_levels(build_purifier, make_images):
    purifier = build_purifier(dict(type='BitDepthPurifier', bits=3))
    once = purifier.clean(make_images(2, 3, 40, 40))
    assert len(once.unique()) == 8
    assert torch.equal(purifier.clean(once), once)


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
@pytest.mark.parametrize('quality', [20, 90])
def test_jpeg_equals_opencv(build_purifier, make_images, order, quality):
    image = make_images(3, 16, 24)
    purifier = build_purifier(dict(type='JPEGPurifier', quality=quality, channel_order=order))
    array = image.permute(1, 2, 0).numpy().astype(np.uint8)
    bgr = array if order == 'bgr' else cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    decoded = cv2.imdecode(cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    decoded = decoded if order == 'bgr' else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(purifier.clean([image])[0].permute(1, 2, 0).numpy(), decoded)


@pytest.mark.parametrize('training', [False, True])
def test_jpeg_also_in_training(build_purifier, make_images, training):
    """Unlike the step after a purifier: models are trained on compressed images, too."""
    purifier = build_purifier(dict(type='JPEGPurifier', quality=20))
    images = make_images(2, 3, 16, 24)
    expected = purifier.native(dict(inputs=purifier.clean(images)))['inputs']
    assert torch.equal(purifier(dict(inputs=images), training=training)['inputs'], expected)
