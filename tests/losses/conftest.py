from pathlib import Path

import numpy as np
import pytest
import torch


class FakeBatch:
    """Serves the tensors it was given and counts the calls; asking for anything else fails the test."""

    def __init__(self, labels=None, **tensors):
        self._labels = labels
        self._tensors = tensors
        self.asked = []

    def _serve(self, kind, name):
        self.asked.append((kind, name))
        assert kind in self._tensors and name in self._tensors[kind], f'{kind}({name!r}) is not needed here'
        return self._tensors[kind][name]

    @property
    def labels(self):
        assert self._labels is not None, 'labels are not needed here'
        return self._labels

    def pixels(self, name):
        return self._serve('pixels', name)

    def features(self, name):
        return self._serve('features', name)

    def class_features(self, name):
        return self._serve('class_features', name)

    def discriminate(self, name):
        return self._serve('discriminate', name)

    def discriminate_detached(self, name):
        return self._serve('discriminate_detached', name)


@pytest.fixture
def make_batch():
    return FakeBatch


@pytest.fixture(scope='session')
def reference():
    """Numbers computed with the released networks and losses."""
    with np.load(Path(__file__).parents[1] / 'data' / 'reference.npz') as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


@pytest.fixture(scope='session')
def reference_discriminator(reference):
    from mmadvdefense.networks import MultiscaleDiscriminator, convert_pix2pixhd_discriminator

    prefix = 'dis_state/'
    state = {key.removeprefix(prefix): value for key, value in reference.items() if key.startswith(prefix)}
    discriminator = MultiscaleDiscriminator(base_channels=8)
    discriminator.load_state_dict(convert_pix2pixhd_discriminator(state))
    return discriminator
