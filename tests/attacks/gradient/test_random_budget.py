"""Every image gets a budget of its own, and all of the wrapped attack but its budget stays as it was."""

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack

ATTACKS = {
    'fgsm': dict(type='FGSM'),
    'bim': dict(type='BIM', steps=4),
    'pgd': dict(type='PGD', steps=3),
    'momentum': dict(type='MIFGSM', steps=3),
    'target': dict(type='PGD', steps=3, targeted='random'),
    'restarts': dict(type='PGD', steps=2, restarts=2),
}


def budgets(seeds, low=1, high=16):
    """As the attack draws them, without the attack."""
    draws = Randomness(seeds).derive('budget').uniform_like(torch.zeros(len(seeds), 1, 1, 1)).flatten()
    return [low + int(draw * (high - low + 1)) for draw in draws]


def run(config, model, images, samples, seeds, **settings):
    attack = build_attack(dict(type='RandomBudget', attack=config, **{'eps': (1, 16), **settings}))
    return attack(AttackSource(model), images, samples, Randomness(seeds))


@pytest.mark.parametrize('norm', ['linf', 'l2'])
@pytest.mark.parametrize('name', ATTACKS)
def test_each_image_is_attacked_as_with_its_budget_alone(name, norm, tiny_classifier, image_batch):
    config = dict(ATTACKS[name], norm=norm)
    seeds = list(range(20, 26))
    drawn = budgets(seeds)
    assert len(set(drawn)) > 3
    together = run(config, tiny_classifier, image_batch.images, image_batch.samples, seeds)
    source = AttackSource(tiny_classifier)
    for index, eps in enumerate(drawn):
        alone = build_attack({**config, 'eps': eps, 'step_size': eps / config.get('steps', 1)})(
            source,
            image_batch.images[index : index + 1],
            image_batch.samples[index : index + 1],
            Randomness([seeds[index]]),
        )[0]
        # A sum in another order may turn the sign of a gradient that is almost zero.
        assert ((together[index] - alone).abs() < 1e-2).float().mean() >= 0.99, index
        delta = together[index] - image_batch.images[index]
        size = delta.norm() if norm == 'l2' else delta.abs().max()
        assert 0.5 * eps < size <= eps + 1e-3


@pytest.mark.parametrize('name', ['bim', 'pgd'])
def test_images_of_different_sizes(name, pointwise_classifier, make_images, make_samples):
    images = [make_images(3, *size, seed=index) for index, size in enumerate([(12, 10), (5, 14), (4, 4), (9, 9)])]
    seeds, samples = list(range(4)), make_samples(4)
    together = run(ATTACKS[name], pointwise_classifier, images, samples, seeds, eps=(1, 3))
    drawn = budgets(seeds, 1, 3)
    assert len(set(drawn)) < 4, 'two share their budget'
    for index, (adversarial, image) in enumerate(zip(together, images)):
        alone = run(
            ATTACKS[name],
            pointwise_classifier,
            [image],
            samples[index : index + 1],
            seeds[index : index + 1],
            eps=(1, 3),
        )[0]
        assert ((adversarial - alone).abs() < 1e-2).float().mean() >= 0.99, index
        assert 0.5 * drawn[index] < (adversarial - image).abs().max() <= drawn[index] + 1e-3


def test_steps_in_pixels(tiny_classifier, image_batch):
    """Two steps of 2 end at most 4 pixels from the clean image, and inside each budget."""
    images = image_batch.images.clamp(20, 235)
    seeds = list(range(20, 26))
    adversarial = run(dict(type='BIM', steps=2), tiny_classifier, images, image_batch.samples, seeds, step_size=2)
    drawn = torch.tensor(budgets(seeds))
    size = (adversarial - images).flatten(1).abs().amax(1)
    torch.testing.assert_close(size, drawn.clamp(max=4).float())


def test_all_budgets_of_the_range_are_drawn_alike(tiny_classifier, make_images, make_samples):
    """Also zero, which leaves an image as it is; with one seed for the batch, as in training."""
    images = make_images(400, 3, 2, 2).clamp(20, 235)
    adversarial = run(dict(type='FGSM'), tiny_classifier, images, make_samples(400), 7, eps=(0, 3))
    size = (adversarial - images).flatten(1).abs().amax(1)
    torch.testing.assert_close(size, size.round())
    counts = torch.bincount(size.round().long(), minlength=4)
    assert len(counts) == 4 and (counts > 70).all() and (counts < 130).all()
    unchanged = size == 0
    assert torch.equal(adversarial[unchanged], images[unchanged])


@pytest.mark.parametrize('power', [1, 2])
def test_budgets_that_are_no_integers(power, tiny_classifier, make_images, make_samples):
    """Down to a fraction of a pixel, as dense as asked for near the smallest one, and what the perturbation uses up."""
    images = make_images(400, 3, 8, 8).clamp(20, 235)
    attack = dict(type='FGSM')
    adversarial = run(attack, tiny_classifier, images, make_samples(400), 7, eps=(0, 2.5), integer=False, power=power)
    size = (adversarial - images).flatten(1).abs().amax(1)
    draws = Randomness(7).derive('budget').uniform_like(torch.zeros(400, 1, 1, 1)).flatten()
    torch.testing.assert_close(size, 2.5 * draws**power, rtol=0, atol=1e-4)
    share = 0.3 ** (1 / power)
    assert share - 0.1 < (size < 0.75).float().mean() < share + 0.1


def test_description_names_the_range():
    attack = build_attack(dict(type='RandomBudget', attack=dict(type='BIM', steps=4), eps=(1, 16)))
    assert attack.describe() == 'BIM (L-inf 16, 4 steps), budgets 1-16'
    assert attack.stochastic and attack.eps == 16


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(attack=dict(type='BIM', steps=4, eps=8)), 'it sets eps of the attack itself'),
        (dict(attack=dict(type='BIM', steps=4, step_size=1)), 'step_size of the attack'),
        (dict(attack=dict(type='BIM', steps=4), eps=8), r'range such as \(1, 16\), got 8'),
        (dict(attack=dict(type='BIM', steps=4), eps=(4, 4)), r'range such as \(1, 16\), got \(4, 4\)'),
        (
            dict(attack=dict(type='BIM', steps=4), eps=(0.5, 4)),
            r'\(0.5, 4\) is not a range of integers; set integer=False',
        ),
        (dict(attack=dict(type='BIM', steps=4), step_size='eps'), "pixels .* or 'eps/steps', got 'eps'"),
        (dict(attack=dict(type='BIM', steps=0)), 'steps must be an integer'),
        (dict(attack=dict(type='DeepFool')), 'DeepFool'),
        (dict(attack=dict(type='BIM', steps=4), power=0), 'power must be positive'),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack({'type': 'RandomBudget', 'eps': (1, 16), **settings})


def test_a_step_as_a_share_of_the_budget(tiny_classifier, image_batch):
    seeds = list(range(20, 26))
    images, samples = image_batch.images, image_batch.samples
    together = run(dict(type='BIM', steps=3), tiny_classifier, images, samples, seeds, eps=(2, 12), relative_step=0.5)
    for index, eps in enumerate(budgets(seeds, 2, 12)):
        one = slice(index, index + 1)
        attack = build_attack(dict(type='BIM', steps=3, eps=eps, step_size=0.5 * eps))
        alone = attack(AttackSource(tiny_classifier), images[one], samples[one], Randomness([seeds[index]]))[0]
        assert ((together[index] - alone).abs() < 1e-2).float().mean() >= 0.99, index


@pytest.mark.parametrize('settings', [dict(relative_step=0), dict(relative_step=0.5, step_size=2)])
def test_a_share_that_is_none(settings):
    with pytest.raises(ValueError, match='relative_step must be positive'):
        build_attack(dict(type='RandomBudget', attack=dict(type='BIM', steps=3), eps=(1, 4), **settings))
