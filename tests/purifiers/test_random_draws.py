"""What a random purifier draws: other numbers in other draws, and the same for all once it is fixed."""

from __future__ import annotations

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness
from mmadvdefense.digests import module_digest
from mmadvdefense.errors import UnsupportedAttackError
from mmadvdefense.purifiers import drawn
from mmadvdefense.threats import build_source

RANDOM = dict(type='RandomResizePadPurifier', min_scale=0.5)
CHAIN = dict(type='PurifierChain', purifiers=[RANDOM])


@pytest.mark.parametrize('config', [RANDOM, CHAIN], ids=['alone', 'chain'])
def test_draws(build_purifier, make_images, make_samples, config):
    purifier = build_purifier(config)
    data = {'inputs': make_images(2, 3, 16, 16), 'data_samples': make_samples(2)}

    def run() -> torch.Tensor:
        return purifier.native({'inputs': purifier.clean(data['inputs'], purifier._randomness(*data.values()))})[
            'inputs'
        ]

    usual = run()
    digest = module_digest(purifier)
    with drawn(purifier, 0):
        assert torch.equal(run(), usual)
    with drawn(purifier, 1):
        other = run()
        assert not torch.equal(other, usual) and torch.equal(run(), other)
        assert module_digest(purifier) == digest, 'attacks must not depend on it'
    assert torch.equal(run(), usual)


@pytest.mark.parametrize('config', [RANDOM, CHAIN], ids=['alone', 'chain'])
def test_a_fixed_draw_is_the_same_for_every_image_and_attacker(build_purifier, make_images, config):
    free, fixed = build_purifier(config), build_purifier({**config, 'fixed': True})
    assert free.is_random and not fixed.is_random and free.stochastic and fixed.stochastic
    assert module_digest(free) != module_digest(fixed)
    image = make_images(1, 3, 16, 16)
    one, other = fixed.clean(image.expand(2, -1, -1, -1), Randomness([1, 2]))
    assert torch.equal(one, other) and torch.equal(one[None], fixed.clean(image)) and not torch.equal(one[None], image)
    one, other = free.clean(image.expand(2, -1, -1, -1), Randomness([1, 2]))
    assert not torch.equal(one, other)


def test_there_is_no_mean_over_a_fixed_draw(build_purifier, tiny_classifier):
    tiny_classifier.data_preprocessor = build_purifier({**RANDOM, 'fixed': True})
    with pytest.raises(UnsupportedAttackError, match='is not random'):
        build_source(tiny_classifier, 'adaptive-eot')
    assert isinstance(build_source(tiny_classifier, 'adaptive'), AttackSource)


def test_a_member_may_be_fixed(build_purifier):
    assert not build_purifier({**CHAIN, 'purifiers': [{**RANDOM, 'fixed': True}]}).is_random
