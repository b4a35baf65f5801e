"""Attacks that changed under the same settings have other keys; all others keep theirs."""

from __future__ import annotations

from mmadvdefense.attacks import APGD, AutoAttack
from mmadvdefense.threats.attack_key import attack_key

AUTO = dict(type='AutoAttack', eps=8)
PGD = dict(type='PGD', eps=8, step_size=2, steps=3)


def test_a_changed_attack_has_its_revision_wherever_it_stands():
    assert AutoAttack.revision == 2 and APGD.revision == 1
    assert attack_key(AUTO) == {**AUTO, 'revision': 2}
    worst = dict(type='WorstOf', attacks=[PGD, AUTO])
    assert attack_key(worst) == {'type': 'WorstOf', 'attacks': [PGD, {**AUTO, 'revision': 2}]}
    assert attack_key({'mine': AUTO, 'theirs': PGD}) == {'mine': {**AUTO, 'revision': 2}, 'theirs': PGD}


def test_all_others_keep_the_keys_of_their_caches():
    assert attack_key(PGD) == PGD
    # Words of the first caches.
    assert attack_key(dict(type='CarliniWagnerBounded', eps=8)) == dict(type='CarliniWagner', eps=8)
    assert attack_key(dict(type='DAG', success_threshold=0.9)) == dict(type='DAG', pixel_share=0.9)
    assert attack_key(dict(PGD, objective=dict(type='MarginObjective'))) == dict(
        PGD, objective=dict(type='MarginObjective')
    )
