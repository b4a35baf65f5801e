"""Every config of HGD parses, builds, and says what the paper says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.attacks import RandomBudget
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import HGDPurifier
from mmadvdefense.tasks import task_of
from mmadvdefense.training import purifier_config, recipes

pytest.importorskip('mmpretrain')
ROOT = Path(__file__).parents[1]
DEFENSES = ROOT / 'configs' / 'defense'
SMALL = {guide: DEFENSES / f'resnet20_cifar10_hgd_{guide}.py' for guide in ('pgd', 'fgd', 'lgd', 'cgd')}
IMAGENET = DEFENSES / 'inception_v3_imagenet_hgd.py'


def build(path: Path) -> tuple[Config, HGDPurifier, PurifierTrainHook]:
    config = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device('meta'):
        purifier_config.prepare_purifier(config)
        purifier = MODELS.build(purifier_config.purifier_config(config))
        settings = {key: value for key, value in config.custom_hooks[0].items() if key != 'type'}
        return config, purifier, PurifierTrainHook(**settings)


@pytest.mark.parametrize('path', [*SMALL.values(), IMAGENET], ids=lambda path: path.stem)
def test_builds_and_is_complete(path):
    config, purifier, hook = build(path)
    assert isinstance(purifier, HGDPurifier) and config.load_from
    before = config.to_dict()
    recipes.complete_training(config)
    assert config.to_dict() == before
    assert hook.train_on == 'adversarial' and hook.training_attack.labels == 'predicted'
    assert all(isinstance(attack, RandomBudget) for attack in hook.training_attack.attacks)
    steps = {attack.attack.steps for attack in hook.training_attack.attacks}
    assert steps == {1, 2, 4, 8}
    assert {(attack.low, attack.high) for attack in hook.training_attack.attacks} == {(1, 16)}


@pytest.mark.parametrize(
    ('guide', 'terms', 'layer', 'task_weight'),
    [
        ('pgd', ['PixelReconstructionLoss'], None, 0),
        ('fgd', ['FeatureReconstructionLoss'], 'backbone', 0),
        ('lgd', ['FeatureReconstructionLoss'], 'logits', 0),
        ('cgd', [], None, 1),
    ],
)
def test_guides(guide, terms, layer, task_weight):
    """And all else as Align's config for the same model."""
    config, purifier, hook = build(SMALL[guide])
    assert [type(loss).__name__ for loss in hook.losses] == terms
    assert all(loss.clean_weight == 0 and loss.adv_guide == 'clean' for loss in hook.losses)
    assert (hook.feature_layer, hook.task_weight) == (layer, task_weight)
    align = Config.fromfile(DEFENSES / 'resnet20_cifar10_align.py')
    assert purifier.generator_config == align.data_preprocessor.generator
    for same in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader', 'load_from'):
        assert config[same] == align[same], same


def test_the_paper_s_setting():
    config, purifier, hook = build(IMAGENET)
    assert sum(p.numel() for p in purifier.generator.parameters()) == pytest.approx(11.0e6, rel=0.01)
    assert config.train_dataloader.batch_size == 60 and config.train_cfg.max_epochs == 30
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=1e-3)
    train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
    assert (train.number, val.number, val.skip) == (30, 10, 30) and train.dataset.split == val.dataset.split == 'train'
    assert DATASETS.get(train.type) is not None
    # Table 1: 210,000 images are seven of each of 30,000, FGSM on three models and four attacks on their ensemble.
    pairs = [
        (attack.attack.steps, sources)
        for attack, [sources] in zip(hook.training_attack.attacks, hook.training_attack._configs)
    ]
    ensemble = pairs[-1][1]
    assert [steps for steps, _ in pairs] == [1, 1, 1, 1, 2, 4, 8]
    assert [sources for _, sources in pairs] == [*([model] for model in ensemble), *[ensemble] * 4]
    assert ensemble[0] == 'target' and all((ROOT / other['config']).is_file() for other in ensemble[1:])
    # Section 4.2: the checkpoint of the lowest validation loss.
    assert config.custom_hooks[1] == dict(type='PurifierValLossHook')
    checkpoint = config.default_hooks.checkpoint
    assert (checkpoint.save_best, checkpoint.rule) == ('purifier/loss', 'less')


def test_pgd_x2():
    """Table 8: the checkpoint of the pixel-guided denoiser with twice its noise."""
    double, once = (Config.fromfile(DEFENSES / f'resnet20_cifar10_hgd_{name}.py') for name in ('pgd_x2', 'pgd'))
    assert double.data_preprocessor.pop('noise_scale') == 2.0
    double.pop('filename', None)
    assert double.to_dict() == once.to_dict()


@pytest.mark.parametrize('name', ['inception_v3', 'resnet50', 'resnext50'])
def test_imagenet_models_have_logits_to_guide(name):
    model = build_model(str(ROOT / 'configs' / 'target' / f'{name}_imagenet.py')).eval()
    task = task_of(model)
    with torch.no_grad(), (tap := task.feature_tap('logits')):
        task.reference(torch.zeros(1, 3, 96, 96))
    assert task.num_classes == 1000 and tap.take().shape == (1, 1000)
