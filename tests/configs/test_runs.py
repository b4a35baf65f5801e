"""The small models for detection and segmentation train on the real data, if it is there."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Callable

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmadvdefense.training import recipes

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')
ROOT = Path(__file__).parents[2]
LIGHT = ('light_ssd_bccd', 'light_fcos_bccd', 'light_pspnet_camvid', 'light_deeplabv3_camvid')
_serial = itertools.count()


class Spy(Hook):
    priority = 'LOWEST'

    def __init__(self):
        self.losses = []

    def before_train(self, runner):
        # only now have the weights their initial values
        self.before = {name: value.clone() for name, value in runner.model.state_dict().items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items()})


@pytest.fixture
def make_runner(load, tmp_path, monkeypatch) -> Callable[[str], tuple[Runner, Spy]]:
    """One iteration of two images, with the real data."""

    def make(name: str) -> tuple[Runner, Spy]:
        config = load(name)
        recipes.complete_training(config)
        root = ROOT / config.data_root
        if not root.is_dir():
            pytest.skip(f'needs {config.data_root}')
        monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
        config.merge_from_dict(
            dict(
                work_dir=str(tmp_path),
                experiment_name=f'test_{name.replace("/", "_")}_{next(_serial)}',
                log_level='WARNING',
                load_from=None,
                train_cfg=dict(max_epochs=1, val_interval=100),
                param_scheduler=None,
            )
        )
        config.default_hooks.checkpoint = None
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            loader.batch_size, loader.num_workers = 2, 0
            loader.dataset.indices = 2
            loader.dataset.data_root = str(root)
        for hook in config.get('custom_hooks') or ():
            hook.require_checkpoint = False
        runner = Runner.from_cfg(config)
        spy = Spy()
        runner.register_hook(spy)
        return runner, spy

    return make


@pytest.mark.parametrize('name', LIGHT)
def test_light_target_trains_and_is_evaluated(name, make_runner):
    runner, spy = make_runner(f'target/{name}')
    before = next(runner.model.backbone.parameters()).detach().clone()
    runner.train()
    assert not torch.equal(next(runner.model.backbone.parameters()), before)
    assert all(value == value for value in spy.losses[0].values())
    assert {'mAP', 'mIoU'} & {key.rpartition('/')[2] for key in runner.test()}


@pytest.mark.parametrize(
    ('name', 'losses'),
    [
        ('align/align_light-pspnet_general_1xb4-8e_camvid', {'loss_pixel_adv', 'loss_gan_discriminator', 'loss_align'}),
        ('align/align_light-ssd_general_1xb4-8e_bccd', {'loss_pixel_adv', 'loss_gan_discriminator', 'loss_align'}),
        ('benchmark/light_pspnet_camvid_adaptive', {'loss_pixel_adv'}),
        ('benchmark/light_ssd_bccd_adaptive', {'loss_pixel_adv'}),
    ],
)
def test_light_purifier_trains(name, losses, make_runner):
    runner, spy = make_runner(name)
    runner.train()
    assert all(value == value for value in spy.losses[0].values()), spy.losses
    assert losses <= spy.losses[0].keys()
    assert any('task_' in name for name in spy.losses[0])
    state = runner.model.state_dict()
    changed = [name for name, value in spy.before.items() if not torch.equal(state[name], value)]
    assert any(name.startswith('data_preprocessor.generator.') for name in changed)
    assert all(name.startswith('data_preprocessor.') for name in changed), 'the target has changed'


def test_void_of_camvid_is_ignored(make_runner):
    """A real mask: void is in it, no loss comes from there and no IoU."""
    from mmseg.evaluation import IoUMetric

    runner, _ = make_runner('target/light_pspnet_camvid')
    sample = DATASETS.build(dict(runner.cfg.val_dataloader.dataset, indices=1))[0]['data_samples']
    mask = sample.gt_sem_seg.data
    assert (mask == 11).any() and mask.max() == 11
    head = runner.model.decode_head
    logits = torch.randn(1, 11, *mask.shape[-2:])
    changed = torch.where(mask == 11, logits.flip(1), logits)
    losses = [head.loss_by_feat(scores, [sample])['loss_ce'] for scores in (logits, changed)]
    torch.testing.assert_close(*losses)
    areas = IoUMetric.intersect_and_union(mask[0].clamp(max=10), mask[0], 11, 11)
    assert torch.equal(areas[0], areas[1]), 'a prediction that is right outside of void is right'


def test_boxes_without_area_are_not_learned(make_runner):
    runner, _ = make_runner('target/light_ssd_bccd')
    config = runner.cfg.train_dataloader.dataset
    dataset = DATASETS.build(dict(config, indices=None))
    ignored = 0
    for index in range(len(dataset)):
        for instance in dataset.get_data_info(index)['instances']:
            left, top, right, bottom = instance['bbox']
            ignored += instance['ignore_flag']
            assert instance['ignore_flag'] or (right > left and bottom > top)
    assert ignored == 2
