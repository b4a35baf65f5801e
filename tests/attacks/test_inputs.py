"""Mistakes and their messages."""

import pytest
import torch

from mmadvdefense.attacks import BIM, FGSM, AttackSource, Randomness, attack_names, build_attack
from mmadvdefense.attacks.objectives import Objective, build_objective
from mmadvdefense.registry import ATTACKS, OBJECTIVES

PGD = dict(type='PGD', eps=8, step_size=2, steps=4)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(eps=-1), r'PGD: eps is a radius in pixels .* >= 0, got -1'),
        (dict(eps=float('nan')), r'PGD: eps .* got nan'),
        (dict(eps=None), r'PGD: eps .* got None'),
        (dict(step_size=None), r'PGD: give step_size, such as .*pixels'),
        (dict(step_size=0), r'PGD: step_size .* > 0, got 0'),
        (dict(step_size=-2), r'PGD: step_size .* > 0, got -2'),
        (dict(steps=None), r'PGD: give steps, such as steps=10'),
        (dict(steps=0), r'PGD: steps .* got 0'),
        (dict(steps=2.5), r'PGD: steps .* got 2\.5'),
        (dict(norm='l1'), r"PGD: unknown norm 'l1'; known: linf, l2"),
        (dict(objective='ce'), r"unknown attack objective 'ce'; known: cross_entropy, margin, dlr, kl, task_loss"),
        (dict(objective='kl', targeted='random'), r"PGD: the objective 'kl' has no targeted form"),
        (dict(targeted='nearest'), r"PGD: unknown choice of target 'nearest'; known: random, least_likely"),
        (dict(kernel_size=4), r'kernel_size must be odd, got 4'),
        (dict(kernel_size=0), r'kernel_size must be odd, got 0'),
        (dict(random_start='gauss'), r"random_start must be 'uniform', 'normal' or None, got 'gauss'"),
        (dict(momentun=0.9), r'PGD: .*momentun'),
        (dict(momentum=-1), r'PGD: momentum must be >= 0, got -1'),
        (dict(diversity=1.5), r'diversity must be a probability in \(0, 1\], got 1\.5'),
        (dict(diversity=0.5, diversity_scales=(1.1, 0.9)), r'diversity_scales must be the smallest and the largest'),
        (dict(restarts=0), r'PGD: restarts must be an integer >= 1, got 0'),
        (dict(restarts=2, random_start=None), r'PGD: all restarts would be the same.*random_start'),
        (dict(num_targets=9), r"PGD: num_targets needs targeted='top_wrong', got False"),
        (dict(step_sizes=[2, 1]), r'PGD: step_sizes replaces step_size and steps'),
        (dict(step_size=None, steps=None, step_sizes=[2, 0]), r'PGD: step_sizes .* > 0, got \[2, 0\]'),
        (dict(step_size=None, steps=None, step_sizes=[]), r'PGD: step_sizes .* > 0, got \[\]'),
    ],
    ids=lambda value: '-'.join(f'{k}={v}' for k, v in value.items()) if isinstance(value, dict) else '',
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        build_attack({**PGD, **change})


@pytest.mark.parametrize('missing', ['eps', 'step_size', 'steps'])
def test_missing_settings(missing):
    config = {key: value for key, value in PGD.items() if key != missing}
    with pytest.raises(ValueError, match=rf'PGD: .*{missing}'):
        build_attack(config)


@pytest.mark.parametrize('name, near', [('PDG', 'PGD'), ('FGSMM', 'FGSM'), ('bim', 'BIM')])
def test_an_unknown_attack_lists_near_ones(name, near):
    with pytest.raises(ValueError, match=rf'unknown attack {name!r}; did you mean .*{near}'):
        build_attack(dict(type=name, eps=8))


def test_an_objective_is_no_attack():
    assert {'BIM', 'FGSM', 'PGD'} <= set(attack_names())
    assert not [name for name in attack_names() if 'Objective' in name]
    with pytest.raises(ValueError, match='unknown attack'):
        build_attack(dict(type='KLObjective'))
    with pytest.raises(ValueError, match='unknown attack None'):
        build_attack(dict(eps=8))


def test_a_built_attack_passes_through_and_configs_are_not_changed():
    config = dict(PGD)
    attack = build_attack(config)
    assert config == PGD
    assert build_attack(attack) is attack


def test_attacks_build_whatever_the_default_scope_is():
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert build_attack(dict(PGD, objective=dict(type='KLObjective'))).objective.targetable is False


def test_fgsm_steps_by_its_whole_budget():
    assert (FGSM(eps=8).step_size, FGSM(eps=8).steps) == (8, 1)
    assert FGSM(eps=8, step_size=10).step_size == 10
    assert FGSM(eps=0).eps == 0
    with pytest.raises(ValueError, match='step_size'):
        FGSM(eps=8, step_size=0)
    with pytest.raises(ValueError, match=r'eps .* got -8'):
        FGSM(eps=-8)
    with pytest.raises(ValueError, match='FGSM.*steps'):
        build_attack(dict(type='FGSM', eps=8, steps=3))


def test_unknown_objective_as_a_config():
    with pytest.raises(ValueError, match=r"unknown attack objective 'MarginObjectiv'; did you mean MarginObjective"):
        build_objective(dict(type='MarginObjectiv'))
    with pytest.raises(ValueError, match='NoObjective'):
        build_objective(dict(type='NoObjective'))
    with pytest.raises(ValueError, match='unknown attack objective None'):
        build_objective(dict(confidence=0))
    with pytest.raises(ValueError, match='MarginObjective: .*kappa'):
        build_objective(dict(type='MarginObjective', kappa=0))


def test_an_attack_is_no_objective():
    with pytest.raises(ValueError, match="unknown attack objective 'PGD'"):
        build_objective(dict(type='PGD', eps=8))


def test_objectives_of_other_packages():
    class Brightness(Objective):
        """A third party's."""

    try:
        ATTACKS.register_module(module=Brightness)
        with pytest.raises(ValueError, match='Brightness is registered in ATTACKS; .*OBJECTIVES.register_module'):
            build_attack(dict(PGD, objective=dict(type='Brightness')))
        OBJECTIVES.register_module(module=Brightness)
        assert isinstance(build_attack(dict(PGD, objective=dict(type='Brightness'))).objective, Brightness)
    finally:
        for registry in (ATTACKS, OBJECTIVES):
            registry.module_dict.pop('Brightness', None)


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('as_list', [False, True])
def test_images_of_other_channels_name_their_file(channels, as_list, tiny_classifier, make_samples):
    images = torch.zeros(2, channels, 8, 8)
    if as_list:
        images = [torch.zeros(3, 8, 8), images[0]]
    file = r'images/1\.png' if as_list else r'images/0\.png'
    with pytest.raises(ValueError, match=rf'{file} has shape \({channels}, 8, 8\)'):
        BIM(8, 2, 2)(AttackSource(tiny_classifier), images, make_samples(2), Randomness(0))


def test_images_without_a_file_are_counted(tiny_classifier):
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(0), DataSample().set_gt_label(1)]
    images = [torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)]
    with pytest.raises(ValueError, match=r'image 1 has shape \(1, 8, 8\)'):
        BIM(8, 2, 2)(AttackSource(tiny_classifier), images, samples, Randomness(0))


@pytest.mark.parametrize('unlabelled', [[0, 1, 2], [1]])
@pytest.mark.parametrize('objective', ['cross_entropy', 'task_loss'])
def test_a_sample_without_a_label_names_its_file(unlabelled, objective, tiny_classifier, make_images, make_samples):
    samples = make_samples(3)
    for index in unlabelled:
        del samples[index].gt_label
    attack = BIM(8, 2, 2, objective=objective)
    with pytest.raises(ValueError, match=rf'images/{unlabelled[0]}\.png has no gt_label'):
        attack(AttackSource(tiny_classifier), make_images(3, 3, 8, 8), samples, Randomness(0))
