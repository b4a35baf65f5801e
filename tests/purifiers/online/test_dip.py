"""The deep image prior and the one-step auto-encoder: both are fitted by Adam to the image, and denoise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmadvdefense.purifiers.online.reconstruction import ReconstructionPurifier
from mmadvdefense.randomness import Randomness

pytest.importorskip('mmpretrain')


def _scene(size: int = 32) -> torch.Tensor:
    """Discs on a slope: smooth, with edges."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing='ij')
    image = torch.stack([rows * 4.0, columns * 4.0, (rows + columns) * 2.0]) + 60
    for row, column, radius, colour in [(9, 10, 6, (230, 60, 20)), (22, 20, 8, (10, 90, 240))]:
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        image[:, inside] = torch.tensor(colour, dtype=image.dtype)[:, None]
    return image[None]


def _mse(images: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    return (images - clean).square().mean()


def test_dip_learns_the_image_before_its_noise(build_purifier):
    clean = _scene()
    noisy = (clean + 30 * Randomness([1]).normal_like(clean)).clamp(0, 255)
    purifier = build_purifier(dict(type='DIPPurifier'))
    early, late = purifier.trajectory(noisy, Randomness([0]), [1, 150])
    assert _mse(early, clean) > 2 * _mse(noisy, clean)
    assert _mse(late, clean) < 0.5 * _mse(noisy, clean)


def test_autoencoder_learns_the_image(build_purifier):
    """One scalar cannot hold it: what comes out was learnt."""
    clean = _scene()
    purifier = build_purifier(dict(type='OneStepAutoEncoderPurifier'))
    early, late = purifier.trajectory(clean, Randomness([0]), [1, 200])
    assert _mse(early, clean) > 3000
    assert _mse(late, clean) < 300


class OwnNetwork(nn.Module):
    """Two numbers for each image, which scale and shift it."""

    def draw(self, images: torch.Tensor, randomness: Randomness) -> dict[str, torch.Tensor]:
        start = randomness.uniform_like(images.new_empty(len(images), 2))
        return {'scale': start[:, :1].clone(), 'shift': start[:, 1:].clone()}

    def forward(self, images: torch.Tensor, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return images * parameters['scale'][..., None, None] + parameters['shift'][..., None, None]


class OwnPurifier(ReconstructionPurifier):
    def source(self, images: torch.Tensor, randomness: Randomness):
        return lambda: images


def test_fit_is_adam_on_the_mean_squared_error(make_images):
    """Written out for each image; the result is what the network gives after, not before, the last update."""
    purifier = OwnPurifier(3, 0.1, dict(type='ScalarAutoEncoders'), native_type='mmengine.ImgDataPreprocessor')
    purifier.network = OwnNetwork()
    images = make_images(2, 3, 4, 5).double()
    states = purifier.trajectory(images, Randomness([7, 8]), [1, 2, 3])
    for index, seed in enumerate([7, 8]):
        wanted = images[index] / 255
        start = torch.rand(2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        numbers = nn.Parameter(start)
        adam = torch.optim.Adam([numbers], lr=0.1)
        for state in states:
            adam.zero_grad()
            nn.functional.mse_loss(wanted * numbers[0] + numbers[1], wanted).backward()
            adam.step()
            expected = ((wanted * numbers[0] + numbers[1]) * 255).clamp(0, 255)
            assert torch.allclose(state[index], expected, atol=1e-9)


def test_jitter(build_purifier, make_images):
    images = make_images(1, 3, 8, 8)
    results = [
        build_purifier(dict(type='DIPPurifier', num_steps=3, jitter=jitter)).purify(images, Randomness([0]))
        for jitter in (0, 0, 1 / 30)
    ]
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    with pytest.raises(ValueError, match='DIPPurifier: jitter must be >= 0, got -1'):
        build_purifier(dict(type='DIPPurifier', jitter=-1))
