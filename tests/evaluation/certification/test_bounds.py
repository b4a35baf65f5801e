"""The statistics of randomized smoothing, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmadvdefense.evaluation.certification.bounds import (
    certified_radius,
    check_alpha,
    check_draws,
    exceeds_p_values,
    holm,
    lower_bound,
    tie_p_value,
)


@pytest.mark.parametrize('n', [1, 10, 100000])
def test_the_bound_if_all_votes_agree(n):
    """``p ** n = alpha``: what is left is a probability that would let all of them agree with chance alpha."""
    assert lower_bound(n, n, 0.001) == pytest.approx(0.001 ** (1 / n), rel=1e-9)


def test_the_bound_inverts_the_binomial_tail():
    """At the bound, 2 or more of 3 votes have a chance of alpha: ``3 p^2 (1 - p) + p^3``."""
    bound = lower_bound(2, 3, 0.05)
    assert 3 * bound**2 * (1 - bound) + bound**3 == pytest.approx(0.05, rel=1e-9)
    assert lower_bound(0, 3, 0.05) == 0
    # 1 of 3: ``1 - (1 - p)^3``.
    assert lower_bound(1, 3, 0.05) == pytest.approx(1 - 0.95 ** (1 / 3), rel=1e-9)


def test_radius():
    # The share of a normal distribution below one standard deviation.
    below = (1 + math.erf(1 / math.sqrt(2))) / 2
    assert certified_radius(63.75, below) == pytest.approx(63.75, rel=1e-9)
    assert certified_radius(63.75, 0.5) == 0


def test_the_published_largest_radius():
    """Cohen et al., section 4: with n = 100,000 and alpha = 0.001 it is about 3.8 sigma."""
    assert certified_radius(1.0, lower_bound(100000, 100000, 0.001)) == pytest.approx(3.81, abs=0.01)


def test_two_sided_test_of_a_tie():
    assert tie_p_value(1, 0) == 1 and tie_p_value(0, 0) == 1
    # 10 to 0: both ends of 2^10 equally likely outcomes.
    assert tie_p_value(10, 0) == pytest.approx(2 / 1024)


def test_one_sided_test_of_a_threshold():
    """Of 2 votes with probability 3/4: none 1, at least one 15/16, both 9/16."""
    assert exceeds_p_values(2, 0.75) == pytest.approx([1, 15 / 16, 9 / 16])


def test_holm_by_hand():
    """Thresholds 0.05 / 4, / 3, / 2, / 1: the third smallest, 0.03, is above 0.025, and the fourth falls with it."""
    p_values = np.array([[0.03, 0.01], [0.04, 0.015]])
    assert holm(p_values, 0.05).tolist() == [[False, True], [False, True]]
    # By Bonferroni, 0.015 would not be rejected.
    assert holm(np.array([0.03, 0.01, 0.04, 0.02]), 0.05).tolist() == [False, True, False, False]
    assert holm(np.array([0.05]), 0.05).tolist() == [True]


@pytest.mark.parametrize('alpha', [0, 1, -0.1, float('nan')])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(ValueError, match='above 0 and below 1; got'):
        check_alpha(alpha)


@pytest.mark.parametrize(('n0', 'n'), [(0, 10), (11, 10)])
def test_votes_are_enough(n0, n):
    with pytest.raises(ValueError, match=f'1 <= n0 <= n; got n0={n0}, n={n}'):
        check_draws(n0, n)
