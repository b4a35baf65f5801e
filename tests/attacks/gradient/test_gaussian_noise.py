"""Gaussian noise: its size, its seeds, and that it needs nothing."""

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.base import largest_budget
from mmadvdefense.threats import ThreatModel, UnsupportedAttackError


def run(model, images, samples, seeds, sigma=8):
    attack = build_attack(dict(type='GaussianNoise', sigma=sigma))
    return attack.run(AttackSource(model), images, samples, Randomness(seeds))


def test_it_is_the_clean_image_plus_sigma_times_a_seeded_normal(tiny_classifier, image_batch):
    seen = []
    tiny_classifier.backbone.register_forward_hook(lambda *_: seen.append(1))
    images = image_batch.images
    result = run(tiny_classifier, images, image_batch.samples, list(range(6)))
    for index, noisy in enumerate(result.images):
        normal = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(index))
        torch.testing.assert_close(noisy, (images[index] + 8 * normal).clamp(0, 255))
    assert not seen and result.queries.tolist() == [0] * 6


def test_the_noise_has_the_standard_deviation_it_says(tiny_classifier, image_batch):
    middle = torch.full_like(image_batch.images, 127.0)
    change = run(tiny_classifier, middle, image_batch.samples, list(range(6)), sigma=20).images - middle
    # 2160 draws: three standard errors are 4.6 % of sigma for its estimate, and 1.3 for the mean.
    assert change.std().item() == pytest.approx(20, rel=0.046)
    assert change.mean().item() == pytest.approx(0, abs=1.3)


def test_half_of_the_noise_on_black_is_clipped(tiny_classifier, image_batch):
    noisy = run(tiny_classifier, torch.zeros_like(image_batch.images), image_batch.samples, 3).images
    # 2160 draws: three standard errors of the share are 0.032.
    assert noisy.min() == 0 and noisy.eq(0).float().mean().item() == pytest.approx(0.5, abs=0.032)


def test_an_image_does_not_depend_on_its_batch(tiny_classifier, image_batch):
    images = [image[:, : 12 - index, : 10 - index] for index, image in enumerate(image_batch.images)]
    together = run(tiny_classifier, images, image_batch.samples, list(range(6))).images
    for index, image in enumerate(images):
        alone = run(tiny_classifier, image[None], image_batch.samples[index : index + 1], [index]).images[0]
        assert torch.equal(alone, together[index])


def test_it_knows_nothing_needs_nothing_and_has_no_budget():
    attack = build_attack(dict(type='GaussianNoise', sigma=63.75))
    assert not attack.needs_labels and attack.stochastic
    assert attack.describe() == 'GaussianNoise (sigma 63.75)'
    assert largest_budget([attack, build_attack(dict(type='FGSM', eps=8))]) is None
    for name in ('gray-box', 'query'):
        ThreatModel(name).check_attack(attack)
    with pytest.raises(UnsupportedAttackError, match='GaussianNoise uses no gradients; use gray-box'):
        ThreatModel('adaptive').check_attack(attack)


@pytest.mark.parametrize(
    ('sigma', 'message'),
    [
        (0.25, r'sigma is in pixels .* got 0.25; 0.25 of images in 0-1, as papers state it, is sigma=63.75'),
        (0, 'must be a number >= 1, got 0$'),
        (-3, 'got -3$'),
        (float('nan'), 'got nan$'),
        (float('inf'), 'got inf$'),
        ('8', "got '8'$"),
    ],
)
def test_bad_sigma(sigma, message):
    with pytest.raises(ValueError, match=f'GaussianNoise: {message}' if sigma == 0.25 else message):
        build_attack(dict(type='GaussianNoise', sigma=sigma))
