"""GAN losses against values computed with plain numbers, and whose turn it is."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.losses import BinaryGANLoss, RelativisticGANLoss, WassersteinGANLoss
from mmadvdefense.randomness import Randomness

REAL, FAKE = [0.5, -1.0, 2.0], [-0.25, 1.5, 0.0]


def outputs(values):
    """Discriminator outputs of two layers at one scale; the first must not matter."""
    return [[torch.full((3, 4, 5, 5), 100.0), torch.tensor(values).view(3, 1)]]


def batch(iteration: int = 0, **changes) -> SimpleNamespace:
    given = dict(clean=outputs(REAL), purified_adversarial=outputs(FAKE), purified_clean=outputs(FAKE))
    return SimpleNamespace(
        iteration=iteration, discriminate=given.__getitem__, discriminate_detached=given.__getitem__, **changes
    )


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def test_binary_by_hand():
    terms = BinaryGANLoss(generator_weight=0.3, loss_weight=2.0).terms(batch())
    generator = mean(-math.log(sigmoid(fake)) for fake in FAKE)
    discriminator = mean(-math.log(sigmoid(real)) for real in REAL) + mean(
        -math.log(1 - sigmoid(fake)) for fake in FAKE
    )
    assert terms['loss_gan_generator'].item() == pytest.approx(0.6 * generator, rel=1e-5)
    assert terms['loss_gan_discriminator'].item() == pytest.approx(2 * discriminator, rel=1e-5)


def test_scales_are_summed():
    loss = BinaryGANLoss()
    one, other = outputs(FAKE), outputs(REAL)
    both = loss([*one, *other], target_is_real=True)
    torch.testing.assert_close(both, loss(one, target_is_real=True) + loss(other, target_is_real=True))


def test_relativistic_by_hand():
    """Each image with its own purified version."""
    terms = RelativisticGANLoss(generator_weight=5e-3).terms(batch())
    pairs = list(zip(REAL, FAKE))
    generator = mean(-math.log(sigmoid(fake - real)) for real, fake in pairs)
    discriminator = mean(-math.log(sigmoid(real - fake)) for real, fake in pairs)
    assert terms['loss_gan_generator'].item() == pytest.approx(5e-3 * generator, rel=1e-5)
    assert terms['loss_gan_discriminator'].item() == pytest.approx(discriminator, rel=1e-5)


def test_relativistic_average_by_hand():
    """Each image with the mean of the others."""
    terms = RelativisticGANLoss(average=True).terms(batch())

    def side(higher, lower):
        return mean(-math.log(sigmoid(own - mean(lower))) for own in higher) + mean(
            -math.log(1 - sigmoid(own - mean(higher))) for own in lower
        )

    assert terms['loss_gan_generator'].item() == pytest.approx(side(FAKE, REAL), rel=1e-5)
    assert terms['loss_gan_discriminator'].item() == pytest.approx(side(REAL, FAKE), rel=1e-5)


@pytest.mark.parametrize(
    ('settings', 'generator', 'discriminator'),
    [
        ({}, range(6), range(6)),
        (dict(discriminator_interval=2), range(6), [0, 2, 4]),
        (dict(generator_interval=3), [2, 5], range(6)),
    ],
    ids=['both', 'generator twice', 'discriminator three times'],
)
def test_turns(settings, generator, discriminator):
    loss = BinaryGANLoss(**settings)
    for iteration in range(6):
        expected = {'loss_gan_generator'} if iteration in generator else set()
        expected |= {'loss_gan_discriminator'} if iteration in discriminator else set()
        assert set(loss.terms(batch(iteration))) == expected


def test_what_has_no_weight_is_not_computed():
    assert list(BinaryGANLoss(generator_weight=0).terms(batch())) == ['loss_gan_discriminator']
    assert list(BinaryGANLoss(discriminator_weight=0).terms(batch())) == ['loss_gan_generator']
    assert BinaryGANLoss(loss_weight=0).terms(batch()) == {}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(generator_interval=0), 'BinaryGANLoss: intervals are at least 1, got generator_interval=0'),
        (dict(fake='noise'), "fake='noise'.*purified_clean"),
        (dict(real='noise'), "real='noise'.*purified_clean"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        BinaryGANLoss(**settings)


class LinearCritic:
    """Scores an image by the sum of its values times a weight: the gradient is that weight everywhere."""

    def __init__(self, weight: float):
        self.weight = torch.tensor(weight, requires_grad=True)

    def __call__(self, images):
        return [[images, self.weight * images.flatten(1).sum(1, keepdim=True)]]


def test_wasserstein_by_hand():
    critic = LinearCritic(0.5)
    images = dict(clean=torch.full((3, 3, 2, 2), 0.25), purified_clean=torch.full((3, 3, 2, 2), -0.5))
    own = SimpleNamespace(
        iteration=4,
        pixels=images.__getitem__,
        randomness=Randomness(1),
        discriminate=lambda name: critic(images[name]),
        discriminate_detached=lambda name: critic(images[name]),
        discriminate_images=critic,
    )
    loss = WassersteinGANLoss(penalty_weight=10.0)
    terms = loss.terms(own)
    # 12 values in an image, so the norm of the gradient is 0.5 * sqrt(12).
    penalty = (0.5 * math.sqrt(12) - 1) ** 2
    real, fake = 12 * 0.25 * 0.5, 12 * -0.5 * 0.5
    assert terms['loss_gan_generator'].item() == pytest.approx(-fake)
    assert terms['loss_gan_discriminator'].item() == pytest.approx(fake - real + 10 * penalty, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss.gradient_penalty(own), critic.weight)
    assert gradient.item() == pytest.approx(2 * (0.5 * math.sqrt(12) - 1) * math.sqrt(12), rel=1e-5)
    with torch.no_grad():
        assert loss.gradient_penalty(own).item() == pytest.approx(penalty, rel=1e-5), 'a validation loss'


def test_the_penalty_is_between_real_and_fake_images():
    seen = []

    def critic(images):
        seen.append(images.detach())
        return [[images.square().flatten(1).sum(1, keepdim=True)]]

    images = dict(clean=torch.rand(4, 3, 2, 2) + 2, purified_clean=torch.rand(4, 3, 2, 2) - 2)
    own = SimpleNamespace(pixels=images.__getitem__, randomness=Randomness(1), discriminate_images=critic)
    value = WassersteinGANLoss().gradient_penalty(own).item()
    (mix,) = seen
    share = (mix - images['clean']) / (images['purified_clean'] - images['clean'])
    assert torch.allclose(share, share[:, :1, :1, :1].expand_as(share), atol=1e-5), 'one share for each image'
    assert 0 <= share.min() and share.max() <= 1 and len(share[:, 0, 0, 0].unique()) == 4
    expected = [(2 * math.sqrt(sum(v * v for v in image.flatten().tolist())) - 1) ** 2 for image in mix]
    assert value == pytest.approx(mean(expected), rel=1e-4)


def test_five_critic_steps_for_one_of_the_generator():
    assert (WassersteinGANLoss().generator_interval, WassersteinGANLoss().discriminator_interval) == (5, 1)
