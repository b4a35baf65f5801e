"""Real runners on the built-in digits that train or test in tenths of a second."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense import recipes
from mmadvdefense.evaluation.synthetic import SyntheticImages

CONFIGS = Path(__file__).parents[2] / 'configs'
# Runners of one second would share their logger and message hub.
_serial = itertools.count()

TARGET = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64, loss=dict(type='CrossEntropyLoss')),
)
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
# Without BatchNorm, so that what it does to an image does not depend on the batch.
GENERATOR = dict(type='GlobalGenerator', base_channels=4, num_downsamples=1, num_blocks=1)
DISCRIMINATOR = dict(type='MultiscaleDiscriminator', base_channels=4, num_layers=2, num_scales=2)
FGSM = dict(type='FGSM', eps=8)
PGD = dict(type='PGD', eps=8, step_size=4, steps=2)
LOSSES = (
    dict(type='PixelReconstructionLoss', loss_weight=50.0),
    dict(type='LSGANLoss'),
    dict(type='FeatureMatchingLoss', loss_weight=10.0),
    dict(type='FeatureReconstructionLoss', loss_weight=4.0),
    dict(type='ClassAlignmentLoss'),
)


class Spy(Hook):
    """Keeps what the runner hands to its hooks."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.outputs: list[dict] = []
        self.batches: list[dict] = []
        self.training: list[list[str]] = []

    def before_train_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        host = {name: child for name, child in runner.model.named_children() if name != 'data_preprocessor'}
        self.training.append(
            [f'{name}.{path}' for name, child in host.items() for path, m in child.named_modules() if m.training]
        )

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.outputs.append({name: float(value) for name, value in outputs.items()})
        self.batches.append(data_batch)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.batches.append(data_batch)
        self.outputs.extend(outputs)


def build_target(config: Optional[dict] = None, seed: int = 0) -> nn.Module:
    """A target with random weights and BatchNorm statistics that no batch would give."""
    with torch.random.fork_rng(), DefaultScope.overwrite_default_scope('mmpretrain'):
        torch.manual_seed(seed)
        model = MODELS.build(copy.deepcopy({**(config or TARGET), 'data_preprocessor': NATIVE}))
        model.init_weights()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.3)
    return model


@pytest.fixture(autouse=True)
def _quick_runners(monkeypatch):
    """Reporting on the environment and formatting the config takes longer than these trainings."""
    monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
    monkeypatch.setattr(Runner, 'dump_config', lambda *_: None)


@pytest.fixture(scope='session')
def target_checkpoint(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('target') / 'target.pth'
    torch.save({'state_dict': build_target().state_dict()}, path)
    return str(path)


@pytest.fixture
def source_files(tmp_path) -> tuple[str, str]:
    """Config and checkpoint of another model of the same data."""
    config = Config(dict(default_scope='mmpretrain', model=TARGET, data_preprocessor=NATIVE))
    config.dump(tmp_path / 'source.py')
    torch.save({'state_dict': build_target(seed=7).state_dict()}, tmp_path / 'source.pth')
    return str(tmp_path / 'source.py'), str(tmp_path / 'source.pth')


def _loader(split: str, images: int, batch_size: int, pipeline: tuple = (), shuffle: bool = False) -> dict:
    return dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=dict(type='default_collate'),
        dataset=dict(
            type='HandwrittenDigits', split=split, indices=images, pipeline=[*pipeline, dict(type='PackInputs')]
        ),
    )


@pytest.fixture
def make_config(tmp_path, target_checkpoint) -> Callable[..., Config]:
    """A complete config, two batches of four images an epoch; keyword arguments are merged into it."""

    def make(
        hook: Optional[dict] = None,
        images: int = 8,
        batch_size: int = 4,
        pipeline: tuple = (),
        checkpoint: Optional[dict] = None,
        **changes: Any,
    ) -> Config:
        test_loader = _loader('test', images, batch_size)
        config = Config(
            copy.deepcopy(
                dict(
                    default_scope='mmpretrain',
                    experiment_name=f'test_{next(_serial)}',
                    work_dir=str(tmp_path / 'work'),
                    log_level='WARNING',
                    visualizer=None,
                    randomness=dict(seed=3),
                    load_from=target_checkpoint,
                    model=TARGET,
                    data_preprocessor=dict(
                        type='AlignPurifier', generator=GENERATOR, discriminator=DISCRIMINATOR, **NATIVE
                    ),
                    train_dataloader=_loader('train', images, batch_size, pipeline, shuffle=True),
                    val_dataloader=test_loader,
                    test_dataloader=test_loader,
                    val_evaluator=dict(type='Accuracy'),
                    test_evaluator=dict(type='Accuracy'),
                    train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=100),
                    val_cfg=dict(),
                    test_cfg=dict(),
                    optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999))),
                    default_hooks=dict(checkpoint=checkpoint),
                    custom_hooks=[
                        {'type': 'PurifierTrainHook', 'attack': FGSM, 'losses': list(LOSSES), **(hook or {})},
                    ],
                )
            )
        )
        config.merge_from_dict(copy.deepcopy(changes))
        return config

    return make


@pytest.fixture
def train(make_config) -> Callable[..., tuple[Runner, Spy]]:
    """Train with :func:`make_config`'s config; returns the runner and what a spy among its hooks saw."""

    def run(prepare: Optional[Callable[[Runner], None]] = None, **settings: Any) -> tuple[Runner, Spy]:
        runner = Runner.from_cfg(make_config(**settings))
        spy = Spy()
        runner.register_hook(spy)
        if prepare:
            prepare(runner)
        runner.train()
        return runner, spy

    return run


@pytest.fixture
def saving() -> dict:
    """A checkpoint each epoch, as ``tools/train.py`` sets it."""
    return dict(type='CheckpointHook', interval=1, max_keep_ckpts=3, backend_args=dict(backend='atomic'))


# A small target of each task, by its host.
TARGETS = {'mmpretrain': 'digits_target', 'mmseg': 'light_pspnet', 'mmdet': 'light_ssd'}
SIZE = (64, 96)


@pytest.fixture
def make_task_runner(tmp_path) -> Callable[..., tuple[Runner, Spy]]:
    """A runner of one iteration on two images of noise for a model of any host, with a spy among its hooks."""

    def make(scope: str, hooks: list[dict], purifier: Optional[dict] = None) -> tuple[Runner, Spy]:
        pytest.importorskip(scope)
        recipes.enter_scope(Config(dict(default_scope=scope)))
        model = Config.fromfile(CONFIGS / '_base_' / 'models' / f'{TARGETS[scope]}.py').model
        size = dict(size=SIZE) if scope == 'mmseg' else {}
        model.data_preprocessor = {**(model.get('data_preprocessor') or NATIVE), **size, **(purifier or {})}
        images = SyntheticImages(scope, SIZE, num_classes=3)
        collate = 'default_collate' if scope == 'mmpretrain' else 'pseudo_collate'
        runner = Runner(
            model=model,
            work_dir=str(tmp_path / 'work'),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type=collate),
                dataset=images,
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict.fromkeys(('logger', 'checkpoint')),
            custom_hooks=copy.deepcopy(hooks),
            default_scope=scope,
            experiment_name=f'test_{next(_serial)}',
            log_level='WARNING',
            visualizer=None,
            randomness=dict(seed=3),
        )
        spy = Spy()
        runner.register_hook(spy)
        return runner, spy

    return make


def tensors(state: Any, prefix: str = '') -> dict[str, Tensor]:
    """All tensors and numbers of a nested state, by path."""
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, (list, tuple)):
        items = enumerate(state)
    else:
        return {prefix: torch.as_tensor(state)} if isinstance(state, (Tensor, int, float)) else {}
    return {path: value for key, item in items for path, value in tensors(item, f'{prefix}/{key}').items()}


@pytest.fixture
def assert_same_training() -> Callable[[Path, Path], None]:
    """Two checkpoints hold the same networks, optimizer and schedule bit for bit."""

    def check(ours: Path, theirs: Path) -> None:
        ours, theirs = (torch.load(path, map_location='cpu', weights_only=True) for path in (ours, theirs))
        for part in ('state_dict', 'optimizer', 'param_schedulers'):
            left, right = tensors(ours.get(part)), tensors(theirs.get(part))
            assert left.keys() == right.keys()
            different = [name for name in left if not torch.equal(left[name], right[name])]
            assert not different, f'{part}: {different}'
        assert any('generator' in name for name in ours['state_dict'])
        assert any('discriminator' in name for name in ours['state_dict'])

    return check
