"""The two entrances: a config of any host in, one that trains or tests out."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmadvdefense.compat import CheckpointRefused
from mmadvdefense.errors import UsageError
from mmadvdefense.training.preparation import prepare_for_testing, prepare_for_training
from mmadvdefense.training.runner import build_runner

pytest.importorskip('mmpretrain')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def checkpoint(tmp_path) -> str:
    path = tmp_path / 'target.pth'
    torch.save({'state_dict': {'weight': torch.zeros(3)}, 'meta': {'seed': 17}}, path)
    return str(path)


@pytest.fixture
def one_line(checkpoint, tmp_path):
    """A classifier's config with the one line."""

    def make(**settings) -> Config:
        base = dict(
            default_scope='mmpretrain',
            work_dir=str(tmp_path / 'work'),
            load_from=checkpoint,
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='CIFARResNet', init_cfg=dict(type='Pretrained', checkpoint='https://nowhere')),
                head=dict(type='LinearClsHead', num_classes=10),
            ),
            data_preprocessor=dict(type='AlignPurifier', num_classes=10, mean=[1.0] * 3, std=[2.0] * 3),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=10),
            train_dataloader=dict(batch_size=4),
            test_dataloader=dict(batch_size=4),
        )
        return Config({**base, **settings})

    return make


def _types(config: Config) -> list[str]:
    return [hook.type for hook in config.custom_hooks]


def test_for_training(one_line):
    config = one_line()
    prepare_for_training(config)
    assert config.train_dataloader.collate_fn.type == 'default_collate'
    assert _types(config) == ['PurifierTrainHook'] and config.optim_wrapper.optimizer.type == 'Adam'
    assert 'generator' in config.data_preprocessor and 'discriminator' in config.data_preprocessor
    assert config.custom_imports.imports == ['mmadvdefense']
    assert config.model.backbone.init_cfg is None, 'the checkpoint has its weights'
    assert config.custom_hooks[0].get('require_checkpoint', True)


def test_an_override_that_does_not_fit_the_recipe(one_line):
    with pytest.raises(ValueError, match=r'cannot set param_scheduler\.total_steps: .* as in param_scheduler\.0\.KEY'):
        prepare_for_training(one_line(), {'param_scheduler.total_steps': 4})


def test_overrides_beat_the_recipe_and_a_resumed_run_beats_them(one_line, tmp_path, checkpoint):
    config = one_line()
    (tmp_path / 'work').mkdir()
    latest = tmp_path / 'work' / 'epoch_3.pth'
    torch.save({'state_dict': {}, 'meta': {'seed': 23}}, latest)
    overrides = {'optim_wrapper.optimizer.lr': 0.25, 'load_from': checkpoint, 'custom_hooks.0.attack.0.power': 3.0}
    prepare_for_training(config, overrides, resume='auto')
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=0.25, betas=(0.5, 0.999))
    assert [attack.power for attack in config.custom_hooks[0].attack[:2]] == [3.0, 2.0]
    assert config.resume and config.load_from == str(latest) and config.randomness.seed == 23


def test_a_config_that_asks_to_be_resumed(one_line, tmp_path):
    config = one_line(load_from=None, resume=True)
    prepare_for_training(config)
    assert not config.resume and config.load_from is None, 'nothing to continue from'
    assert config.model.backbone.init_cfg is not None


def test_bad_checkpoints_show_before_any_work(one_line, tmp_path):
    with pytest.raises(FileNotFoundError, match='load_from checkpoint not found: nowhere.pth'):
        prepare_for_training(one_line(load_from='nowhere.pth'))
    torch.save({'meta': {'class': Config}}, tmp_path / 'foreign.pth')
    with pytest.raises(CheckpointRefused):
        prepare_for_training(one_line(load_from=str(tmp_path / 'foreign.pth')))


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('AlignPurifer', r"data_preprocessor: unknown type 'AlignPurifer'; did you mean AlignPurifier"),
        ('ClsDataPreprocesor', r"unknown type 'ClsDataPreprocesor'; did you mean ClsDataPreprocessor.*custom_imports"),
    ],
)
@pytest.mark.parametrize('prepare', [prepare_for_training, prepare_for_testing])
def test_a_misspelt_preprocessor(prepare, kind, message, one_line):
    with pytest.raises(UsageError, match=message):
        prepare(one_line(data_preprocessor=dict(type=kind)))


def test_random_weights(one_line):
    config = one_line(load_from='nowhere.pth', resume=True)
    prepare_for_training(config, random_weights=True)
    assert config.load_from is None and not config.resume
    assert config.model.backbone.init_cfg is None and config.custom_hooks[0].require_checkpoint is False


def test_for_testing(one_line):
    config = one_line(
        resume=True,
        custom_hooks=[dict(type='AttackHook', attack=dict(type='FGSM', eps=8))],
        model_wrapper_cfg=dict(type='PurifierDistributedDataParallel'),
    )
    before = config.optim_wrapper.to_dict()
    prepare_for_testing(config)
    assert config.custom_hooks == [] and not config.resume and 'model_wrapper_cfg' not in config
    assert 'generator' in config.data_preprocessor, "the default recipe's"
    assert config.test_dataloader.collate_fn.type == 'default_collate'
    assert config.optim_wrapper.to_dict() == before, 'nothing is trained'


def test_the_networks_of_a_config_with_a_training_hook_are_its_own(one_line):
    config = one_line(custom_hooks=[dict(type='PurifierTrainHook', attack=dict(type='FGSM', eps=8))])
    prepare_for_testing(config)
    assert 'generator' not in config.data_preprocessor and config.custom_hooks == []


def test_the_runner_guards_its_checkpoints(one_line, monkeypatch):
    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', lambda config: config)
    config = one_line()
    prepare_for_training(config)
    assert _types(build_runner(config)) == ['PurifierTrainHook', 'FiniteLossGuardHook']
    assert _types(build_runner(config)) == ['PurifierTrainHook', 'FiniteLossGuardHook'], 'one guard is enough'
    assert config.default_hooks.checkpoint.backend_args.backend == 'atomic'
