"""Every config of OAG and of what it is compared with can be built, and purifies."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import OnlinePurifier
from mmadvdefense.training import purifier_config, recipes

pytest.importorskip('mmpretrain')

FOLDER = Path(__file__).parents[1] / 'configs'
CONFIGS = {
    'resnet20_cifar10_oag': 'OAGPurifier',
    'resnet20_cifar10_dip': 'DIPPurifier',
    'resnet20_cifar10_one_step_autoencoder': 'OneStepAutoEncoderPurifier',
    'resnet18_flowers17_oag': 'OAGPurifier',
    'resnet50_ilsvrc_oag': 'OAGPurifier',
}


@pytest.mark.parametrize('name', CONFIGS)
def test_builds(name, make_images):
    config = Config.fromfile(FOLDER / 'defense' / f'{name}.py')
    assert config.data_preprocessor.type == CONFIGS[name] and config.load_from.startswith('checkpoints/')
    before = config.to_dict()
    with DefaultScope.overwrite_default_scope(config.default_scope):
        purifier_config.prepare_purifier(config)
        recipes.complete_purifier(config)
        recipes.complete_training(config)
        assert config.to_dict() == before, 'nothing is missing'
        assert config.data_preprocessor.num_steps >= 100
        purifier = MODELS.build({**config.data_preprocessor, 'num_steps': 2})
    assert isinstance(purifier, OnlinePurifier)
    assert purifier.native.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    images = make_images(2, 3, 32, 32)
    assert purifier.clean(images).shape == images.shape


@pytest.mark.parametrize(
    ('name', 'network_steps', 'num_classes', 'depth'),
    [('resnet18_flowers17_oag', 300, 17, 18), ('resnet50_ilsvrc_oag', 600, 1000, 50)],
)
def test_the_paper_s_settings(name, network_steps, num_classes, depth):
    """Sections IV-A and IV-E."""
    config = Config.fromfile(FOLDER / 'defense' / f'{name}.py')
    purifier = config.data_preprocessor
    assert (purifier.num_steps, purifier.image_steps, purifier.network.kernel_size) == (network_steps, 20, 15)
    model = build_model(config)
    assert model.backbone.depth == depth and model.head.num_classes == num_classes
    assert purifier.num_classes == num_classes
    pipeline = config.test_dataloader.dataset.pipeline
    assert next(step for step in pipeline if step.type == 'CenterCrop').crop_size == 224
