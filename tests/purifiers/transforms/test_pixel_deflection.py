"""Which pixels are deflected and where to, and the denoiser after it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from mmadvdefense.purifiers.transforms.pixel_deflection import deflect_pixels
from mmadvdefense.randomness import Randomness

HEIGHT, WIDTH = 12, 15
CONFIG = dict(type='PixelDeflectionPurifier', deflections=7, window=2, sigma=12)


@pytest.fixture
def numbered() -> torch.Tensor:
    """Pixels that know their place."""
    pixels = torch.arange(HEIGHT * WIDTH, dtype=torch.float32).view(HEIGHT, WIDTH)
    return torch.stack([pixels, pixels + 1000, pixels + 2000]).expand(200, -1, -1, -1)


def test_changes_so_many_pixels_by_others_of_the_window(numbered):
    deflected = deflect_pixels(numbered, 7, 2, Randomness(list(range(200))))
    changed = (deflected != numbered).any(1)
    per_image = changed.sum((1, 2))
    assert per_image.max() <= 7
    # A pixel of the window of 25 may be the pixel itself.
    assert per_image.float().mean() == pytest.approx(7 * (1 - 1 / 22), abs=0.15)
    assert torch.equal(deflected[:, 1], deflected[:, 0] + 1000) and torch.equal(deflected[:, 2], deflected[:, 0] + 2000)
    source, target = deflected[:, 0].long(), numbered[:, 0].long()
    rows, columns = source // WIDTH - target // WIDTH, source % WIDTH - target % WIDTH
    assert rows.abs().max() == 2 and columns.abs().max() == 2
    assert changed.float().mean(0).min() > 0, 'no pixel is spared'
    moves = {(int(r), int(c)) for r, c in zip(rows[changed], columns[changed])}
    assert len(moves) == 24, 'to all places of the window'


def test_uniform_over_what_is_left_of_the_window_at_the_border(numbered):
    """A corner has nine pixels to take from; deflecting all pixels, every image deflects it."""
    deflected = deflect_pixels(numbered, HEIGHT * WIDTH, 2, Randomness(list(range(200))))
    values, counts = deflected[:, 0, 0, 0].unique(return_counts=True)
    assert set(values.tolist()) == {row * WIDTH + column for row in range(3) for column in range(3)}
    assert counts.min() > 8


def test_more_deflections_than_pixels(build_purifier):
    pytest.importorskip('skimage')
    with pytest.raises(ValueError, match='7 deflections exceed the number of pixels of an image of 2 x 3'):
        build_purifier(CONFIG).clean(torch.zeros(1, 3, 2, 3))


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
def test_denoises_as_scikit_image(build_purifier, make_images, order):
    restoration = pytest.importorskip('skimage.restoration')
    pytest.importorskip('pywt')
    images = make_images(2, 3, 32, 24) * 0.3 + 90
    cleaned = build_purifier(dict(CONFIG, channel_order=order)).clean(images, Randomness([4, 5]))
    deflected = deflect_pixels(images, 7, 2, Randomness([4, 5]))
    for image, result in zip(deflected, cleaned):
        array = image.permute(1, 2, 0).numpy() / 255
        rgb = array[..., ::-1] if order == 'bgr' else array
        expected = restoration.denoise_wavelet(
            np.ascontiguousarray(rgb), sigma=12 / 255, convert2ycbcr=True, channel_axis=-1
        )
        expected = expected[..., ::-1] if order == 'bgr' else expected
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy(), expected * 255, atol=1e-2)
        assert result.std() < image.std() - 1


@pytest.mark.parametrize('missing', ['pywt', 'skimage.restoration'])
def test_a_missing_library(build_purifier, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    message = r"needs scikit-image and PyWavelets .*pip install 'mmadvdefense\[purifiers\]'"
    with pytest.raises(ImportError, match=message):
        build_purifier(CONFIG)
