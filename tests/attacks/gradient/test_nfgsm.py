"""N-FGSM: where its noise and its step end, and that nothing brings it back into the budget."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource, Randomness, build_attack


def run(config, model, batch, images=None):
    attack = build_attack(config)
    images = batch.images.clamp(64, 191) if images is None else images
    return images, attack(AttackSource(model), images, batch.samples, Randomness(3)) - images


@pytest.mark.parametrize('k, alpha', [(2.0, None), (1.0, 5)])
def test_one_step_from_the_noise_by_hand(tiny_classifier, image_batch, k, alpha):
    clean, delta = run(dict(type='NFGSM', eps=4, k=k, alpha=alpha), tiny_classifier, image_batch)
    noise = (Randomness(3).uniform_like(clean) * 2 - 1) * 4 * k
    model = tiny_classifier.eval()
    noisy = (clean + noise).requires_grad_()
    native = model.data_preprocessor
    loss = F.cross_entropy(model((noisy - native.mean) / native.std), image_batch.labels, reduction='sum')
    (gradient,) = torch.autograd.grad(loss, noisy)
    expected = noise + (alpha or 4) * gradient.sign()
    # A sum in another order may turn the sign of a gradient that is almost zero.
    assert ((delta - expected).abs() < 1e-3).float().mean() > 0.99
    assert delta.abs().max() > 4 * k, 'not projected onto eps'


def test_its_radius_is_that_of_noise_and_step():
    attack = build_attack(dict(type='NFGSM', eps=8))
    assert (attack.eps, attack.ball.eps, attack.noise, attack.step_size, attack.steps) == (24, 24, 16, 8, 1)
    assert attack.describe() == 'NFGSM (L-inf 24, noise 16 and step 8, not projected)' and attack.stochastic


def test_the_range_of_pixels_cuts_it(tiny_classifier, image_batch):
    black = torch.zeros_like(image_batch.images)
    _, delta = run(dict(type='NFGSM', eps=8), tiny_classifier, image_batch, black)
    assert delta.min() == 0 and delta.max() > 16


def test_l2(tiny_classifier, image_batch):
    _, delta = run(dict(type='NFGSM', eps=40, norm='l2'), tiny_classifier, image_batch)
    size = delta.flatten(1).norm(dim=1)
    # In so many dimensions, a point of the ball is almost on its surface.
    assert size.max() <= 120 + 1e-3 and size.min() > 60


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(eps=8, k=-1), 'eps and k must be >= 0 and alpha > 0, got eps=8, k=-1, alpha=None'),
        (dict(eps=8, alpha=0), 'alpha > 0, got eps=8, k=2.0, alpha=0'),
        (dict(eps=8, random_start='uniform'), "NFGSM: .*multiple values for keyword argument 'random_start'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='NFGSM', **settings))
