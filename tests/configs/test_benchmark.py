"""Configs that are compared with each other differ in what is compared and in nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.networks import DUNet, GlobalGenerator
from mmadvdefense.registry import HOOKS
from mmadvdefense.training import purifier_config, recipes

pytest.importorskip('mmpretrain')
FOLDER = Path(__file__).parents[2] / 'configs' / 'benchmark'
UNET, OWN = (
    {path.stem.rpartition('_')[2]: path for path in FOLDER.glob(f'resnet20_cifar10_{kind}_*.py')}
    for kind in ('unet', 'own')
)
BASELINES = {
    path.stem.removeprefix('resnet20_cifar10_baseline_'): path for path in FOLDER.glob('resnet20_cifar10_baseline_*.py')
}


def images_trained_on(config: Config) -> int:
    assert config.default_hooks.checkpoint.by_epoch is False
    return config.train_dataloader.batch_size * config.train_cfg.max_iters


def test_all_are_there():
    assert set(UNET) == {'align', 'pixel', 'feature', 'logits', 'both', 'label'}
    assert set(BASELINES) == {
        *('ape_gan', 'nrp', 'nrp_light', 'fpd', 'super_resolution', 'defense_gan', 'pixel_defend')
    }
    assert set(OWN) == {'align', 'residual', 'pixel', 'feature', 'logits', 'label', 'denoising'}


@pytest.mark.parametrize('path', sorted(FOLDER.glob('*.py')), ids=lambda path: path.stem)
def test_hook_and_data_are_complete(path):
    config = Config.fromfile(path)
    before = config.to_dict()
    for hook in config.custom_hooks:
        HOOKS.build(dict(hook))
    if purifier_config.purifier_config(config) is not None:
        recipes.complete_training(config)
        assert config.to_dict() == before
    target = (
        re.sub('_(adaptive|general_sources)$', '', path.stem) if path.stem.startswith('light_') else 'resnet20_cifar10'
    )
    assert config.load_from == f'checkpoints/{target}.pth'


def test_objectives_are_compared_on_one_generator_attack_and_schedule():
    rest = {}
    for name, path in UNET.items():
        config = Config.fromfile(path).to_dict()
        purifier, (hook,) = config.pop('data_preprocessor'), config.pop('custom_hooks')
        config.pop('objective')
        own = {key: purifier.pop(key, None) for key in ('type', 'discriminator')}
        assert own['type'] == ('AlignPurifier' if name == 'align' else 'HGDPurifier')
        rest[name] = {**config, 'attack': hook['attack'], 'labels': hook.get('labels', 'truth'), 'purifier': purifier}
    assert all(settings == rest['align'] for settings in rest.values())
    assert images_trained_on(Config.fromfile(UNET['align'])) == 25600


@pytest.mark.parametrize('name', BASELINES)
def test_other_purifiers_are_trained_as_long_as_the_objectives(name):
    """On the same images, in front of the same target; networks, attack, losses and optimizer are their own."""
    config, unet = (Config.fromfile(path).to_dict() for path in (BASELINES[name], UNET['align']))
    own = ('data_preprocessor', 'custom_hooks', 'objective', 'attack', 'purifier', 'optim_wrapper', 'adam')
    native = {key: value for key, value in unet['data_preprocessor'].items() if key in config['data_preprocessor']}
    for shared in ('type', 'generator', 'discriminator'):
        native.pop(shared, None)
    assert native and native.items() <= config['data_preprocessor'].items()
    assert {key: value for key, value in config.items() if key not in own} == {
        key: value for key, value in unet.items() if key not in own
    }
    assert images_trained_on(Config.fromfile(BASELINES[name])) == 25600
    assert config['optim_wrapper']['optimizer'] == config['adam']


def test_smoothed_purifiers_differ_in_their_noise_alone():
    rest = []
    for path in (FOLDER / f'resnet20_cifar10_smoothed_{name}.py' for name in ('012', '025', '050')):
        config = Config.fromfile(path).to_dict()
        (hook,), sigma = config.pop('custom_hooks'), config.pop('sigma')
        assert sigma == pytest.approx(int(path.stem[-3:]) / 100 * 255)
        assert config['data_preprocessor'].pop('sigma') == hook['attack'].pop('sigma') == sigma
        rest.append((config, hook))
    assert rest[0] == rest[1] == rest[2]


def test_methods_are_compared_with_their_own_networks_after_as_many_images():
    assert {images_trained_on(Config.fromfile(path)) for path in OWN.values()} == {12800}
    for name, path in OWN.items():
        config = Config.fromfile(path)
        if name != 'denoising':
            with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
                generator = MODELS.build(config.data_preprocessor).generator
            parameters = sum(parameter.numel() for parameter in generator.parameters())
            # As docs/results.md says.
            expected = (GlobalGenerator, 11378179) if name in ('align', 'residual') else (DUNet, 11033984)
            assert (type(generator), parameters) == expected


def test_the_residual_generator_is_the_published_one_otherwise():
    published, residual = (Config.fromfile(OWN[name]).to_dict() for name in ('align', 'residual'))
    assert residual['data_preprocessor']['generator'].pop('residual') is True
    assert residual == published
