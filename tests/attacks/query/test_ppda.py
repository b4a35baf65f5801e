"""What PPDA is made of: low frequencies, and moves drawn by what has helped."""

import numpy as np
import pytest
import torch
from scipy.fft import idctn

from mmadvdefense.attacks import Randomness, build_attack
from mmadvdefense.attacks.query.low_frequency import LowFrequencies, cosines
from mmadvdefense.attacks.query.ppda import _draw


@pytest.mark.parametrize('size', [1, 4, 7])
def test_cosines_are_orthonormal(size):
    rows = cosines(size, size, torch.zeros(1))
    torch.testing.assert_close(rows @ rows.T, torch.eye(size), atol=1e-5, rtol=0)


def test_images_are_an_inverse_cosine_transform():
    coefficients = torch.randn(2, 3, 3, 5, generator=torch.Generator().manual_seed(0))
    frequencies = LowFrequencies(3, 5, torch.zeros(1, 3, 8, 10))
    padded = np.zeros((2, 3, 8, 10))
    padded[..., :3, :5] = coefficients.numpy()
    expected = torch.from_numpy(idctn(padded, axes=(2, 3), norm='ortho')).float()
    torch.testing.assert_close(frequencies.images(coefficients), expected, atol=1e-5, rtol=0)


def test_there_are_no_more_frequencies_than_pixels():
    assert LowFrequencies(75, 75, torch.zeros(1, 3, 8, 100)).size == (8, 75)


def test_the_lowest_frequencies_come_first():
    lowest = LowFrequencies(4, 4, torch.zeros(1, 3, 4, 4)).lowest(9)
    # Positions in 3 x 4 x 4: the constant and the two next lowest frequencies of each channel.
    assert sorted(lowest.tolist()) == [0, 1, 4, 16, 17, 20, 32, 33, 36]
    assert lowest[:3].tolist() == [0, 16, 32]


def test_moves_are_drawn_in_proportion_to_their_odds():
    odds = torch.tensor([0.2, 0.1, 0.1]).view(1, 3, 1).expand(1, 3, 40000)
    moves = _draw(odds, Randomness([0]).uniform_like(odds[:, 0]))
    shares = torch.bincount(moves.flatten(), minlength=3) / moves.numel()
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.25, 0.25]), atol=0.01, rtol=0)


def test_a_change_is_made_of_low_frequencies_only(query_host):
    """Where neither the budget nor the pixel range cuts it off."""
    attack = build_attack(dict(type='PPDA', eps=1e4, queries=20, dimensions=12, step_size=3.0, norm='l2'))
    images = query_host.images.clamp(100, 150)
    result = attack.run(query_host.source, images, query_host.samples, Randomness(list(range(6))))
    change = result.images - images
    frequencies = LowFrequencies(16, 16, images)
    coefficients = (frequencies.rows @ change @ frequencies.columns.T).flatten(1)
    kept = torch.zeros(3 * 16 * 16, dtype=torch.bool)
    kept[frequencies.lowest(12)] = True
    assert coefficients[:, ~kept].abs().max() < 1e-2
    steps = coefficients[:, kept] / 3
    torch.testing.assert_close(steps, steps.round(), atol=1e-2, rtol=0)
    assert steps.abs().max() > 1


def test_it_learns_which_moves_help(query_host):
    """With more queries a linear score rises faster than a walk would that learns nothing."""
    rises = {}
    for learns in (True, False):
        attack = build_attack(dict(type='PPDA', eps=1e4, queries=400, dimensions=100, step_size=0.01, norm='l2'))
        if not learns:
            patch = pytest.MonkeyPatch()
            patch.setattr('mmadvdefense.attacks.query.ppda._draw', lambda odds, uniform: (uniform * 3).long())
        result = attack.run(query_host.source, query_host.images, query_host.samples, Randomness(list(range(6))))
        if not learns:
            patch.undo()
        labels = query_host.labels[:, None]
        before, after = query_host.logits(query_host.images), query_host.logits(result.images)
        rises[learns] = (before - after).gather(1, labels).mean()
    assert rises[True] > 1.3 * rises[False] > 0
