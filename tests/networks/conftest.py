from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope='session')
def reference():
    """Numbers computed with the released networks and losses."""
    with np.load(Path(__file__).parents[1] / 'data' / 'reference.npz') as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


@pytest.fixture
def reference_state(reference):
    """The released state dict of ``'gen'`` or ``'dis'``, by their names."""

    def state(network):
        prefix = f'{network}_state/'
        return {key.removeprefix(prefix): value for key, value in reference.items() if key.startswith(prefix)}

    return state
