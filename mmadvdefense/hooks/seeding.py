"""Global random state that a resumed run meets again."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.runner import Runner

from ..randomness import derive_seed


def seed_epoch(runner: Runner) -> None:
    """Seed what augmentation draws from by the epoch and the rank."""
    seed = derive_seed(runner.seed, 'epoch', runner.epoch, get_rank()) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
