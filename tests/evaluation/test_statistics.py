"""Intervals and tests against SciPy's own and against what is written down by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mmadvdefense.evaluation import statistics
from mmadvdefense.evaluation.statistics import bootstrap_interval, correct_under_all, paired_t_test

RIGHT = [1.0, 0, 1, 1, 0, 1, 1, 1, 0, 1] * 12


def test_interval_by_hand():
    """Of the means of 2000 resamples, those that 2.5 per cent lie below and above."""
    scores = np.random.default_rng(5).uniform(size=40)
    low, high = bootstrap_interval(scores, seed=3)
    draws = np.random.default_rng(3)
    means = [scores[draws.integers(0, 40, 40)].mean() for _ in range(2000)]
    spread = scores.std() / math.sqrt(40)
    assert low == pytest.approx(np.percentile(means, 2.5), abs=0.1 * spread)
    assert high == pytest.approx(np.percentile(means, 97.5), abs=0.1 * spread)
    assert low < scores.mean() < high


def test_interval_of_right_and_wrong():
    """Close to the normal approximation of a share."""
    low, high = bootstrap_interval(RIGHT)
    spread = 1.96 * math.sqrt(0.7 * 0.3 / 120)
    assert (low, high) == (pytest.approx(0.7 - spread, abs=0.02), pytest.approx(0.7 + spread, abs=0.02))


def test_interval_depends_on_the_seed_alone():
    state = np.random.get_state()[1].copy()
    assert bootstrap_interval(RIGHT, 1) == bootstrap_interval(RIGHT, 1)
    noise = list(np.random.default_rng(0).normal(size=50))
    assert bootstrap_interval(noise, 1) != bootstrap_interval(noise, 2)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize('scores', [[1.0] * 6, [0.0] * 6, [0.25]])
def test_interval_without_spread(scores):
    assert bootstrap_interval(scores) == (scores[0], scores[0])


def test_t_test_by_hand():
    ours, theirs = [1, 1, 1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0, 1, 0]
    test = paired_t_test(ours, theirs)
    differences = [1, 0, 1, 0, 0, 1, -1, 1]
    mean = sum(differences) / 8
    variance = sum((value - mean) ** 2 for value in differences) / 7
    t = mean / math.sqrt(variance / 8)
    assert test == {
        'difference': pytest.approx(mean),
        't': pytest.approx(t),
        'p': pytest.approx(2 * stats.t.sf(abs(t), 7)),
        'pairs': 8,
    }
    assert test['p'] == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert paired_t_test(theirs, ours)['t'] == pytest.approx(-t)


def test_t_test_without_variance():
    assert paired_t_test([1, 0, 1], [1, 0, 1]) == {'difference': 0.0, 't': 0.0, 'p': 1.0, 'pairs': 3}
    assert paired_t_test([1, 1, 1], [0, 0, 0]) == {'difference': 1.0, 't': None, 'p': 0.0, 'pairs': 3}


@pytest.mark.parametrize(('ours', 'theirs'), [([1], [0]), ([1, 0], [1]), ([], [])])
def test_t_test_of_nothing(ours, theirs):
    with pytest.raises(ValueError, match='two scores of each of at least 2 images'):
        paired_t_test(ours, theirs)


def test_worst_case():
    rights = [[True, True, False, True], [True, False, True, True], [True, True, True, True]]
    assert correct_under_all(rights) == 0.5
    assert correct_under_all(rights[:1]) == 0.75


def test_worst_case_of_images_without_truth():
    assert correct_under_all([[True, None, True], [False, None, True]]) == 0.5
    assert correct_under_all([[None], [None]]) is None


def test_the_interval_does_not_depend_on_how_many_resamples_are_drawn_at_once(monkeypatch):
    scores = [float(number % 7 < 3) for number in range(101)]
    found = set()
    for drawn in (1, 101 * 17, 100_000):
        monkeypatch.setattr(statistics, '_DRAWN', drawn)
        found.add(bootstrap_interval(scores, seed=3))
    assert len(found) == 1
