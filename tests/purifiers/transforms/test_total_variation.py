"""The solver against scikit-image, against a problem solved by hand, and with pixels left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmadvdefense.purifiers.transforms.total_variation import minimize_total_variation
from mmadvdefense.randomness import Randomness


def _total_variation(images: Tensor) -> Tensor:
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    down[..., :-1, :] = images[..., 1:, :] - images[..., :-1, :]
    right[..., :-1] = images[..., 1:] - images[..., :-1]
    return torch.hypot(down, right).flatten(1).sum(1)


def _energy(result: Tensor, images: Tensor, kept: Tensor, weight: float) -> Tensor:
    return 0.5 * (kept * (result - images) ** 2).flatten(1).sum(1) + weight * _total_variation(result)


@pytest.fixture
def images() -> Tensor:
    """A disc and a ramp under noise."""
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing='ij')
    disc = 60 + 120 * ((rows - 9) ** 2 + (columns - 11) ** 2 < 40).float()
    ramp = 4 * columns + 5 * rows
    noise = torch.randn(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    return torch.stack([disc, ramp])[:, None] + 12 * noise


@pytest.mark.parametrize('weight', [5.0, 25.0])
def test_equals_scikit_image(images, weight):
    restoration = pytest.importorskip('skimage.restoration')
    ours = minimize_total_variation(images, torch.ones(2, 1, 20, 24), weight, 500)
    theirs = [
        restoration.denoise_tv_chambolle(
            image.double().numpy() / 255, weight / 255, eps=1e-12, max_num_iter=3000, channel_axis=0
        )
        for image in images
    ]
    theirs = torch.from_numpy(np.stack(theirs) * 255).float()
    assert (ours - theirs).abs().max() < 1
    assert (ours - images).abs().max() > 5
    everything = torch.ones_like(images)
    assert (_energy(ours, images, everything, weight) <= _energy(theirs, images, everything, weight) * 1.0005).all()


def test_an_edge_by_hand():
    """Two halves of ``W / 2`` columns each move towards one another by ``weight * H / (H * W / 2)``."""
    image = torch.full((1, 1, 5, 8), 50.0)
    image[..., 4:] = 200
    result = minimize_total_variation(image, torch.ones_like(image), 10.0, 2000)
    expected = torch.where(image == 50, 50 + 10 / 4, 200 - 10 / 4)
    assert torch.allclose(result, expected, atol=1e-2)


def test_the_purifier_smooths(build_purifier, images):
    images = images.clamp(0, 255)
    before = _total_variation(images)
    for weight, drop_rate in ((2.0, 0.0), (8.0, 0.0), (8.0, 0.5)):
        purifier = build_purifier(dict(type='TotalVariationPurifier', weight=weight, drop_rate=drop_rate))
        after = _total_variation(purifier.clean(images, Randomness([1, 2])))
        assert (after < before).all()
        before = after


def test_the_usual_number_of_steps_is_enough(images):
    kept = (torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    far, usual = (minimize_total_variation(images, kept, 7.65, steps) for steps in (4000, 100))
    assert (far - usual).square().mean().sqrt() < 1.5
    assert (_energy(usual, images, kept, 7.65) < 1.02 * _energy(far, images, kept, 7.65)).all()


def test_dropped_pixels_do_not_matter(images):
    kept = (torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    elsewhere = torch.where(kept.bool(), images, 255 - images)
    results = [minimize_total_variation(inputs, kept, 8.0, 60) for inputs in (images, elsewhere)]
    assert torch.equal(*results)
    assert not torch.allclose(results[0], minimize_total_variation(images, torch.ones_like(kept), 8.0, 60), atol=1)


def test_the_least_energy_with_pixels_left_out(images):
    """Convex: what no small change makes better is the solution."""
    kept = (torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(1)) > 0.3).float()
    images, kept = images.double(), kept.double()
    result = minimize_total_variation(images, kept, 10.0, 5000)
    least = _energy(result, images, kept, 10.0)
    generator = torch.Generator().manual_seed(2)
    for size in (0.05, 0.5, 5):
        change = size * torch.randn(result.shape, generator=generator, dtype=torch.float64)
        for direction in (change, change.mean((2, 3), keepdim=True), images - result):
            assert (_energy(result + direction * size, images, kept, 10.0) > least).all()


def test_the_part_that_is_dropped(build_purifier, monkeypatch):
    """Drawn once for all channels of a pixel."""
    seen = []
    monkeypatch.setattr(
        'mmadvdefense.purifiers.transforms.total_variation.minimize_total_variation',
        lambda images, kept, *_: seen.append(kept) or images,
    )
    build_purifier(dict(type='TotalVariationPurifier', drop_rate=0.3)).clean(torch.zeros(4, 3, 50, 50))
    (kept,) = seen
    assert kept.shape == (4, 1, 50, 50) and set(kept.unique().tolist()) == {0, 1}
    assert ((kept.mean((1, 2, 3)) - 0.7).abs() < 0.04).all()
