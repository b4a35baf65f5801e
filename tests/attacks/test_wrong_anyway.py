"""What becomes of images that the source gets wrong without an attack, as ``docs/robustness.md`` says."""

import pytest

from mmadvdefense.attacks import Randomness, build_attack

LEFT_ALONE = {
    'deepfool': dict(type='DeepFool', steps=5),
    'deepfool_linf': dict(type='DeepFool', eps=8, norm='linf', steps=5),
    'carlini_wagner': dict(type='CarliniWagner', norm='l2', binary_search_steps=2, steps=5),
    'fab': dict(type='FAB', steps=5),
    'apgdt': dict(type='APGDT', eps=8, steps=5),
    'autoattack': dict(type='AutoAttack', eps=8, steps=5, queries=20),
    'alma_prox': dict(type='ALMAProx', eps=8, steps=5),
    'dag': dict(type='DAG', steps=5),
    'pdpgd': dict(type='PDPGD', eps=8, steps=5),
    'square': dict(type='Square', eps=8, queries=20),
    'square_ce': dict(type='Square', eps=8, queries=20, objective='cross_entropy'),
    'ppda': dict(type='PPDA', eps=8, queries=20),
    'geoda': dict(type='GeoDA', eps=8, queries=600),
    'sign_flip': dict(type='SignFlip', eps=8, queries=300),
    'curls_whey': dict(type='CurlsWhey', eps=8, queries=20, steps=2, rounds=1),
}
ATTACKED = {
    'pgd': dict(type='PGD', eps=8, step_size=2, steps=3),
    'apgd': dict(type='APGD', eps=8, steps=3),
    'carlini_wagner': dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=3),
    'ssp': dict(type='SSP', eps=8, step_size=2, steps=3, layers='backbone'),
    'random_sign': dict(type='RandomSign', eps=8),
    'gaussian_noise': dict(type='GaussianNoise', sigma=8),
}


def changes(config, host):
    """How far the first two images, which have another label now, and the others were changed."""
    for sample, label in zip(host.samples[:2], host.labels.tolist()):
        sample.set_gt_label((label + 1) % 5)
    found = build_attack(config)(host.source, host.images, host.samples, Randomness(list(range(6))))
    return (found - host.images).abs().amax((1, 2, 3))


@pytest.mark.parametrize('name', LEFT_ALONE)
def test_no_more_than_it_takes(name, query_host):
    sizes = changes(LEFT_ALONE[name], query_host)
    assert sizes[:2].tolist() == [0, 0] and (sizes[2:] > 0).any()


@pytest.mark.parametrize('name', ATTACKED)
def test_attacked_like_any_other(name, query_host):
    assert (changes(ATTACKED[name], query_host) > 1).all()
