"""A ``type`` means the same as a class, a name, a name with a scope, and a name with its module."""

from __future__ import annotations

import pytest
from mmengine.hooks import EMAHook

from mmadvdefense import registry
from mmadvdefense.attacks import BIM, PGD, attack_settings, build_attack
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.registry import HOOKS, MODELS, builds, find_class, type_name, type_path


class OwnHook(PurifierTrainHook):
    pass


FORMS = [
    PurifierTrainHook,
    'PurifierTrainHook',
    'mmengine.PurifierTrainHook',
    'mmadvdefense.hooks.PurifierTrainHook',
    'mmadvdefense.hooks.purifier_train.PurifierTrainHook',
]


@pytest.mark.parametrize('kind', FORMS, ids=str)
def test_forms_of_a_type(kind):
    assert find_class(kind, HOOKS) is PurifierTrainHook
    assert type_name(kind) == 'PurifierTrainHook'
    assert builds(dict(type=kind), 'PurifierTrainHook', HOOKS) and not builds(dict(type=kind), 'EMAHook', HOOKS)
    assert find_class(type_path(kind), HOOKS) is PurifierTrainHook


def test_what_else_a_hook_may_be():
    assert builds(dict(type=OwnHook), 'PurifierTrainHook', HOOKS), 'a subclass'
    assert builds(EMAHook(), 'EMAHook', HOOKS) and not builds(EMAHook(), 'PurifierTrainHook', HOOKS), 'a hook itself'
    assert not builds({}, 'EMAHook', HOOKS) and not builds(dict(type='NoSuchHook'), 'EMAHook', HOOKS)
    # A function, which builds some model or other.
    assert find_class('DefendedEnsemble', MODELS) is None


@pytest.mark.parametrize('kind', [PGD, 'PGD', 'mmadvdefense.PGD', 'mmadvdefense.attacks.PGD'], ids=str)
def test_attacks_are_types_too(kind):
    attack = build_attack(dict(type=kind, eps=8, step_size=2, steps=3))
    assert type(attack) is PGD and attack.steps == 3
    assert registry.named_types([dict(attack=kind)], registry.ATTACKS) == [dict(attack='PGD' if kind is PGD else kind)]


def test_settings_of_an_attack_can_be_saved():
    import json

    from mmadvdefense.attacks.objectives import KLObjective

    attack = dict(type=BIM, steps=2, objective=dict(type=KLObjective))
    nested = dict(type='RandomBudget', eps=(1, 4), attack=attack)
    settings = attack_settings(nested)
    assert json.loads(json.dumps(settings))['attack'] == dict(attack, type='BIM', objective=dict(type='KLObjective'))
    assert build_attack(settings).describe() == build_attack(nested).describe()
    with pytest.raises(ValueError, match="unknown attack 'OwnHook'; did you mean"):
        build_attack(dict(type=OwnHook))
