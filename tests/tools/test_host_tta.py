"""The hosts' own test tools on the config that a run has written: with ``--tta`` they see what they see without."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmadvdefense.datasets import write_digit_scenes
from mmadvdefense.models import build_model
from mmadvdefense.training import preparation, purifier_config, recipes

ROOT = Path(__file__).parents[2]
GENERATOR = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,))
TARGETS = {'mmpretrain': 'digits_target', 'mmseg': 'scenes_seg_target', 'mmdet': 'scenes_det_target'}
PACK = {'mmpretrain': 'PackInputs', 'mmseg': 'PackSegInputs', 'mmdet': 'PackDetInputs'}
LOAD = {
    'mmpretrain': [],
    'mmseg': [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    'mmdet': [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(128, 128), keep_ratio=False),
        dict(type='LoadAnnotations', with_bbox=True),
    ],
}
MODELS = {
    'mmpretrain': dict(type='AverageClsScoreTTA'),
    'mmseg': dict(type='SegTTAModel'),
    'mmdet': dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)),
}
META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')


class Keep(Hook):
    """What the model answers, and the preprocessor that it sees images through."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.answers: list = []
        self.preprocessor: Optional[nn.Module] = None

    def before_test_epoch(self, runner) -> None:
        self.preprocessor = getattr(runner.model, 'module', runner.model).data_preprocessor

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.answers.extend(outputs)


def _views(scope: str) -> list[dict]:
    """Two views of each image, both as it is: an average over them is what one of them is."""
    pack = dict(type=PACK[scope], **({} if scope == 'mmpretrain' else dict(meta_keys=META)))
    unmoved = dict(type='RandomFlip', prob=0.0)
    return [*LOAD[scope], dict(type='TestTimeAug', transforms=[[unmoved, unmoved], [pack]])]


def _answer(scope: str, sample: Any) -> Tensor:
    if scope == 'mmpretrain':
        return sample.pred_score
    if scope == 'mmseg':
        return sample.pred_sem_seg.data.float().squeeze()
    found = sample.pred_instances
    return torch.cat([found.bboxes, found.scores[:, None], found.labels[:, None].float()], 1)


@pytest.fixture
def write(tmp_path, monkeypatch) -> Callable[..., tuple[Path, Path]]:
    """The config that a run with the one line writes, and a checkpoint of its model; ``bare`` is where the line was."""
    monkeypatch.chdir(tmp_path)

    def write(scope: str, bare: str, train_hook: bool) -> tuple[Path, Path]:
        pytest.importorskip(scope)
        if scope != 'mmpretrain':
            write_digit_scenes(tmp_path / 'data' / 'digit_scenes', num_train=2, num_test=2)
        line = f"dict(type='AlignPurifier', generator=dict(**{GENERATOR}))"
        (tmp_path / 'one_line.py').write_text(
            f"_base_ = '{ROOT}/configs/target/{TARGETS[scope]}.py'\n"
            + (f'data_preprocessor = {line}\n' if bare == 'top' else f'model = dict(data_preprocessor={line})\n')
            + f"load_from = 'target.pth'\ntta_model = dict(**{MODELS[scope]})\ntta_pipeline = {_views(scope)}\n"
            + 'test_dataloader = dict(batch_size=2, dataset=dict(indices=4))\n' * (scope == 'mmpretrain')
        )
        config = Config.fromfile(tmp_path / 'one_line.py')
        preparation.enter_scope(config)
        purifier_config.prepare_purifier(config)
        preparation.prepare_dataloaders(config)
        recipes.complete_training(config)
        if not train_hook:
            config.custom_hooks = []
        config.dump(tmp_path / 'written.py')
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_model(str(tmp_path / 'written.py'))
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.normal_(model.data_preprocessor.generator.head.weight)
            if scope == 'mmseg':  # which would call every pixel the same
                nn.init.normal_(model.decode_head.conv_seg.weight)
        assert model.data_preprocessor.native.mean.numel() == 3
        model.data_preprocessor.num_updates += 1
        torch.save({'state_dict': model.state_dict()}, tmp_path / 'trained.pth')
        return tmp_path / 'written.py', tmp_path / 'trained.pth'

    return write


@pytest.fixture
def host_test(monkeypatch, tmp_path) -> Callable[..., list[Tensor]]:
    """Run a host's ``tools/test.py``; what its model answers for each image."""
    real = Runner.from_cfg.__func__
    monkeypatch.setattr('mmengine.runner.runner.collect_env', lambda: {}, raising=False)
    for slow in ('_log_env', 'dump_config'):
        monkeypatch.setattr(Runner, slow, lambda *_: None)

    def run(scope: str, *arguments: Any) -> list[Tensor]:
        keep = Keep()

        def from_cfg(cls, config):
            runner = real(cls, config)
            runner.register_hook(keep)
            return runner

        tool = Path(importlib.import_module(scope).__file__).parent / '.mim' / 'tools' / 'test.py'
        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'from_cfg', classmethod(from_cfg))
            patch.setattr(sys, 'argv', [str(tool), *map(str, arguments), '--work-dir', str(tmp_path / 'work')])
            patch.setenv('LOCAL_RANK', '0')
            runpy.run_path(str(tool), run_name='__main__')
        assert type(keep.preprocessor).__name__ == 'AlignPurifier'
        assert keep.preprocessor.native.mean.numel() == keep.preprocessor.native.std.numel() == 3
        return [_answer(scope, sample) for sample in keep.answers]

    return run


@pytest.mark.parametrize(
    ('scope', 'bare', 'train_hook'),
    [
        ('mmpretrain', 'top', True),
        ('mmpretrain', 'model', False),
        ('mmseg', 'top', True),
        ('mmseg', 'model', False),
        ('mmdet', 'top', True),
        ('mmdet', 'top', False),
    ],
)
def test_two_views_of_an_image_are_that_image(write, host_test, scope, bare, train_hook):
    """Whether the one line was at the top level or in the model, and with or without the hook of the training."""
    config, checkpoint = write(scope, bare, train_hook)
    once = host_test(scope, config, checkpoint)
    twice = host_test(scope, config, checkpoint, '--tta')
    assert len(once) == len(twice) and len(once) >= 2
    for expected, found in zip(once, twice):
        assert expected.numel() and found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert any(not torch.equal(once[0], other) for other in once[1:]), 'answers that depend on the image'


def test_attack_hook_under_test_time_augmentation(write, host_test):
    """The views are made before a hook sees the image, so that what it attacked would be no attacker's image."""
    config, checkpoint = write('mmpretrain', 'top', False)
    attacked = Config.fromfile(config)
    attacked.custom_hooks = [dict(type='AttackHook', attack=dict(type='FGSM', eps=8))]
    attacked.dump(config)
    host_test('mmpretrain', config, checkpoint)
    with pytest.raises(ValueError, match='AttackHook does not work under test-time augmentation'):
        host_test('mmpretrain', config, checkpoint, '--tta')
