"""What the papers say, and the configs that say it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from mmadvdefense.attacks import RandomBudget
from mmadvdefense.checkpoints import check_state_dict
from mmadvdefense.hooks import AdversarialTrainingHook
from mmadvdefense.hooks.adversarial_train import DENOISING
from mmadvdefense.models import build_model
from mmadvdefense.tasks import task_of

pytest.importorskip('mmpretrain')
CONFIGS = Path(__file__).parents[2] / 'configs'
HGD = 'hgd/hgd_resnet20_{}_1xb64-8e_cifar10'
INCEPTION = 'hgd/hgd_inception-v3_logits_1xb60-30e_imagenet'
DENOISING_152 = 'feature_denoising/feature-denoising_resnet152_1xb32-110e_imagenet'
DENOISING_20 = 'feature_denoising/feature-denoising_resnet20_1xb64-8e_cifar10'

# Align, sections 4.2 to 4.5 -------------------------------------------------------------------------------------------

PGD_KL = dict(type='PGD', eps=0.031 * 255, step_size=0.0175 * 255, steps=4)
BIM = dict(type='BIM', eps=0.03 * 255, step_size=0.01 * 255, steps=3)
FGSM = dict(type='FGSM', eps=8, objective='cls_or_loc')
# By data: batch, epochs, down-samplings, working size, size in training, attack, and the models.
ALIGN = {
    'cifar10': (64, 100, 2, None, None, PGD_KL, ('resnet50', 'wideresnet34-10')),
    'cifar100': (64, 100, 2, None, None, PGD_KL, ('resnet50', 'wideresnet34-10')),
    'tinyimagenet': (16, 30, 2, None, None, PGD_KL, ('resnet50', 'wideresnet34-10')),
    'voc0712': (4, 80, 4, (256, 256), (300, 300), FGSM, ('ssd300', 'rfbnet300')),
    'cityscapes': (1, 80, 4, (512, 512), (425, 425), BIM, ('pspnet-r50', 'deeplabv3-r50')),
    'voc2012': (1, 20, 4, (512, 512), (417, 417), BIM, ('pspnet-r50', 'deeplabv3-r50')),
}


@pytest.mark.parametrize(('data', 'model'), [(data, model) for data, row in ALIGN.items() for model in row[-1]])
def test_align(data, model, build):
    batch, epochs, downsamplings, working_size, size, attack, _ = ALIGN[data]
    config = build(f'align/align_{model}_1xb{batch}-{epochs}e_{data}').config
    purifier, (hook,) = config.model.get('data_preprocessor') or config.data_preprocessor, config.custom_hooks
    assert purifier.generator == dict(
        type='GlobalGenerator', base_channels=64, num_downsamples=downsamplings, num_blocks=9
    )
    assert purifier.discriminator == dict(type='MultiscaleDiscriminator', base_channels=64, num_layers=3, num_scales=2)
    assert purifier.get('working_size') == working_size
    assert (config.get('image_size') or config.get('crop_size')) == size
    assert purifier.get('tile_size') == (None if attack is not BIM else size), 'crops of training'
    assert config.train_dataloader.batch_size == batch == config.auto_scale_lr.base_batch_size
    assert config.train_cfg.max_epochs == epochs == 2 * config.param_scheduler.begin
    assert config.optim_wrapper.optimizer == dict(type='Adam', lr=2e-4, betas=(0.5, 0.999))
    assert {key: hook.attack[key] for key in attack} == attack
    assert attack is PGD_KL or hook.attack == attack
    weights = {loss['type']: loss.get('loss_weight', 1.0) for loss in hook.losses}
    assert weights['PixelReconstructionLoss'] == weights['PerceptualLoss'] == weights['FeatureMatchingLoss'] == 50


@pytest.mark.parametrize(
    ('data', 'longer_side', 'scales'), [('cityscapes', 2048, (0.25, 1.0)), ('voc2012', 500, (0.5, 2.0))]
)
def test_training_scales_of_the_authors(data, longer_side, scales):
    """Relative to the file; what is smaller than a crop is padded to it, so that all crops are seen at one scale."""
    config = Config.fromfile(CONFIGS / '_base_' / 'datasets' / f'{data}.py')
    steps = {step['type']: step for step in config.train_pipeline}
    assert max(steps['RandomResize'].scale) == longer_side and tuple(steps['RandomResize'].ratio_range) == scales
    assert list(steps)[-3:] == ['RandomCrop', 'Pad', 'PackSegInputs']
    assert steps['RandomCrop'].crop_size == steps['Pad'].size == config.crop_size


# HGD ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', [*(HGD.format(guide) for guide in ('pixel', 'feature', 'logits', 'label')), INCEPTION])
def test_hgd_trains_on_its_own_attacks(name, build):
    hook = build(name).hook
    assert hook.train_on == 'adversarial' and hook.training_attack.labels == 'predicted'
    assert all(isinstance(attack, RandomBudget) for attack in hook.training_attack.attacks)
    steps = {attack.attack.steps for attack in hook.training_attack.attacks}
    assert steps == {1, 2, 4, 8}
    assert {(attack.low, attack.high) for attack in hook.training_attack.attacks} == {(1, 16)}


@pytest.mark.parametrize(
    ('guide', 'terms', 'layer', 'task_weight'),
    [
        ('pixel', ['PixelReconstructionLoss'], None, 0),
        ('feature', ['FeatureReconstructionLoss'], 'backbone', 0),
        ('logits', ['FeatureReconstructionLoss'], 'logits', 0),
        ('label', [], None, 1),
    ],
)
def test_guides(guide, terms, layer, task_weight, build):
    """And all else as Align's config for the same model."""
    config, purifier, hook = build(HGD.format(guide))
    assert [type(loss).__name__ for loss in hook.losses] == terms
    assert all(loss.clean_weight == 0 and loss.adv_guide == 'clean' for loss in hook.losses)
    assert (hook.feature_layer, hook.task_weight) == (layer, task_weight)
    align = build('align/align_resnet20_1xb64-8e_cifar10').config
    assert purifier.generator_config == align.data_preprocessor.generator
    for same in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader', 'load_from'):
        assert config[same] == align[same], same


def test_hgd_on_imagenet(build):
    config, purifier, hook = build(INCEPTION)
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
    assert ensemble[0] == 'target' and all((CONFIGS.parent / other.config).is_file() for other in ensemble[1:])
    # Section 4.2: the checkpoint of the lowest validation loss.
    assert config.custom_hooks[1] == dict(type='PurifierValLossHook')
    checkpoint = config.default_hooks.checkpoint
    assert (checkpoint.save_best, checkpoint.rule) == ('purifier/loss', 'less')


def test_twice_the_noise(read):
    """Table 8: the checkpoint of the pixel-guided denoiser with twice its noise."""
    double, once = (read(HGD.format(name)) for name in ('pixel-x2', 'pixel'))
    assert double.data_preprocessor.pop('noise_scale') == 2.0
    double.pop('filename', None)
    assert double.to_dict() == once.to_dict()


@pytest.mark.parametrize('name', ['inception_v3', 'resnet50', 'resnext50'])
def test_imagenet_models_have_logits_to_guide(name):
    model = build_model(str(CONFIGS / 'target' / f'{name}_imagenet.py')).eval()
    task = task_of(model)
    with torch.no_grad(), (tap := task.feature_tap('logits')):
        task.reference(torch.zeros(1, 3, 96, 96))
    assert task.num_classes == 1000 and tap.take().shape == (1, 1000)


def test_members_of_the_ensemble_are_there(read):
    members = read('hgd/hgd_ensemble_cifar10').model.members
    assert len(members) == 2 and all((CONFIGS.parent / member.config).is_file() for member in members)


# OAG, sections IV-A and IV-E ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'network_steps', 'num_classes', 'depth'),
    [('resnet18_flowers17', 300, 17, 18), ('resnet50_imagenet', 600, 1000, 50)],
)
def test_oag(name, network_steps, num_classes, depth, load):
    config = load(f'oag/oag_{name}')
    purifier = config.data_preprocessor
    assert (purifier.num_steps, purifier.image_steps, purifier.network.kernel_size) == (network_steps, 20, 15)
    model = build_model(config)
    assert model.backbone.depth == depth and model.head.num_classes == num_classes
    assert purifier.num_classes == num_classes
    pipeline = config.test_dataloader.dataset.pipeline
    assert next(step for step in pipeline if step.type == 'CenterCrop').crop_size == 224


# Feature Denoising ----------------------------------------------------------------------------------------------------


def adversarial_training(config: Config) -> AdversarialTrainingHook:
    (hook,) = config.custom_hooks
    assert hook.type == 'AdversarialTrainingHook'
    return AdversarialTrainingHook(**{key: value for key, value in hook.items() if key != 'type'})


@pytest.mark.parametrize('name', [DENOISING_152, DENOISING_20])
def test_adversarial_training(name, read):
    config = read(name)
    hook = adversarial_training(config)
    assert hook.clean_start == 0.2 and hook.attack.targeted == 'random' and hook.attack.random_start == 'uniform'
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.nesterov, optimizer.momentum, optimizer.weight_decay) == ('SGD', True, 0.9, 1e-4)
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
    assert MODELS.build(config.model.head.loss).label_smooth_val == 0.1
    assert config.model.backbone.kind == 'nonlocal_embedded' and config.model.backbone.after == 'stages'


def test_denoising_on_imagenet(read):
    config = read(DENOISING_152)
    attack = adversarial_training(config).attack
    assert (attack.eps, attack.steps, attack.step_size) == (16, 30, max(1, 16 / 30))
    warmup, drops = config.param_scheduler
    assert (warmup.type, warmup.begin, warmup.end) == ('LinearLR', 0, 5)
    assert drops.milestones == [35, 70, 95] and config.train_cfg.max_epochs == 110
    lr_of_the_paper = config.optim_wrapper.optimizer.lr * 4096 / config.auto_scale_lr.base_batch_size
    assert lr_of_the_paper == pytest.approx(1.6)
    assert lr_of_the_paper * warmup.start_factor == pytest.approx(0.1)


def test_four_blocks_in_resnet152():
    model, plain = (build_model(str(CONFIGS / f'{name}.py')) for name in (DENOISING_152, 'target/resnet152_imagenet'))
    blocks = model.backbone.denoising
    assert [block.conv.in_channels for block in blocks.values()] == [256, 512, 1024, 2048]
    extra = sum(parameter.numel() for parameter in blocks.parameters())
    # theta, phi and the convolution, 2 C^2, and the scale and shift of BN
    assert extra == sum(2 * c * c + 2 * c for c in (256, 512, 1024, 2048))
    report = check_state_dict(model, plain.state_dict(), ignore=('data_preprocessor.', DENOISING))
    assert not report.missing and not report.unexpected


def test_the_small_one_takes_the_plain_model_s_weights(read):
    config = read(DENOISING_20)
    model = build_model(config).eval()
    plain = build_model(str(CONFIGS / 'target' / 'resnet20_cifar10.py')).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images, mode='tensor')[-1], plain(images, mode='tensor')[-1])
    assert config.load_from == 'checkpoints/resnet20_cifar10.pth'
