import pytest

from mmadvdefense.registry import DATA_SAMPLERS


def build(**settings):
    return DATA_SAMPLERS.build(dict(type='ReplayBatchSampler', sampler=range(5), batch_size=2, **settings))


def test_each_batch_several_times_in_a_row():
    sampler = build(replays=3)
    assert list(sampler) == [[0, 1]] * 3 + [[2, 3]] * 3 and len(sampler) == 6
    sampler = build(replays=2, drop_last=False)
    assert list(sampler) == [[0, 1]] * 2 + [[2, 3]] * 2 + [[4]] * 2 and len(sampler) == 6


def test_bad_number():
    with pytest.raises(ValueError, match='replays must be an integer >= 1, got 0'):
        build(replays=0)
