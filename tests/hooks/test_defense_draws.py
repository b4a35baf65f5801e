"""Several draws of a random defense: the worst of them, and what most of them decide."""

from __future__ import annotations

import math

import pytest
import torch

from mmadvdefense.errors import UsageError
from mmadvdefense.hooks.defense_draws import DefenseDrawsHook, over_draws
from mmadvdefense.tasks import SampleScores


def test_classes_are_voted_on():
    """Truth: 3, 1, 2, 0. One column an image, one row a draw."""
    predicted = torch.tensor([[3, 1, 0, 0], [3, 4, 2, 1], [3, 1, 0, 2], [3, 2, 2, 3]])
    scores = (predicted == torch.tensor([3, 1, 2, 0])).double()
    found = over_draws([SampleScores(*rows) for rows in zip(scores, predicted)])
    assert found['worst_draw'].tolist() == [1, 0, 0, 0]
    # A tie of 0 and 2 goes to the first draw's, which is wrong; with all different, the first draw decides.
    assert found['majority'].tolist() == [1, 1, 0, 1]


def test_without_one_class_an_image_they_vote_on_whether_it_is_correct():
    scores = torch.tensor([[0.9, 0.4, math.nan], [0.6, 0.7, math.nan], [0.2, 0.3, math.nan]])
    found = over_draws([SampleScores(row) for row in scores])
    assert found['worst_draw'][:2].tolist() == [0, 0] and found['majority'][:2].tolist() == [1, 0]
    assert found['worst_draw'].isnan().tolist() == found['majority'].isnan().tolist() == [False, False, True]


def test_one_draw_is_not_several():
    with pytest.raises(UsageError, match='at least 2, got 1'):
        DefenseDrawsHook(1)
