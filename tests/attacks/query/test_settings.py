"""Settings of query attacks: what is out of range is named, and what tables show."""

import pytest

from mmadvdefense.attacks import build_attack

ATTACKS = {
    'square': dict(type='Square', eps=8, queries=150),
    'ppda': dict(type='PPDA', eps=8, queries=150),
    'geoda': dict(type='GeoDA', eps=8, queries=300),
    'curls_whey': dict(type='CurlsWhey', eps=8, queries=100),
}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(eps=None), 'eps'),
        (dict(eps=-1), 'eps'),
        (dict(queries=0), 'queries'),
        (dict(queries=1.5), 'queries'),
        (dict(success_threshold=0), 'success_threshold'),
        (dict(success_threshold=1.2), 'success_threshold'),
        (dict(norm='l1'), 'l1'),
    ],
)
@pytest.mark.parametrize('name', ATTACKS)
def test_bad_settings_are_named(name, change, message):
    with pytest.raises(ValueError, match=message):
        build_attack({**ATTACKS[name], **change})


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='Square', eps=8, p_init=0), 'p_init'),
        (dict(type='Square', eps=8, objective='kl', targeted=True), 'no targeted form'),
        (dict(type='Square', eps=8, objective='marginal'), 'unknown attack objective'),
        (dict(type='PPDA', eps=8, dimensions=0), 'dimensions'),
        (dict(type='PPDA', eps=8, step_size=0), 'step_size'),
        (dict(type='SignFlip', eps=8, reduction=0.5), 'reduction'),
        (dict(type='SignFlip', eps=8, norm='l2'), 'norm'),
        (dict(type='GeoDA', eps=8, subspace=0), 'subspace'),
        (dict(type='GeoDA', eps=8, ratio=1.5), 'ratio'),
        (dict(type='GeoDA', eps=8, sigma=0), 'sigma'),
        (dict(type='GeoDA', eps=8, tolerance=0), 'tolerance'),
        (dict(type='CurlsWhey', eps=8, steps=0), 'steps'),
        (dict(type='CurlsWhey', eps=8, rounds=-1), 'rounds'),
        (dict(type='CurlsWhey', eps=8, step_size=0), 'step_size'),
        (dict(type='CurlsWhey', eps=8, noise_std=-1), 'noise_std'),
        (dict(type='CurlsWhey', eps=8, substitute=dict(config='a.py')), 'checkpoint'),
    ],
)
def test_bad_settings_of_one_attack_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        build_attack(config)


def test_tables_tell_the_number_of_queries():
    assert build_attack(ATTACKS['square']).describe() == 'Square (L-inf 8, 150 queries)'
    assert build_attack({**ATTACKS['geoda'], 'norm': 'l2'}).describe() == 'GeoDA (L2 8, 300 queries)'
