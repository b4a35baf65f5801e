import math
from types import SimpleNamespace

import pytest
import torch

from mmadvdefense.losses import NegativeLogLikelihoodLoss


def test_bits_per_value_by_hand():
    """256 equally likely values are 8 bits, 16 are 4."""
    number = 3 * 4 * 5
    log_likelihood = torch.tensor([-number * math.log(256), -number * math.log(16)])
    batch = SimpleNamespace(log_likelihood=log_likelihood, pixels=lambda name: torch.zeros(2, 3, 4, 5))
    terms = NegativeLogLikelihoodLoss(loss_weight=2.0).terms(batch)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx({'loss_bits': 2 * 6.0})
    assert NegativeLogLikelihoodLoss(loss_weight=0).terms(batch) == {}
