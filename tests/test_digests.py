"""Two things have one digest exactly if they give the same numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from mmadvdefense.digests import canonical_json, file_digest, module_digest, plain_settings, value_digest


def test_files(tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'\0' * 3_000_000)
    assert file_digest(path) == hashlib.sha256(b'\0' * 3_000_000).hexdigest()


def test_values():
    ones = torch.ones(2, 3)
    assert value_digest(ones) == value_digest(np.ones((2, 3), np.float32)) == value_digest(ones.t().contiguous().t())
    others = [ones.reshape(3, 2), ones.double(), ones + 1, 'ones', 1, [ones.tolist()], ones.bfloat16()]
    assert len({value_digest(other) for other in [ones, *others]}) == len(others) + 1
    assert value_digest('a', 'b') != value_digest('ab') != value_digest('b', 'a')
    assert value_digest(ConfigDict(b=1, a=(2, 3))) == value_digest({'a': [2, 3], 'b': 1})


def test_json_of_what_json_does_not_know():
    text = canonical_json({'path': Path('a'), 'names': {'b', 'a'}, 'kind': nn.Conv2d, 'number': np.float32(1), 'x': nn})
    assert text == (
        '{"kind": "torch.nn.modules.conv.Conv2d", "names": ["a", "b"], "number": "1.0", "path": "a", '
        '"x": "builtins.module"}'
    )


def _model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    model.register_buffer('mean', torch.zeros(3), persistent=False)
    return model


@pytest.mark.parametrize(
    'change',
    [
        lambda model: setattr(model[0], 'stride', (2, 2)),
        lambda model: model[0].weight.data[0, 0, 0, 0].add_(1e-6),
        lambda model: model[1].running_mean.add_(1e-6),
        lambda model: model.mean.add_(1),
        lambda model: model.__setitem__(2, nn.LeakyReLU(0)),
        lambda model: setattr(model, 'quality', 75),
        lambda model: setattr(model, 'table', np.arange(3)),
    ],
)
def test_modules_that_compute_something_else(change):
    model = _model()
    change(model)
    assert module_digest(model) != module_digest(_model())


@pytest.mark.parametrize(
    'change',
    [
        lambda model: model.eval(),
        lambda model: model.requires_grad_(False),
        lambda model: setattr(model, '_calls', 3),
        lambda model: setattr(model, 'init_cfg', dict(type='Pretrained', checkpoint='a.pth')),
        lambda model: model.add_module('left_out', nn.Linear(2, 2)),
    ],
)
def test_what_does_not_count(change):
    model = _model()
    change(model)
    assert module_digest(model, leave_out=('left_out',)) == module_digest(_model())


def test_settings(tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'abc')
    config = ConfigDict(type='VGG', weights=str(path), layers=(1, 2), init_cfg=dict(a=1), deep=dict(init_cfg=2, b=None))
    plain = {
        'type': 'VGG',
        'weights': f'sha256:{hashlib.sha256(b"abc").hexdigest()}',
        'layers': [1, 2],
        'deep': {'b': None},
    }
    assert plain_settings(config, leave_out=('init_cfg',)) == plain
    assert plain_settings(config)['init_cfg'] == {'a': 1}
    assert plain_settings('https://host/weights.pth') == 'https://host/weights.pth'
