"""Momentum, smoothing and steps of other sizes, beside the same attack written out."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import BIM, FGSM, MIFGSM, PGD, AttackSource, Randomness, build_attack
from mmadvdefense.attacks.gradient.loop import gaussian_kernel


def gradient_by_hand(model, images, labels):
    native = model.data_preprocessor
    images = images.detach().requires_grad_()
    loss = F.cross_entropy(model.eval()((images - native.mean) / native.std), labels, reduction='sum')
    return torch.autograd.grad(loss, images)[0]


@pytest.mark.parametrize('norm, eps, step_size', [('linf', 8, 3), ('l2', 60, 25)])
@pytest.mark.parametrize('kernel_size', [None, 3])
def test_momentum_by_hand(norm, eps, step_size, kernel_size, tiny_classifier, image_batch):
    images = image_batch.images.clamp(70, 185)
    attack = MIFGSM(eps, step_size, 4, momentum=0.7, norm=norm, kernel_size=kernel_size)
    actual = attack(AttackSource(tiny_classifier), images, image_batch.samples, Randomness(0))
    expected, total = images.clone(), torch.zeros_like(images)
    for _ in range(4):
        gradient = gradient_by_hand(tiny_classifier, expected, image_batch.labels)
        if kernel_size:
            kernel = gaussian_kernel(3, 3 / 5, gradient)
            # Channel by channel.
            gradient = torch.cat([F.conv2d(gradient[:, [c]], kernel[None, None], padding=1) for c in range(3)], 1)
        total = 0.7 * total + gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
        if norm == 'linf':
            expected = images + (expected + step_size * total.sign() - images).clamp(-eps, eps)
        else:
            delta = expected + step_size * total / total.flatten(1).norm(dim=1)[:, None, None, None] - images
            expected = images + delta * (eps / delta.flatten(1).norm(dim=1)).clamp(max=1)[:, None, None, None]
    assert ((actual - expected).abs() < 1e-2).float().mean() > 0.998
    without = BIM(eps, step_size, 4, norm=norm)(
        AttackSource(tiny_classifier), images, image_batch.samples, Randomness(0)
    )
    assert ((actual - without).abs() > 0.1).float().mean() > 0.05


def test_momentum_outlives_a_gradient_of_nothing():
    attack, state = MIFGSM(8, 2, 4), {'mask': None}
    first = torch.tensor([3.0, -1.0, 0.0]).view(1, 3, 1, 1)
    assert torch.equal(attack.direction(first, state), first.sign())
    assert torch.equal(attack.direction(torch.zeros_like(first), state), first.sign())
    # 0.75, -0.25 against -0.25, 0.5: both are scaled to the same size first.
    turned = torch.tensor([-1e-6, 2e-6, 1e-6]).view(1, 3, 1, 1)
    assert torch.equal(attack.direction(turned, state).flatten(), torch.tensor([1.0, 1.0, 1.0]))


def test_no_momentum_is_none_at_all(tiny_classifier, image_batch, run_attack):
    settings = dict(eps=8, step_size=2, steps=4)
    source = AttackSource(tiny_classifier)
    plain, zero = (
        run_attack({**settings, **option}, source, image_batch.images, image_batch.samples)
        for option in (dict(type='BIM'), dict(type='MIFGSM', momentum=0.0))
    )
    assert torch.equal(plain, zero)


def test_each_step_has_its_size(tiny_classifier, image_batch):
    """Steps of 4, 2 and 1 end an odd number of pixels away, and no more than 7."""
    images = image_batch.images.clamp(20, 235)
    attack = BIM(8, step_sizes=[4, 2, 1])
    assert (attack.steps, attack.step_size) == (3, 4)
    adversarial = attack(AttackSource(tiny_classifier), images, image_batch.samples, Randomness(0))
    distances = set((adversarial - images).abs().round(decimals=3).unique().tolist())
    assert distances <= {1, 3, 5, 7} and {1, 7} <= distances


def test_equal_step_sizes_are_one_step_size(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier)
    one, listed = (
        attack(source, image_batch.images, image_batch.samples, Randomness(3))
        for attack in (PGD(8, 2, 3), PGD(8, step_sizes=(2, 2, 2)))
    )
    assert torch.equal(one, listed)


def test_other_names_are_the_same_attack(tiny_classifier, image_batch, run_attack):
    source, settings = AttackSource(tiny_classifier), dict(eps=8, step_size=2, steps=4)
    images, samples = image_batch.images, image_batch.samples
    bim = run_attack(dict(type='BIM', **settings), source, images, samples)
    for same in (
        dict(type='IFGSM'),
        dict(type='PGD', random_start=None),
        dict(type='DIFGSM', diversity=0),
        dict(type='TIFGSM', kernel_size=1, kernel_sigma=1.0),
    ):
        assert torch.equal(run_attack({**same, **settings}, source, images, samples), bim)
    combined = dict(momentum=1.0, diversity=0.5, kernel_size=5, kernel_sigma=2 / 3, random_start='uniform')
    named = [
        run_attack(dict(type=name, **settings, **combined), source, images, samples)
        for name in ('BIM', 'PGD', 'MIFGSM', 'DIFGSM', 'TIFGSM')
    ]
    assert all(torch.equal(named[0], other) for other in named[1:])


@pytest.mark.parametrize(
    'config, stochastic',
    [
        (dict(type='FGSM', eps=8), False),
        (dict(type='BIM'), False),
        (dict(type='MIFGSM'), False),
        (dict(type='TIFGSM'), False),
        (dict(type='BIM', targeted='least_likely'), False),
        (dict(type='BIM', targeted='top_wrong', num_targets=2), False),
        (dict(type='PGD', random_start=None), False),
        (dict(type='BIM', targeted='random'), True),
        (dict(type='BIM', random_start='normal'), True),
        (dict(type='PGD'), True),
        (dict(type='DIFGSM'), True),
        (dict(type='DIFGSM', diversity=0), False),
        (dict(type='BIM', objective='cls'), False),
        (dict(type='BIM', objective='cls_or_loc'), True),
    ],
    ids=str,
)
def test_stochastic_is_what_draws(config, stochastic):
    config = config if config['type'] == 'FGSM' else dict(eps=8, step_size=2, steps=3, **config)
    assert build_attack(config).stochastic is stochastic


def test_fgsm_takes_the_options_too():
    attack = FGSM(8, random_start='uniform', kernel_size=3)
    assert (attack.steps, attack.kernel_size, attack.stochastic) == (1, 3, True)
