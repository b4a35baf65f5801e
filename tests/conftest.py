"""Tiny hosts that run in milliseconds, shared by the tests of every room."""

from __future__ import annotations

import gc
import itertools
import os
import random
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Optional
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest_plugins = ['fixtures.runners']

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
NUM_CLASSES = 5
_COUNT = pytest.StashKey[Iterator[int]]()


def pytest_addoption(parser) -> None:
    parser.addoption(
        '--poison',
        action='store_true',
        help='fill memory that is allocated and not written with NaN: a weight that nothing initialises shows',
    )


def pytest_configure(config) -> None:
    if hasattr(config.option, 'randomly_reset_seed'):
        # pytest-randomly only chooses the order; with its seeds, which differ from run to run, so would the numbers.
        config.option.randomly_reset_seed = False
    if config.getoption('--poison'):
        # Not a fixture, which those of larger scopes would precede.
        torch.use_deterministic_algorithms(True, warn_only=True)


def pytest_sessionstart(session) -> None:
    seed = getattr(session.config.option, 'randomly_seed', None)
    if seed is not None and not hasattr(session.config, 'workerinput'):
        # pytest-randomly says it in a header, which -q leaves out.
        reporter = session.config.pluginmanager.get_plugin('terminalreporter')
        reporter.write_line(f'random order: --randomly-seed={seed} repeats it, -p no:randomly is without')


def _freeze() -> None:
    # MMEngine collects garbage for every data set. That visits all that has been imported, unless it is frozen.
    gc.collect()
    gc.freeze()


def pytest_collection_finish(session) -> None:
    _freeze()
    session.config.stash[_COUNT] = itertools.count(1)


def pytest_runtest_teardown(item) -> None:
    # Tests import hosts and fill registries as they need them.
    if next(item.config.stash[_COUNT]) % 50 == 0:
        _freeze()


def _seed(name: str) -> None:
    seed = crc32(name.encode())
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed formats a traceback for a GPU that has not been used yet.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef) -> None:
    """What a fixture draws depends neither on the tests before it nor on which of them shares it."""
    _seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item) -> None:
    _seed(item.nodeid)


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Inside, ``torch.empty`` and its like hold NaN (integers: the largest) until something is written there."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    # PyTorch fills memory in deterministic mode only (torch.utils.deterministic.fill_uninitialized_memory).
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@pytest.fixture
def poisoned():
    """:func:`poisoned_memory`."""
    return poisoned_memory


@pytest.fixture(autouse=True)
def trusts_no_checkpoint(monkeypatch):
    """Trusting a checkpoint lifts the restriction for the whole process; for the tests, it ends with the test."""
    name = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
    monkeypatch.setenv(name, os.environ.get(name, '0'))


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """MMEngine lays out its config with yapf five times a run, which takes longer than most runs of these tests."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


@pytest.fixture(autouse=True)
def own_default_scope():
    """A runner sets the default scope of the whole process; no test may resolve its types in another one's.

    Fixtures of a module or session leave theirs, too, and which of them ran before depends on the order of the tests.
    """
    from mmengine.registry import DefaultScope

    DefaultScope._instance_dict = OrderedDict()
    yield
    DefaultScope._instance_dict = OrderedDict()


class TinyBackbone(nn.Module):
    """BatchNorm and dropout, so that a forgotten ``eval()`` shows; two stages, so that a layer can be named."""

    def __init__(self, channels: int = 16):
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3))
        self.stage2 = nn.Sequential(nn.Conv2d(8, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.stage2(self.stage1(x)),)


class PointwiseBackbone(nn.Module):
    """Zero where its input is zero, and no pixel sees another: padding cannot change what it makes of an image."""

    def __init__(self, channels: int = 16):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, channels, 1, bias=False), nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.layers(x),)


class GlobalSum(nn.Module):
    """Unlike an average, a sum does not know how much padding there is."""

    def forward(self, features: tuple[Tensor]) -> tuple[Tensor]:
        return (features[-1].sum((2, 3)) / 64,)


def build_classifier(
    backbone: Optional[nn.Module] = None,
    neck: Optional[nn.Module] = None,
    num_classes: int = NUM_CLASSES,
    head: Optional[dict] = None,
    seed: int = 0,
    **preprocessor,
):
    """An MMPretrain ``ImageClassifier`` for images of any size; ``preprocessor`` goes to its data preprocessor."""
    from mmengine.registry import DefaultScope
    from mmpretrain.models import ImageClassifier

    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(seed)
        model = ImageClassifier(
            backbone=backbone or TinyBackbone(),
            neck=neck or dict(type='GlobalAveragePooling'),
            head=head or dict(type='LinearClsHead', num_classes=num_classes, in_channels=16),
            data_preprocessor=dict(num_classes=num_classes, **{'mean': MEAN, 'std': STD, **preprocessor}),
        )
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                # Far from what a batch would give, so that train mode gives other numbers than eval mode.
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.5)
    return model


@pytest.fixture
def make_classifier():
    """:func:`build_classifier`."""
    return build_classifier


@pytest.fixture
def tiny_classifier():
    """Five classes, BatchNorm, dropout, ImageNet's mean and std; in train mode, as it comes."""
    return build_classifier()


@pytest.fixture
def pointwise_classifier():
    """A host for batches of images of different sizes: an image's logits do not depend on its padding."""
    with torch.random.fork_rng():
        # The backbone is made before the classifier seeds itself.
        torch.manual_seed(2)
        return build_classifier(PointwiseBackbone(), GlobalSum())


@dataclass
class ImageBatch:
    """Raw pixels and MMPretrain data samples."""

    images: Tensor
    samples: list

    @property
    def labels(self) -> Tensor:
        return torch.cat([sample.gt_label for sample in self.samples])

    def __getitem__(self, index: int) -> ImageBatch:
        return ImageBatch(self.images[index : index + 1], self.samples[index : index + 1])


def build_samples(count: int, num_classes: int = NUM_CLASSES) -> list:
    from mmpretrain.structures import DataSample

    return [
        DataSample(metainfo=dict(img_path=f'images/{i}.png', sample_idx=i)).set_gt_label(i % num_classes)
        for i in range(count)
    ]


def build_images(*shape: int, seed: int = 1) -> Tensor:
    """Whole pixel values, with some at either end of the range, where clamping matters."""
    noise = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (noise * 300 - 22).round().clamp(0, 255)


@pytest.fixture
def make_samples():
    return build_samples


@pytest.fixture
def make_images():
    return build_images


@pytest.fixture
def image_batch():
    """Six images of 12 x 10 pixels."""
    return ImageBatch(build_images(6, 3, 12, 10), build_samples(6))
