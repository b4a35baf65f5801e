"""Every config of a defense parses, and its purifier, objective and attack can be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import build_attack
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.purifiers import AlignPurifier
from mmadvdefense.training import purifier_config, recipes

ROOT = Path(__file__).parents[1]
CONFIGS = sorted([*(ROOT / 'configs' / 'defense').glob('*.py'), *(ROOT / 'configs' / 'demo').glob('*.py')])
# Other defenses have tests of their own.
DEFENSES = [path for path in CONFIGS if 'PurifierTrainHook' in path.read_text() and 'HGD' not in path.read_text()]
ATTACKS = sorted((ROOT / 'configs' / '_base_' / 'attacks').glob('*.py'))
SCHEDULES = sorted((ROOT / 'configs' / '_base_' / 'schedules').glob('align_*.py'))


def _load(path: Path) -> Config:
    config = Config.fromfile(path)
    pytest.importorskip(config.default_scope)
    return config


def _hook_config(config: Config) -> dict:
    (hook,) = [hook for hook in config.custom_hooks if hook.type == 'PurifierTrainHook']
    return {key: value for key, value in hook.items() if key != 'type'}


def _offline(losses: Any) -> list[dict]:
    """The objective without a download of VGG's weights."""
    return [{**loss, 'weights': 'random'} if loss['type'] == 'PerceptualLoss' else loss for loss in losses]


def test_configs_are_found():
    assert {'resnet20_cifar10_align', 'resnet50_cifar10_align', 'wideresnet_tinyimagenet_align'} <= {
        path.stem for path in DEFENSES
    }


@pytest.mark.parametrize('path', DEFENSES, ids=lambda path: path.stem)
def test_purifier_and_objective_build(path):
    config = _load(path)
    # Without memory for the weights: the paper's larger generator has 180 million.
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device('meta'):
        purifier_config.prepare_purifier(config)
        purifier = MODELS.build(purifier_config.purifier_config(config))
        settings = _hook_config(config)
        hook = PurifierTrainHook(**{**settings, 'losses': _offline(settings['losses'])})
    assert isinstance(purifier, AlignPurifier)
    assert type(purifier.native).__module__.startswith(config.default_scope)
    assert config.load_from, 'the target it protects'
    images = torch.zeros(1, 3, 32, 32, device='meta')
    assert purifier.generator(images).shape == images.shape
    needs_discriminator = any(loss.needs_discriminator for loss in hook.losses)
    assert needs_discriminator <= isinstance(purifier.discriminator, nn.Module)
    if purifier.discriminator is not None:
        first = next(module for module in purifier.discriminator.modules() if isinstance(module, nn.Conv2d))
        assert (first.in_channels > 3) == purifier.condition_on_labels
    for loss in hook.losses:
        if getattr(loss, 'channel_order', '') is None:
            assert purifier.channel_order, 'the perceptual loss has to know how images are loaded'
    assert hook.task_weight > 0 and hook.attack.eps > 0


@pytest.mark.parametrize('path', DEFENSES, ids=lambda path: path.stem)
def test_is_complete(path):
    """The command line adds nothing to what the config says."""
    config = _load(path)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        purifier_config.prepare_purifier(config)
        before = config.to_dict()
        recipes.complete_purifier(config)
        recipes.complete_training(config)
    assert config.to_dict() == before
    assert config.optim_wrapper.optimizer.type == 'Adam' and list(config.optim_wrapper.optimizer.betas) == [0.5, 0.999]
    assert config.default_hooks.checkpoint.backend_args.backend == 'atomic'
    assert config.default_hooks.checkpoint.get('max_keep_ckpts', -1) != 1


@pytest.mark.parametrize('path', ATTACKS, ids=lambda path: path.stem)
def test_attacks_build(path):
    config = Config.fromfile(path)
    for settings in config.attacks.values() if 'attacks' in config else [config.attack]:
        attack = build_attack(settings)
        # Attacks that look for the smallest change have no budget.
        assert (attack.eps is None and attack.norm == 'l2') or 0 < attack.eps < 32, 'pixels, 0-255'


@pytest.mark.parametrize('path', SCHEDULES, ids=lambda path: path.stem)
def test_schedules_decay_over_the_second_half(path):
    config = Config.fromfile(path)
    scheduler = config.param_scheduler
    scheduler = scheduler if isinstance(scheduler, dict) else scheduler[-1]
    length = config.train_cfg.get('max_epochs') or config.train_cfg.max_iters
    assert scheduler.type == 'LinearLR' and scheduler.end_factor == 0
    assert (scheduler.begin, scheduler.end) == (length // 2, length)


@pytest.mark.parametrize(
    ('name', 'epochs', 'batch_size'),
    [
        ('resnet50_cifar10_align', 100, 64),
        ('resnet50_cifar100_align', 100, 64),
        ('wideresnet_cifar10_align', 100, 64),
        ('resnet50_tinyimagenet_align', 30, 16),
        ('wideresnet_tinyimagenet_align', 30, 16),
    ],
)
def test_the_paper_s_settings(name, epochs, batch_size):
    """Sections 4.2 to 4.5."""
    config = _load(ROOT / 'configs' / 'defense' / f'{name}.py')
    assert config.train_cfg.max_epochs == epochs and config.train_dataloader.batch_size == batch_size
    assert config.optim_wrapper.optimizer.lr == 2e-4
    purifier = purifier_config.purifier_config(config)
    assert purifier.generator == dict(type='GlobalGenerator', base_channels=64, num_downsamples=2, num_blocks=9)
    attack = _hook_config(config)['attack']
    assert (attack['eps'], attack['step_size'], attack['steps']) == (0.031 * 255, 0.0175 * 255, 4)
    weights = {loss['type']: loss.get('loss_weight', 1.0) for loss in _hook_config(config)['losses']}
    assert weights['PixelReconstructionLoss'] == weights['PerceptualLoss'] == weights['FeatureMatchingLoss'] == 50
