"""Several attacks of which the worst counts: what they are, and that nobody runs them where nothing is tested."""

import pytest

from mmadvdefense.attacks import AttackSource, EachTarget, Randomness, WorstOf, build_attack

PGD = dict(type='PGD', eps=8, step_size=2, steps=4)
L2 = dict(type='PGD', eps=100, step_size=40, steps=4, norm='l2')


def configs(attack, num_classes=10):
    return [candidate.config for candidate in attack.candidates(num_classes)]


def test_each_target_is_an_attack_of_its_own():
    attack = build_attack(dict(type='EachTarget', attack=PGD, num_targets=3))
    assert configs(attack) == [{**PGD, 'targeted': f'top_wrong_{rank}'} for rank in (1, 2, 3)]
    targets = [candidate.attack.targeted for candidate in attack.candidates(10)]
    assert targets == ['top_wrong_1', 'top_wrong_2', 'top_wrong_3']
    assert (attack.eps, attack.norm, attack.access, attack.stochastic) == (8, 'linf', 'gradients', True)
    assert attack.describe() == 'PGD, worst of 3 targets (L-inf 8, 4 steps, target class: top wrong)'
    assert len(build_attack(dict(type='EachTarget', attack=PGD)).candidates(10)) == 9


def test_there_are_no_more_targets_than_wrong_classes():
    attack = EachTarget(PGD, num_targets=9)
    assert [len(attack.candidates(classes)) for classes in (2, 3, 10, 100)] == [1, 2, 9, 9]
    among_others = WorstOf([PGD, dict(type='EachTarget', attack=PGD, num_targets=9)])
    assert [len(among_others.candidates(classes)) for classes in (2, 3, 10, 100)] == [2, 3, 10, 10]


def test_restarts_are_runs_of_their_own():
    attack = EachTarget(PGD, num_targets=2, restarts=3)
    runs = [(candidate.attack.targeted, candidate.restart) for candidate in attack.candidates(10)]
    assert runs == [(f'top_wrong_{rank}', restart) for rank in (1, 2) for restart in (0, 1, 2)]
    assert len(attack.candidates(2)) == 3
    assert attack.title == 'PGD, worst of 2 targets, 3 restarts'
    # Those of one among others are not the same again.
    twice = dict(type='WorstOf', attacks=[PGD], restarts=2)
    nested = WorstOf([twice, {**PGD, 'eps': 4}], restarts=2)
    assert [candidate.restart for candidate in nested.candidates(10)] == [0, 2, 1, 3, 0, 1]
    assert WorstOf([PGD], restarts=10).describe() == 'worst of PGD (L-inf 8, 4 steps), 10 restarts'


def test_settings_of_a_command_line_go_to_the_attack():
    attack = build_attack(dict(type='EachTarget', attack=PGD, num_targets=2, eps=4, targeted='top_wrong'))
    assert attack.eps == 4 and configs(attack)[1] == {**PGD, 'eps': 4, 'targeted': 'top_wrong_2'}


def test_one_among_others_counts_as_its_attacks():
    smoothed = {**PGD, 'kernel_size': 3}
    attack = WorstOf([PGD, dict(type='WorstOf', attacks=[smoothed]), dict(type='FGSM', eps=4)])
    assert configs(attack) == [PGD, smoothed, dict(type='FGSM', eps=4)]
    assert attack.eps == 8
    pgd = 'PGD (L-inf 8, 4 steps{})'
    both = f'{pgd.format("")}, {pgd.format(", gradient smoothed over 3 pixels")}'
    assert attack.describe() == f'worst of {both}, FGSM (L-inf 4)'


def test_what_it_needs_is_what_its_attacks_need():
    square = dict(type='Square', eps=8, queries=10)
    assert WorstOf([dict(type='RandomSign', eps=8)]).access == 'nothing'
    assert WorstOf([square]).access == 'scores' and WorstOf([square, PGD]).access == 'gradients'
    assert WorstOf([PGD]).supports_eot and not WorstOf([PGD, dict(type='DeepFool', eps=8)]).supports_eot
    assert WorstOf([PGD, dict(type='DeepFool', norm='linf')]).eps is None


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(type='WorstOf', attacks=[]), 'WorstOf needs at least one attack'),
        (dict(type='WorstOf', attacks=[PGD, L2]), r"must have one norm, got \['l2', 'linf'\]"),
        (dict(type='WorstOf', attacks=[dict(type='PDG')]), "unknown attack 'PDG'"),
        (dict(type='WorstOf', attacks=[PGD], restarts=0), 'WorstOf: restarts must be an integer >= 1'),
        (dict(type='WorstOf', attacks=[dict(type='FGSM', eps=4)], restarts=2), r'all restarts of FGSM \(L-inf'),
        (dict(type='EachTarget', attack=PGD, num_targets=0), 'EachTarget: num_targets must be an integer >= 1'),
        (dict(type='EachTarget', attack={**PGD, 'targeted': 'random'}), 'sets the targets of its attack'),
        (dict(type='EachTarget', attack={**PGD, 'objective': 'kl'}), "objective 'kl' has no targeted form"),
        (dict(type='EachTarget', attack=dict(type='SSP', eps=8, step_size=2, steps=4)), 'SSP: .*targeted'),
        (dict(type='EachTarget', attack={**PGD, 'num_targets': 9}), "num_targets needs targeted='top_wrong'"),
    ],
)
def test_bad_settings(config, message):
    with pytest.raises(ValueError, match=message):
        build_attack(config)


def test_it_cannot_run_where_nothing_is_tested(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier)
    nested = dict(type='FirstSuccess', attacks=[dict(type='EachTarget', attack=PGD)])
    for attack in (EachTarget(PGD), build_attack(nested)):
        with pytest.raises(ValueError, match='EachTarget takes the worst case over the tested model'):
            attack(source, image_batch.images, image_batch.samples, Randomness(0))
