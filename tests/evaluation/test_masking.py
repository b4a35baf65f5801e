"""Numbers of a grid that speak of a hidden gradient, and those that do not."""

from __future__ import annotations

import pytest

from mmadvdefense.evaluation.masking import masking_signs
from mmadvdefense.evaluation.results import Condition, Result

PGD = dict(type='PGD', eps=8, step_size=2, steps=10)
FGSM = dict(type='FGSM', eps=8)
SQUARE = dict(type='Square', eps=8, queries=10)
SOURCE = dict(config='resnet56.py', checkpoint='resnet56.pth')


def attacked(
    score: float, config: dict, threat: str, sizes: float = 8.0, purifier: bool = True, images: int = 100, rises=None
):
    model = dict(name=threat, source=SOURCE) if threat == 'transfer' else threat
    correct = [index < score for index in range(images)]
    result = Result(
        Condition(config['type'], config, model),
        purifier,
        defense='step',
        scores={'score': float(score), 'images': images},
        samples={'correct': correct, 'linf': [sizes] * images, **({} if rises is None else {'rise': rises})},
    )
    return threat, f'{config["type"]} {config.get("eps")}', result


def signs(*results) -> list[str]:
    found = masking_signs(results)
    assert all(line.startswith('step: possibly a hidden gradient: ') for line in found)
    return [line.removeprefix('step: possibly a hidden gradient: ') for line in found]


def test_one_step_does_better_than_many():
    one, many = attacked(40, FGSM, 'adaptive'), attacked(60, PGD, 'adaptive')
    assert signs(one, many) == [
        'one step does better than many: FGSM 8 under adaptive (40.0 %), PGD 8 under adaptive (60.0 %)'
    ]
    assert signs(attacked(60, FGSM, 'adaptive'), attacked(40, PGD, 'adaptive')) == []
    assert signs(attacked(60, FGSM, 'adaptive'), attacked(61, PGD, 'adaptive')) == [], 'one image of 100 is chance'
    assert signs(attacked(40, {**FGSM, 'eps': 16}, 'adaptive'), many) == [], 'with a larger budget'
    gray = attacked(40, FGSM, 'gray-box'), attacked(60, PGD, 'gray-box')
    assert signs(*gray) == [], 'who does not know the defense has another gradient anyway'


@pytest.mark.parametrize(('config', 'threat'), [(SQUARE, 'query'), (PGD, 'transfer'), (PGD, 'gray-box')])
def test_who_has_no_gradient_does_better(config, threat):
    strong = attacked(30, PGD, 'adaptive-bpda')
    (line,) = signs(attacked(20, config, threat), strong)
    name = f'{config["type"]} 8 under {threat} (20.0 %)'
    wanted = f'an attacker without its gradient does better: {name}, PGD 8 under adaptive-bpda (30.0 %) at best'
    assert line == wanted
    assert signs(attacked(30, config, threat), strong) == []
    assert signs(attacked(20, {**config, 'eps': 9}, threat), strong) == [], 'with a larger budget'
    assert signs(attacked(20, config, threat)) == [], 'there is no gradient to compare with'


def test_larger_budgets():
    at = {eps: {**PGD, 'eps': eps, 'step_size': eps / 4} for eps in (2, 4, 8)}
    small, middle, large = (attacked(score, at[eps], 'adaptive') for eps, score in zip(at, (50, 20, 30)))
    assert signs(large, small, middle) == [
        'a larger budget does less: PGD 4 under adaptive (20.0 %), PGD 8 under adaptive (30.0 %)'
    ]
    assert signs(small, attacked(40, {**at[4], 'steps': 3}, 'adaptive'), attacked(45, at[8], 'adaptive')) == []


def test_an_unbounded_attack_that_does_not_reach_zero():
    everything = {**PGD, 'eps': 255, 'step_size': 16}
    (line,) = signs(attacked(20, everything, 'adaptive'))
    assert line == 'PGD 255 under adaptive (20.0 %) may change any pixel to anything, and should reach 0 %'
    assert signs(attacked(0, everything, 'adaptive')) == []
    assert signs(attacked(20, everything, 'gray-box')) == []


def test_images_that_are_left_as_they_are():
    (line,) = signs(attacked(70, FGSM, 'adaptive', sizes=0.0))
    assert line == (
        'FGSM 8 under adaptive left 70 of 100 images as they are, which stay correct: their gradient is zero'
    )
    assert signs(attacked(0, FGSM, 'adaptive', sizes=0.0)) == [], 'images that are wrong anyway need no change'
    whole = dict(type='AutoAttack', eps=8)
    for config in (whole, dict(type='FirstSuccess', attacks=[FGSM, whole])):
        assert signs(attacked(70, config, 'adaptive', sizes=0.0)) == [], 'it takes back what did not succeed'


def test_a_loss_that_does_not_rise():
    flat = [-0.5] * 20 + [0.0] * 20 + [None] * 20 + [0.25] * 40
    (line,) = signs(attacked(70, PGD, 'adaptive', rises=flat))
    assert (
        line
        == 'PGD 8 under adaptive never raised its loss above that of the start on 40 of 100 images, which stay correct'
    )
    (line,) = signs(attacked(30, PGD, 'adaptive', rises=flat))
    assert '30 of 100' in line, 'the others do not stay correct'
    assert signs(attacked(1, PGD, 'adaptive', rises=flat)) == [], 'one image is chance'
    assert signs(attacked(70, PGD, 'adaptive', rises=[0.1] * 100)) == []
    assert signs(attacked(70, PGD, 'gray-box', rises=flat)) == []
    (line,) = signs(attacked(70, PGD, 'adaptive', sizes=0.0, rises=flat))
    assert 'their gradient is zero' in line, 'said once'


def test_a_defense_without_a_purifier_is_known_to_a_gray_box_attacker():
    one, many = (attacked(s, c, 'gray-box', purifier=False) for s, c in ((40, FGSM), (60, PGD)))
    assert len(signs(one, many)) == 1
