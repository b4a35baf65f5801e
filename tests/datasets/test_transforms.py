import numpy as np
import pytest

from mmadvdefense.datasets import AddGaussianNoise


def test_noise_has_the_given_standard_deviation():
    np.random.seed(0)
    image = np.full((64, 64, 3), 128, np.uint8)
    noisy = AddGaussianNoise(std=20).transform({'img': image})['img']
    assert noisy.dtype == np.uint8
    difference = noisy.astype(float) - 128
    assert abs(difference.mean()) < 1 and difference.std() == pytest.approx(20, rel=0.05)
    assert image.min() == image.max() == 128, 'the image of the data set is unchanged'


def test_clipped_and_floats_stay_floats():
    image = np.array([[[0.0, 255.0, 128.0]]], np.float32).repeat(100, 0)
    noisy = AddGaussianNoise(std=100).transform({'img': image})['img']
    assert noisy.min() >= 0 and noisy.max() <= 255 and noisy.dtype == np.float32


def test_negative():
    with pytest.raises(ValueError, match='-1'):
        AddGaussianNoise(std=-1)
