"""Hints at near names, and settings that must be integers."""

import pytest

from mmadvdefense.validation import check_integer, did_you_mean, near_names

KNOWN = ['BIM', 'PGD', 'MIFGSM', 'DIFGSM']


def test_near_names():
    assert near_names('bim', KNOWN)[0] == 'BIM'
    assert near_names('IFGSM', KNOWN, most=1) in (['MIFGSM'], ['DIFGSM'])
    assert near_names('PGDX', KNOWN, cutoff=0.99) == []


def test_did_you_mean():
    assert did_you_mean('PGDD', ['PGD']) == 'did you mean PGD?'
    assert did_you_mean('layer4', ['layer1', 'layer2', 'layer3']).count(' or ') == 1
    assert did_you_mean('zzz', ['b', 'a']) == 'known: b, a'
    assert did_you_mean('zzz', [str(number) for number in range(40)]).endswith('28, 29 and 10 more')


@pytest.mark.parametrize('value', [0, 1.5, None])
def test_a_setting_that_is_not_an_integer(value):
    with pytest.raises(ValueError, match=r'^PGD: steps must be an integer >= 1, got'):
        check_integer('PGD', steps=value)
