"""One row for each defense: the target it protects, the purifier in front of it, and the recipe that trains it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Optional

import pytest
import torch
from mmengine.registry import DATASETS, MODELS, TRANSFORMS
from torch import nn

from mmadvdefense.purifiers import AlignPurifier, HGDPurifier, OnlinePurifier, PatchDatabase
from mmadvdefense.training import purifier_config, recipes

CONFIGS = Path(__file__).parents[2] / 'configs'
LEARNED = ('ape_gan', 'nrp', 'fpd', 'super_resolution', 'defense_gan', 'pixel_defend')
METHODS = ('align', 'hgd', 'oag', 'feature_denoising', 'transforms', *LEARNED)


class Row(NamedTuple):
    target: str
    purifier: Optional[str]
    recipe: Optional[str] = None

    @property
    def data(self) -> str:
        return self.target.rpartition('_')[2]


# By recipe: how many terms the objective of Align has, and the features it takes where there is a choice.
RECIPES = {
    'recommended': (5, 'logits'),
    'recommended dense': (5, None),
    'one line': (5, None),
    'paper': (6, 'pre_logits'),
    # the mean over pairs of classes in the place of their sum
    'many': (6, 'pre_logits'),
    'paper without VGG': (5, 'pre_logits'),
    'released': (6, 'logits'),
}
ALIGN = {
    'resnet20_1xb64-8e_cifar10': ('resnet20_cifar10', 'recommended'),
    'resnet20_paper-objective_1xb64-8e_cifar10': ('resnet20_cifar10', 'paper without VGG'),
    'resnet50_1xb64-100e_cifar10': ('resnet50_cifar10', 'paper'),
    'resnet50_1xb64-100e_cifar100': ('resnet50_cifar100', 'many'),
    'resnet50_1xb16-30e_tinyimagenet': ('resnet50_tinyimagenet', 'many'),
    'resnet50_released_1xb64-200e_cifar10': ('resnet50_cifar10', 'released'),
    'wideresnet34-10_1xb64-100e_cifar10': ('wideresnet_cifar10', 'paper'),
    'wideresnet34-10_1xb64-100e_cifar100': ('wideresnet_cifar100', 'many'),
    'wideresnet34-10_1xb16-30e_tinyimagenet': ('wideresnet_tinyimagenet', 'many'),
    'pspnet-r50_1xb1-80e_cityscapes': ('pspnet_cityscapes', 'many'),
    'pspnet-r50_1xb1-20e_voc2012': ('pspnet_voc2012', 'many'),
    'pspnet-r50_1xb4-80e_camvid': ('pspnet_camvid', 'paper'),
    'pspnet-r50_released_1xb1-200e_cityscapes': ('pspnet_cityscapes', 'released'),
    'deeplabv3-r50_1xb1-80e_cityscapes': ('deeplabv3_cityscapes', 'many'),
    'deeplabv3-r50_1xb1-20e_voc2012': ('deeplabv3_voc2012', 'many'),
    'deeplabv3-r50_1xb4-80e_camvid': ('deeplabv3_camvid', 'paper'),
    'light-pspnet_1xb4-8e_camvid': ('light_pspnet_camvid', 'recommended dense'),
    'light-pspnet_general_1xb4-8e_camvid': ('light_pspnet_camvid', 'one line'),
    'ssd300_1xb4-80e_voc0712': ('ssd_voc', 'many'),
    'ssd300_1xb4-80e_bccd': ('ssd_bccd', 'paper'),
    'ssd300_released_1xb4-200e_voc0712': ('ssd_voc', 'released'),
    'rfbnet300_1xb4-80e_voc0712': ('rfbnet_voc', 'many'),
    'rfbnet300_1xb4-80e_bccd': ('rfbnet_bccd', 'paper'),
    'light-ssd_1xb4-8e_bccd': ('light_ssd_bccd', 'recommended dense'),
    'light-ssd_general_1xb4-8e_bccd': ('light_ssd_bccd', 'one line'),
}
ONLINE = {
    'oag_resnet20_cifar10': ('resnet20_cifar10', 'OAGPurifier'),
    'oag_resnet18_flowers17': ('resnet18_flowers17', 'OAGPurifier'),
    'oag_resnet50_imagenet': ('resnet50_imagenet', 'OAGPurifier'),
    'dip_resnet20_cifar10': ('resnet20_cifar10', 'DIPPurifier'),
    'one-step-autoencoder_resnet20_cifar10': ('resnet20_cifar10', 'OneStepAutoEncoderPurifier'),
}
TRANSFORMS_BY_NAME = {
    'bit-depth': 'BitDepthPurifier',
    'chain': 'PurifierChain',
    'jpeg': 'JPEGPurifier',
    'mean-filter': 'MeanFilterPurifier',
    'median-filter': 'MedianFilterPurifier',
    'pixel-deflection': 'PixelDeflectionPurifier',
    'quilting': 'QuiltingPurifier',
    'random-resize-pad': 'RandomResizePadPurifier',
    'total-variation': 'TotalVariationPurifier',
}
HGD = {
    **{
        f'hgd_resnet20_{guide}_1xb64-8e_cifar10': 'resnet20_cifar10'
        for guide in ('pixel', 'feature', 'logits', 'label')
    },
    'hgd_resnet20_pixel-x2_1xb64-8e_cifar10': 'resnet20_cifar10',
    'hgd_resnet56_logits_1xb64-8e_cifar10': 'resnet56_cifar10',
    'hgd_inception-v3_logits_1xb60-30e_imagenet': 'inception_v3_imagenet',
}
APE_GAN = {
    'resnet20_1xb128-8e_cifar10': ('resnet20_cifar10',),
    'light-pspnet_1xb4-8e_camvid': ('light_pspnet_camvid', 'one line'),
    'light-ssd_1xb4-8e_bccd': ('light_ssd_bccd', 'one line'),
}
NRP = {
    'nrp-light_resnet20_1xb64-8e_cifar10': ('resnet20_cifar10',),
    'nrp_resnet50_1xb16-10e_imagenet': ('resnet50_imagenet',),
    'nrp_light-pspnet_1xb4-8e_camvid': ('light_pspnet_camvid', 'one line'),
    'nrp_light-ssd_1xb4-8e_bccd': ('light_ssd_bccd', 'one line'),
}
FPD = {
    'resnet20_1xb64-8e_cifar10': ('resnet20_cifar10',),
    'light-pspnet_1xb4-8e_camvid': ('light_pspnet_camvid', 'one line'),
    'light-ssd_1xb4-8e_bccd': ('light_ssd_bccd', 'one line'),
}
SUPER_RESOLUTION = {
    'resnet20_1xb16-8e_cifar10': ('resnet20_cifar10',),
    'light-pspnet_1xb4-8e_camvid': ('light_pspnet_camvid', 'one line'),
    'light-ssd_1xb4-8e_bccd': ('light_ssd_bccd', 'one line'),
}
TABLE = {
    'pixel_defend/pixel-defend_resnet20_1xb64-100e_cifar10': Row('resnet20_cifar10', 'PixelDefendPurifier'),
    'defense_gan/defense-gan_resnet20_1xb64-256e_cifar10': Row('resnet20_cifar10', 'DefenseGANPurifier'),
    **{
        f'super_resolution/super-resolution_{name}': Row(row[0], 'SuperResolutionPurifier', *row[1:])
        for name, row in SUPER_RESOLUTION.items()
    },
    **{f'fpd/fpd_{name}': Row(row[0], 'FPDPurifier', *row[1:]) for name, row in FPD.items()},
    **{f'nrp/{name}': Row(row[0], 'NRPPurifier', *row[1:]) for name, row in NRP.items()},
    **{f'ape_gan/ape-gan_{name}': Row(row[0], 'APEGANPurifier', *row[1:]) for name, row in APE_GAN.items()},
    **{f'align/align_{name}': Row(target, 'AlignPurifier', recipe) for name, (target, recipe) in ALIGN.items()},
    **{f'hgd/{name}': Row(target, 'HGDPurifier') for name, target in HGD.items()},
    'hgd/hgd_ensemble_cifar10': Row('resnet20_cifar10', None),
    **{f'oag/{name}': Row(*row) for name, row in ONLINE.items()},
    'feature_denoising/feature-denoising_resnet20_1xb64-8e_cifar10': Row('resnet20_cifar10', None),
    'feature_denoising/feature-denoising_resnet152_1xb32-110e_imagenet': Row('resnet152_imagenet', None),
    **{
        f'transforms/{name}_resnet20_cifar10': Row('resnet20_cifar10', kind)
        for name, kind in TRANSFORMS_BY_NAME.items()
    },
}
DEMOS = ('demo/digits_align', 'demo/scenes_det_align', 'demo/scenes_seg_align')
SCOPES = {'voc': 'mmdet', 'bccd': 'mmdet', 'cityscapes': 'mmseg', 'voc2012': 'mmseg', 'camvid': 'mmseg'}
NUM_CLASSES = {'voc': 20, 'bccd': 3, 'cityscapes': 19, 'voc2012': 21, 'camvid': 11, 'cifar10': 10, 'cifar100': 100}
NUM_CLASSES |= {'tinyimagenet': 200, 'flowers17': 17, 'imagenet': 1000}


def rows(*methods: str):
    """Parametrize over the defenses of some folders, as ``name`` and ``row``."""
    chosen = {name: row for name, row in TABLE.items() if name.partition('/')[0] in methods}
    return pytest.mark.parametrize(('name', 'row'), chosen.items(), ids=list(chosen))


def test_the_table_is_complete():
    found = {
        path.relative_to(CONFIGS).with_suffix('').as_posix()
        for name in METHODS
        for path in (CONFIGS / name).glob('*.py')
    }
    assert found == TABLE.keys()


@rows('align', 'hgd', 'feature_denoising', *LEARNED)
def test_the_name_says_batch_length_and_data(name, row, read):
    config, told = read(name), re.search(r'_1xb(\d+)-(\d+)e_([a-z0-9]+)$', name)
    if row.purifier is None and told is None:
        return  # an ensemble is not trained
    assert config.train_dataloader.batch_size == int(told[1]) and config.train_cfg.max_epochs == int(told[2])
    assert told[3] == {'voc': 'voc0712'}.get(row.data, row.data)


@rows('align', 'hgd', 'oag', 'transforms', *LEARNED)
def test_it_protects_its_target(name, row, load):
    """The same model behind the same preprocessor, tested on the same images with the same metric."""
    if row.purifier is None:
        return  # an ensemble is made of others
    config, target = load(name), load(f'target/{row.target}')
    assert config.load_from == f'checkpoints/{row.target}.pth'
    purifier = purifier_config.purifier_config(config)
    native = target.model.get('data_preprocessor') or target.data_preprocessor
    assert purifier.type == row.purifier
    assert {key: purifier[key] for key in native if key != 'type'} == {k: v for k, v in native.items() if k != 'type'}
    model, protected = ({k: v for k, v in c.model.items() if k != 'data_preprocessor'} for c in (config, target))
    assert model == protected
    if 'inception' not in name:  # the paper takes ten images of each class
        batch = dict(batch_size=target.test_dataloader.batch_size)
        assert {**config.test_dataloader, **batch} == dict(target.test_dataloader)
    assert config.test_evaluator == target.test_evaluator


@pytest.mark.parametrize('name', [*TABLE, *DEMOS])
def test_nothing_is_missing(name, read):
    """The command line adds nothing to what the config says, but to the one line what the line leaves out."""
    config = read(name)
    purifier_config.prepare_purifier(config)
    if name in TABLE and TABLE[name].recipe == 'one line':
        assert not config.get('custom_hooks') and 'generator' not in config.model.data_preprocessor
        recipes.complete_training(config)
    before = config.to_dict()
    recipes.complete_purifier(config)
    recipes.complete_training(config)
    assert config.to_dict() == before


@pytest.mark.parametrize('name', [*(name for name in TABLE if name.startswith('align/')), *DEMOS])
def test_align_builds(name, build):
    config, purifier, hook = build(name)
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
    assert config.optim_wrapper.optimizer.type == 'Adam' and list(config.optim_wrapper.optimizer.betas) == [0.5, 0.999]
    assert config.default_hooks.checkpoint.backend_args.backend == 'atomic'
    assert config.default_hooks.checkpoint.get('max_keep_ckpts', -1) != 1
    scheduler, length = config.param_scheduler, config.train_cfg.max_epochs
    scheduler = scheduler if isinstance(scheduler, dict) else scheduler[-1]
    assert (scheduler.type, scheduler.end_factor, scheduler.begin, scheduler.end) == (
        'LinearLR',
        0,
        length // 2,
        length,
    )


@rows('align')
def test_align_has_the_terms_of_its_recipe(name, row, build):
    config, purifier, hook = build(name)
    names = [type(loss).__name__ for loss in hook.losses]
    number, layer = RECIPES[row.recipe]
    assert len(names) == len(set(names)) == number
    assert hook.feature_layer == (None if SCOPES.get(row.data) == 'mmdet' else layer)
    assert purifier.discriminator is not None
    assert purifier.condition_on_labels == (row.recipe == 'released' and config.default_scope != 'mmdet')
    (classes,) = (loss for loss in hook.losses if type(loss).__name__ == 'ClassAlignmentLoss')
    # Their sum drowns the rest from about 20 classes on.
    assert row.recipe != 'paper' or NUM_CLASSES[row.data] < 20
    assert (classes.pair_reduction == 'mean') == (row.recipe == 'many')
    assert config.auto_scale_lr.base_batch_size == config.train_dataloader.batch_size
    if row.data in SCOPES:
        assert purifier.channel_order == 'bgr'
    if SCOPES.get(row.data) == 'mmseg':
        assert purifier.native.size == config.crop_size
        assert purifier.native.seg_pad_val == config.get('ignore_index', 255)


DENSE_TARGETS = sorted(
    f'target/{path.stem}' for path in (CONFIGS / 'target').glob('*.py') if path.stem.rpartition('_')[2] in SCOPES
)
DENSE = [name for name, row in TABLE.items() if row.data in SCOPES]


@pytest.mark.parametrize('name', [*DENSE_TARGETS, *DENSE])
def test_data_and_evaluation(name, load):
    config, data = load(name), name.rpartition('_')[2].replace('voc0712', 'voc')
    assert config.default_scope == SCOPES[data]
    with DATASETS.switch_scope_and_registry(None) as registry:
        pass
    for loader in (config.train_dataloader, config.val_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            assert all(TRANSFORMS.build(dict(step)) for step in dataset.pipeline)
            classes = dataset.get('metainfo', {}).get('classes') or registry.get(dataset.type).METAINFO['classes']
            assert len(classes) == NUM_CLASSES[data]
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    assert config.val_dataloader.dataset.test_mode


@rows(*LEARNED)
def test_learned_purifiers_build(name, row, build):
    config, purifier, hook = build(name)
    assert type(purifier).__name__ == row.purifier and hook.losses and hook.task_weight == 0
    needs_discriminator = any(loss.needs_discriminator for loss in hook.losses)
    assert needs_discriminator == (getattr(purifier, 'discriminator', None) is not None)
    assert config.optim_wrapper.optimizer.type == 'Adam' and config.load_from, 'the target it protects'
    assert config.default_hooks.checkpoint.backend_args.backend == 'atomic'
    batch = {'ape_gan': 128, 'super_resolution': 16}.get(name.partition('/')[0], config.train_dataloader.batch_size)
    assert config.auto_scale_lr.base_batch_size == batch


@rows('hgd')
def test_hgd_builds(name, row, build):
    if row.purifier:
        assert isinstance(build(name).purifier, HGDPurifier)


@rows('oag', 'transforms')
def test_what_needs_no_training_cleans(name, row, load, make_images, tmp_path):
    config = load(name)
    settings = config.data_preprocessor
    if 'pixel-deflection' in name:
        pytest.importorskip('skimage')
        pytest.importorskip('pywt')
    if 'patches' in settings:
        settings.patches = str(tmp_path / 'patches.pth')
        PatchDatabase.draw([make_images(5, 3, 32, 32)], 'bgr').save(settings.patches)
    if name.startswith('oag/'):
        assert settings.num_steps >= 100
        settings.num_steps = 2
    purifier = MODELS.build(settings)
    assert isinstance(purifier, OnlinePurifier) == name.startswith('oag/')
    assert purifier.native.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    images = make_images(2, 3, 32, 32)
    assert purifier.clean(images).shape == images.shape
