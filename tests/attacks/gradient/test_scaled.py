"""An attack with all its lengths multiplied, for a curriculum."""

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack

PGD = dict(type='PGD', eps=8, step_size=2, steps=3)
PAIRS = {
    'pgd': (PGD, dict(PGD, eps=4, step_size=1)),
    'l2': (dict(PGD, eps=80, step_size=30, norm='l2'), dict(PGD, eps=40, step_size=15, norm='l2')),
    'step_sizes': (dict(type='BIM', eps=8, step_sizes=[4, 2]), dict(type='BIM', eps=4, step_sizes=[2, 1])),
    'rfgsm': (dict(type='RFGSM', eps=8, alpha=2), dict(type='RFGSM', eps=4, alpha=1)),
    'nfgsm': (dict(type='NFGSM', eps=8, alpha=6), dict(type='NFGSM', eps=4, alpha=3)),
}


@pytest.mark.parametrize('whole, half', PAIRS.values(), ids=list(PAIRS))
def test_half_of_it_is_the_attack_of_half_the_size(whole, half, tiny_classifier, image_batch):
    def run(attack):
        return attack(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(1))

    attack, smaller = build_attack(whole), build_attack(half)
    scaled = attack.scaled(0.5)
    assert torch.equal(run(scaled), run(smaller)) and scaled.describe() == smaller.describe()
    assert attack.describe() == build_attack(whole).describe(), 'the attack itself is unchanged'
    assert torch.equal(run(attack.scaled(0.0)), image_batch.images)


@pytest.mark.parametrize('settings', [dict(relative_step=0.5), dict(step_size=2.0)])
def test_a_share_of_random_budgets(settings, tiny_classifier, image_batch):
    attack = build_attack(dict(type='RandomBudget', attack=dict(type='PGD', steps=4), eps=(2, 8), **settings))
    images = image_batch.images.clamp(16, 239)
    whole, half = (
        one(AttackSource(tiny_classifier), images, image_batch.samples, Randomness(1)) - images
        for one in (attack, attack.scaled(0.5))
    )
    sizes = [delta.flatten(1).abs().amax(1) for delta in (whole, half)]
    torch.testing.assert_close(sizes[1], sizes[0] / 2)
    assert attack.scaled(0.5).eps == 4 and attack.scaled(0.5).scaled(0.5).eps == 2


def test_an_attack_without_a_budget():
    with pytest.raises(ValueError, match='DeepFool has no budget that grows: use a gradient attack such as PGD'):
        build_attack(dict(type='DeepFool', norm='l2')).scaled(0.5)
