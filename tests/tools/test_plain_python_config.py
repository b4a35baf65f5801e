"""Configs in plain Python, whose types are classes and which have no default scope."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

pytest.importorskip('mmpretrain')

TARGET = """
from mmengine.dataset import DefaultSampler, default_collate
from mmengine.hooks import CheckpointHook, EMAHook, LoggerHook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from mmpretrain.evaluation import Accuracy
from mmpretrain.datasets import PackInputs
from mmpretrain.models import ClsDataPreprocessor, GlobalAveragePooling, ImageClassifier, LinearClsHead
from torch.optim import SGD

from mmadvdefense.attacks import FGSM
from mmadvdefense.datasets import HandwrittenDigits
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.losses import PixelReconstructionLoss
from mmadvdefense.networks import DUNet, WideResNet
from mmadvdefense.purifiers import AlignPurifier

default_scope = None
model = dict(
    type=ImageClassifier,
    backbone=dict(type=WideResNet, depth=10, widen_factor=1),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=64))
data_preprocessor = dict(type=ClsDataPreprocessor, num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
dataset = dict(type=HandwrittenDigits, split='train', indices=8, pipeline=[dict(type=PackInputs)])
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=True),
    collate_fn=dict(type=default_collate), dataset=dataset)
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=False),
    collate_fn=dict(type=default_collate), dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(type=Accuracy)
test_evaluator = val_evaluator
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=2)
val_cfg = dict(type=ValLoop)
test_cfg = dict(type=TestLoop)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.25))
default_hooks = dict(logger=dict(type=LoggerHook), checkpoint=dict(type=CheckpointHook, interval=1))
custom_imports = None
log_level = 'WARNING'
randomness = dict(seed=1)
"""
# Over the native one: its type goes, its settings stay.
ONE_LINE = """
data_preprocessor.update(dict(type=AlignPurifier))
load_from = '{checkpoint}'
custom_hooks = [dict(type=EMAHook, update_buffers=True)]
"""
COMPLETE = """
data_preprocessor.update(
    dict(type=AlignPurifier,
         generator=dict(type=DUNet, widths=(4, 8), encoder_units=(1, 1), decoder_units=(1, ))))
load_from = '{checkpoint}'
custom_hooks = [
    dict(type=PurifierTrainHook, attack=dict(type=FGSM, eps=8), losses=[dict(type=PixelReconstructionLoss)])]
"""


@pytest.fixture
def write(tmp_path, target_checkpoint):
    def write(name: str, text: str) -> Path:
        path = tmp_path / f'{name}.py'
        path.write_text(TARGET + text.format(checkpoint=target_checkpoint))
        return path

    return write


def _hooks(config: Config) -> list[str]:
    return [str(hook.type).rpartition('.')[2].rstrip("'>") for hook in config.custom_hooks]


def test_one_line(run_tool, write, tmp_path):
    """Trains by the recipe; the config that is written down has names for the classes, and is complete."""
    done = run_tool('train', write('one_line', ONE_LINE), '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err[-3000:]
    written = Config.fromfile(tmp_path / 'work' / 'one_line.py')
    assert _hooks(written) == ['EMAHook', 'PurifierTrainHook', 'FiniteLossGuardHook']
    assert written.optim_wrapper.optimizer.type == 'Adam' and written.default_scope == 'mmpretrain'
    assert [(s.type, s.begin, s.end) for s in written.param_scheduler] == [('LinearLR', 1, 2)]
    assert written.custom_imports.imports == ['mmadvdefense']
    assert written.data_preprocessor.mean == [79.8] * 3 and written.data_preprocessor.generator.type == 'DUNet'
    state = torch.load(tmp_path / 'work' / 'epoch_2.pth', map_location='cpu')['state_dict']
    assert int(state['data_preprocessor.num_updates']) == 4
    for config in (tmp_path / 'one_line.py', tmp_path / 'work' / 'one_line.py'):
        tested = run_tool('test', config, tmp_path / 'work' / 'epoch_2.pth', '--attack', 'FGSM', '--eps', 8)
        assert tested.code == 0, tested.err[-3000:]
        assert re.search(r'FGSM, gray-box', tested.out)


def test_a_complete_one_is_used_as_it_is(run_tool, write, tmp_path):
    path = write('complete', COMPLETE)
    done = run_tool('train', path, '--work-dir', tmp_path / 'work', '--cfg-options', 'train_cfg.max_epochs=1')
    assert done.code == 0, done.err[-3000:]
    written = Config.fromfile(tmp_path / 'work' / 'complete.py')
    assert _hooks(written) == ['PurifierTrainHook', 'FiniteLossGuardHook']
    assert str(written.optim_wrapper.optimizer.type).endswith('SGD') and written.get('param_scheduler') is None
    # An export holds names, not classes.
    purifier = tmp_path / 'purifier.pth'
    assert run_tool('export_purifier', path, tmp_path / 'work' / 'epoch_1.pth', purifier).code == 0
    assert torch.load(purifier, weights_only=True)['generator']['type'] == 'DUNet'


def test_attack_of_a_plain_python_file(run_tool, config, trained, tmp_path):
    """Its class is written into the results by its name."""
    attack = tmp_path / 'attack.py'
    attack.write_text('from mmadvdefense.attacks import PGD\n\nattack = dict(type=PGD, eps=8, step_size=4, steps=1)\n')
    done = run_tool('test', config, trained, '--attack', attack, '--out', tmp_path / 'out.json')
    assert done.code == 0, done.err[-3000:]
    assert 'PGD, gray-box' in done.out and '"type": "PGD"' in (tmp_path / 'out.json').read_text()
