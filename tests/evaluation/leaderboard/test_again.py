"""When a number that is measured again counts as the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from mmadvdefense.evaluation.leaderboard.again import Check, interval_for


def test_interval_of_a_share_for_as_many_images_as_are_tested(rows):
    one = rows[1].attacks[1]
    assert one.score == 12.0
    for images in (50, 25):
        low, high = stats.binomtest(round(0.12 * images), images).proportion_ci(method='exact')
        assert interval_for(rows[1], one, images) == pytest.approx((100 * low, 100 * high))
    never = rows[1].attacks[-1]
    assert never.score == 0 and interval_for(rows[1], never, 200) == pytest.approx((0, 100 * (1 - 0.025 ** (1 / 200))))


def test_interval_of_mean_scores(rows):
    row = replace(rows[1], task='segmentation', gray_box_acc=12.0)
    one = replace(row.attacks[1], score=40.0, interval=[30.0, 46.0])
    assert interval_for(row, one, 50) == (30.0, 46.0)
    # A quarter of the images: twice as wide.
    assert interval_for(row, one, 12.5) == (20.0, 52.0)
    assert interval_for(row, replace(one, score=0.0, interval=[0.0, 0.0]), 50) == (0, 1.0)


def test_inside():
    assert Check('PGD', 12.0, (4.5, 24.3), 24.3).holds and Check('PGD', 12.0, (4.5, 24.3), 4.5).holds
    assert not Check('PGD', 12.0, (4.5, 24.3), 26.0).holds and not Check('PGD', 12.0, (4.5, 24.3), None).holds
