"""Wavelet denoising against scikit-image, and the Haar transform by hand."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from mmadvdefense.purifiers.transforms.wavelets import denoise_wavelets, merge_haar, split_haar


def test_haar_by_hand():
    image = torch.tensor([[1.0, 2.0, 0.0, 0.0], [3.0, 5.0, 0.0, 4.0]]).view(1, 1, 2, 4)
    average, details = split_haar(image)
    assert average.tolist() == [[[[5.5, 2.0]]]]
    # Left less right, upper less lower, and one diagonal less the other, each half the sum.
    assert details.tolist() == [[[[[-1.5, -2.0]], [[-2.5, -2.0]], [[0.5, 2.0]]]]]
    assert torch.equal(merge_haar(average, details), image)


def test_haar_is_orthonormal(make_images):
    images = make_images(2, 3, 8, 6)
    average, details = split_haar(images)
    torch.testing.assert_close(average.square().sum() + details.square().sum(), images.square().sum())
    torch.testing.assert_close(merge_haar(average, details), images)


@pytest.mark.parametrize('bgr', [False, True], ids=['rgb', 'bgr'])
@pytest.mark.parametrize('size', [(32, 32), (37, 64), (19, 11)], ids=str)
@pytest.mark.parametrize('sigma', [2.55, 25.5])
def test_equals_scikit_image(make_images, size, sigma, bgr):
    """Odd sides are extended by their last value at each level, and the number of levels is chosen by size."""
    restoration = pytest.importorskip('skimage.restoration')
    pytest.importorskip('pywt')
    noise = make_images(3, 3, *size)
    smooth = torch.linspace(40, 200, size[1]).expand(3, 3, *size)
    images = (0.3 * noise + 0.7 * smooth).double()
    rgb = images.flip(1) if bgr else images
    expected = torch.stack(
        [
            torch.from_numpy(
                restoration.denoise_wavelet(
                    (image / 255).permute(1, 2, 0).numpy(),
                    sigma=sigma / 255,
                    method='BayesShrink',
                    mode='soft',
                    convert2ycbcr=True,
                    channel_axis=-1,
                    rescale_sigma=True,
                )
            ).permute(2, 0, 1)
            for image in rgb
        ]
    )
    found = denoise_wavelets(images, sigma, bgr).clamp(0, 255)
    found = found.flip(1) if bgr else found
    assert (found - rgb).abs().max() > 0.5, 'it does something'
    torch.testing.assert_close(found, expected * 255, rtol=0, atol=1e-3)


def test_single_precision(make_images):
    images = make_images(2, 3, 32, 32)
    torch.testing.assert_close(
        denoise_wavelets(images, 2.55), denoise_wavelets(images.double(), 2.55).float(), rtol=0, atol=1e-2
    )


def test_gradient(make_images):
    images = (make_images(1, 3, 6, 7).double() * 0.5 + 30).requires_grad_()
    assert gradcheck(lambda own: denoise_wavelets(own, 20.0), images, atol=1e-4, eps=1e-4, fast_mode=True)
