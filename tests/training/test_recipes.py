"""What the command line makes of a config that says no more than it has to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import PretrainedInit
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import EpochBasedTrainLoop

import mmadvdefense
from mmadvdefense import purifiers
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.hosts import HOSTS
from mmadvdefense.pipelines import dataset_pipeline
from mmadvdefense.purifiers.trained.generator import DEFAULT_GENERATOR
from mmadvdefense.registry import HOOKS, builds
from mmadvdefense.training import preparation, purifier_config, recipes
from mmadvdefense.training.resume import keep_seed
from mmadvdefense.training.runner import protect_checkpoints

pytest.importorskip('mmpretrain')

NATIVE = dict(num_classes=10, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
PURIFIER = dict(type='AlignPurifier')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def _config(scope: str = 'mmpretrain', **settings: Any) -> Config:
    base = dict(
        default_scope=scope,
        model=dict(type='ImageClassifier', backbone=dict(type='CIFARResNet')),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9), accumulative_counts=3),
        param_scheduler=dict(type='MultiStepLR', milestones=[10]),
        train_cfg=dict(by_epoch=True, max_epochs=10),
        auto_scale_lr=dict(base_batch_size=128),
    )
    return Config({**base, **settings})


# Where the purifier stands -------------------------------------------------------------------------------------------


def test_finds_the_purifier_wherever_it_stands():
    assert purifier_config.purifier_config(_config()) is None
    assert purifier_config.purifier_config(_config(data_preprocessor=NATIVE)) is None, 'MMPretrain gives no type'
    assert purifier_config.purifier_config(_config(data_preprocessor=dict(NATIVE, type='ClsDataPreprocessor'))) is None
    top = _config(data_preprocessor=dict(NATIVE, **PURIFIER))
    assert purifier_config.purifier_config(top) is top.data_preprocessor and purifier_config.trains_purifier(top)
    own = _config(model=dict(type='ImageClassifier', data_preprocessor=PURIFIER))
    assert purifier_config.purifier_config(own) is own.model.data_preprocessor


def test_top_level_purifier_counts_where_the_model_has_a_copy():
    """MMSegmentation's ``data_preprocessor = dict(...)`` and ``model = dict(data_preprocessor=data_preprocessor)``, of
    which inheritance changes only the first."""
    pytest.importorskip('mmseg')
    native = dict(type='SegDataPreProcessor', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True, size=(8, 8))
    config = _config(
        'mmseg',
        data_preprocessor=dict(native, type='AlignPurifier', jpeg_quality=90),
        model=dict(type='EncoderDecoder', data_preprocessor=native),
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        purifier_config.prepare_purifier(config)
        purifier = mmadvdefense.registry.MODELS.build(config.model.data_preprocessor)
    assert type(purifier.native).__name__ == 'SegDataPreProcessor'
    assert purifier.native.mean.flatten().tolist() == [1.0, 2.0, 3.0] and purifier.native.size == (8, 8)
    assert purifier.jpeg_quality == 90 and purifier.channel_order == 'bgr'


def test_purifier_in_the_model_takes_mmpretrain_s_top_level_settings():
    """MMEngine lets the model's preprocessor win, and with it the mean and std it does not have."""
    config = _config(data_preprocessor=NATIVE, model=dict(type='ImageClassifier', data_preprocessor=PURIFIER))
    purifier_config.prepare_purifier(config)
    assert config.model.data_preprocessor == dict(**NATIVE, **PURIFIER)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmdet'])
@pytest.mark.parametrize('bare', ['model', 'top'])
def test_both_places_hold_the_whole_purifier(scope, bare):
    """Test-time augmentation takes the top-level one, the runner and inference the model's."""
    native = dict(type=HOSTS[scope].native_type, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
    own, top = (PURIFIER, native) if bare == 'model' else (native, PURIFIER)
    config = _config(scope, data_preprocessor=top, model=dict(type='Model', data_preprocessor=own))
    expected = dict(PURIFIER, native_type=native['type'], mean=native['mean'], std=native['std'])
    purifier_config.prepare_purifier(config)
    assert config.data_preprocessor == config.model.data_preprocessor == expected
    recipes.complete_purifier(config)
    assert config.data_preprocessor == config.model.data_preprocessor and 'generator' in config.data_preprocessor
    before = config.to_dict()
    purifier_config.prepare_purifier(config)
    assert config.to_dict() == before, 'a config that a run has written'


def test_two_purifiers(monkeypatch):
    """A config of an older version: merged in the model, bare at the top level. What both have is the model's."""
    logged = []
    monkeypatch.setattr(purifier_config, 'print_log', lambda message, *_: logged.append(message))
    whole = dict(NATIVE, **PURIFIER, working_size=(8, 8))

    def settled(**top):
        config = _config(data_preprocessor=top, model=dict(type='ImageClassifier', data_preprocessor=whole))
        purifier_config.prepare_purifier(config)
        assert config.data_preprocessor == config.model.data_preprocessor
        return config.data_preprocessor

    assert settled(**PURIFIER) == whole and settled(**PURIFIER, jpeg_quality=90) == dict(whole, jpeg_quality=90)
    assert not logged
    assert settled(type='mmengine.AlignPurifier', working_size=(4, 4)) == whole
    assert len(logged) == 1 and 'working_size is ignored' in logged[0]
    assert settled(type='JPEGPurifier', quality=75) == whole
    assert len(logged) == 2 and 'the whole JPEGPurifier is ignored' in logged[1]


@pytest.mark.parametrize('settings', [{}, dict(data_preprocessor=None)], ids=['missing', 'None'])
def test_a_model_without_a_preprocessor(settings):
    """MMEngine takes the top-level one where the model's key is missing; inference of two hosts knows no other."""
    config = _config('mmdet', data_preprocessor=dict(NATIVE, **PURIFIER), model=dict(type='RetinaNet', **settings))
    purifier_config.prepare_purifier(config)
    assert config.model.data_preprocessor == config.data_preprocessor == dict(NATIVE, **PURIFIER)
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), model=dict(type='ImageClassifier', **settings))
    purifier_config.prepare_purifier(config)
    assert 'data_preprocessor' not in config.model


def test_a_purifier_inside_test_time_augmentation():
    own = dict(type='ImageClassifier', data_preprocessor=PURIFIER)
    config = _config(data_preprocessor=NATIVE, model=dict(type='AverageClsScoreTTA', module=own))
    purifier_config.prepare_purifier(config)
    expected = dict(NATIVE, **PURIFIER)
    assert config.model.module.data_preprocessor == config.data_preprocessor == expected
    assert 'data_preprocessor' not in config.model


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (None, dict(imports=['mmadvdefense'])),
        (dict(imports=None), dict(imports=['mmadvdefense'])),
        (dict(imports='my_module'), dict(imports=['my_module', 'mmadvdefense'])),
        (dict(imports=['a', 'mmadvdefense']), dict(imports=['a', 'mmadvdefense'])),
        (
            dict(imports=['a'], allow_failed_imports=True),
            dict(imports=['a', 'mmadvdefense'], allow_failed_imports=True),
        ),
        ('my_module', dict(imports=['my_module', 'mmadvdefense'])),
        (['a', 'b'], dict(imports=['a', 'b', 'mmadvdefense'])),
    ],
    ids=str,
)
def test_custom_imports_of_any_form(given, expected):
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), custom_imports=given)
    purifier_config.prepare_purifier(config)
    assert config.custom_imports == {'allow_failed_imports': False, **expected}


@pytest.mark.parametrize('kind', ['AlignPurifier', 'mmengine.AlignPurifier', purifiers.AlignPurifier], ids=str)
def test_settings_over_a_purifier_reach_every_place(kind):
    whole = dict(NATIVE, type=kind)
    config = _config(data_preprocessor=whole, model=dict(type='ImageClassifier', data_preprocessor=whole))
    purifier_config.override_purifier(config, dict(jpeg_quality=80))
    assert config.data_preprocessor.jpeg_quality == config.model.data_preprocessor.jpeg_quality == 80
    plain = _config(data_preprocessor=None)
    purifier_config.override_purifier(plain, dict(type='JPEGPurifier'))
    assert plain.data_preprocessor == dict(type='JPEGPurifier') and 'data_preprocessor' not in plain.model


def test_nothing_to_settle():
    top = _config(data_preprocessor=dict(NATIVE, **PURIFIER))
    purifier_config.prepare_purifier(top)
    assert 'data_preprocessor' not in top.model and top.data_preprocessor == dict(NATIVE, **PURIFIER)
    assert top.custom_imports.imports == ['mmadvdefense'], "for the host's own tools"
    purifier_config.prepare_purifier(top)
    assert top.custom_imports.imports == ['mmadvdefense']
    plain = _config(data_preprocessor=NATIVE)
    before = plain.to_dict()
    for settle in (purifier_config.prepare_purifier, recipes.complete_purifier, recipes.complete_training):
        settle(plain)
    assert plain.to_dict() == before


CONDITIONED = dict(PURIFIER, condition_on_labels=True, discriminator=dict(type='MultiscaleDiscriminator'))


@pytest.mark.parametrize(
    ('scope', 'heads', 'channels'),
    [
        # The head counts, not what was left of another data set in the preprocessor.
        ('mmpretrain', dict(head=dict(type='LinearClsHead', num_classes=7)), 10),
        ('mmseg', dict(decode_head=dict(type='FCNHead', num_classes=19)), 22),
        ('mmseg', dict(decode_head=[dict(type='FCNHead', num_classes=2), dict(type='FCNHead', num_classes=5)]), 8),
    ],
)
def test_a_conditioned_discriminator_takes_the_classes_of_the_head(scope, heads, channels):
    config = _config(scope, model=dict(type='Model', data_preprocessor=CONDITIONED, **heads))
    purifier_config.prepare_purifier(config)
    assert config.model.data_preprocessor.discriminator.in_channels == channels
    explicit = dict(CONDITIONED, discriminator=dict(type='MultiscaleDiscriminator', in_channels=4))
    config = _config(scope, model=dict(type='Model', data_preprocessor=explicit, **heads))
    purifier_config.prepare_purifier(config)
    assert config.model.data_preprocessor.discriminator.in_channels == 4


def test_the_recipe_s_discriminator_is_conditioned_too():
    config = _config(
        model=dict(type='ImageClassifier', head=dict(type='LinearClsHead', num_classes=7)),
        data_preprocessor=dict(NATIVE, **PURIFIER, condition_on_labels=True),
    )
    purifier_config.prepare_purifier(config)
    recipes.complete_training(config)
    assert config.data_preprocessor.discriminator.in_channels == 10


# The default recipe --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('method', 'default'), [('align', DEFAULT_GENERATOR), ('hgd', dict(type='DUNet'))], ids=['align', 'hgd']
)
@pytest.mark.parametrize('scope', sorted(recipes.DEFAULT_RECIPES))
def test_recipes_are_complete(scope, method, default):
    recipe = Config.fromfile(recipes.CONFIGS / recipes.DEFAULT_RECIPES[scope].format(method))
    # Where nothing applies the recipe (the host's own inference), the purifier builds its own default.
    generator = recipe.data_preprocessor.generator
    assert {key: list(v) if isinstance(v, tuple) else v for key, v in generator.items()} == {
        key: list(v) if isinstance(v, tuple) else v for key, v in default.items()
    }
    (hook,) = recipe.custom_hooks
    assert hook.type == 'PurifierTrainHook' and hook.attack and hook.losses
    PurifierTrainHook(**{key: value for key, value in hook.items() if key != 'type'})
    assert not any(loss.type == 'PerceptualLoss' for loss in hook.losses), 'nothing to download'


def test_completes_one_line():
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), custom_hooks=[dict(type='EMAHook')])
    recipes.complete_training(config)
    assert [hook.type for hook in config.custom_hooks] == ['EMAHook', 'PurifierTrainHook']
    assert config.data_preprocessor.generator.type == 'DUNet'
    assert config.data_preprocessor.discriminator.type == 'MultiscaleDiscriminator'
    assert config.optim_wrapper.optimizer.type == 'Adam' and 'momentum' not in config.optim_wrapper.optimizer
    assert config.optim_wrapper.accumulative_counts == 3
    assert [(s.type, s.begin, s.end) for s in config.param_scheduler] == [('LinearLR', 5, 10)]
    assert config.get('auto_scale_lr', {}).get('base_batch_size') != 128, "that was SGD's"
    once = config.to_dict()
    recipes.complete_training(config)
    assert config.to_dict() == once


class OwnHook(PurifierTrainHook):
    pass


@pytest.mark.parametrize(
    'hook',
    [PurifierTrainHook, 'mmengine.PurifierTrainHook', 'mmadvdefense.hooks.PurifierTrainHook', OwnHook],
    ids=str,
)
@pytest.mark.parametrize('purifier', [purifiers.AlignPurifier, 'mmengine.AlignPurifier'], ids=str)
def test_a_complete_config_is_left_alone_whatever_its_types_are(hook, purifier):
    config = _config(
        data_preprocessor=dict(NATIVE, type=purifier),
        custom_hooks=[dict(type=hook, attack=dict(type='FGSM', eps=8))],
        train_cfg=dict(type=EpochBasedTrainLoop, max_epochs=10),
    )
    assert purifier_config.trains_purifier(config)
    recipes.complete_training(config)
    assert [h.type for h in config.custom_hooks] == [hook] and config.optim_wrapper.optimizer.type == 'SGD'


@pytest.mark.parametrize(
    'hooks',
    [None, (), [EMAHook(momentum=0.1)], (dict(type=EMAHook),)],
    ids=['none', 'empty', 'an object in a list', 'a class in a tuple'],
)
def test_one_line_beside_hooks_of_any_form(hooks):
    config = _config(
        data_preprocessor=dict(NATIVE, type=purifiers.AlignPurifier),
        custom_hooks=hooks,
        train_cfg=dict(type=EpochBasedTrainLoop, max_epochs=10),
    )
    recipes.complete_training(config)
    assert builds(config.custom_hooks[-1], 'PurifierTrainHook', HOOKS)
    assert len(config.custom_hooks) == 1 + len(hooks or ())
    assert [(s.begin, s.end, s.by_epoch) for s in config.param_scheduler] == [(5, 10, True)]


def test_one_line_without_what_a_recipe_replaces():
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), optim_wrapper=None, param_scheduler=None)
    recipes.complete_training(config)
    assert config.optim_wrapper.optimizer.type == 'Adam' and 'accumulative_counts' not in config.optim_wrapper
    for train_cfg in (None, dict(type='OwnLoop', length=3)):
        with pytest.raises(ValueError, match='neither max_epochs nor max_iters'):
            recipes.complete_training(_config(data_preprocessor=dict(NATIVE, **PURIFIER), train_cfg=train_cfg))


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', AmpOptimWrapper], ids=str)
def test_mixed_precision_is_kept(kind, monkeypatch):
    wrapper = dict(type=kind, loss_scale=512.0, dtype='bfloat16', optimizer=dict(type='SGD', lr=0.1), clip_grad=None)

    def completed():
        config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), optim_wrapper=wrapper)
        recipes.complete_training(config)
        assert config.optim_wrapper.optimizer.type == 'Adam' and 'clip_grad' not in config.optim_wrapper
        return config.optim_wrapper

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    on_gpu = completed()
    assert (on_gpu.type, on_gpu.loss_scale, on_gpu.dtype) == (kind, 512.0, 'bfloat16')
    # Where MMEngine's wrapper refuses to run.
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    on_cpu = completed()
    assert on_cpu.type == 'BFloat16OptimWrapper' and not {'loss_scale', 'dtype'} & set(on_cpu)


def test_another_method_has_its_own_recipe():
    config = _config(data_preprocessor=dict(NATIVE, type='HGDPurifier'))
    assert recipes.default_recipe(config) == '_base_/defenses/hgd_default_cls.py'
    recipes.complete_training(config)
    assert config.data_preprocessor == dict(NATIVE, type='HGDPurifier', generator=dict(type='DUNet'))
    (hook,) = config.custom_hooks
    assert hook.train_on == 'adversarial' and hook.feature_layer == 'logits' and hook.labels == 'predicted'
    assert [attack.attack.type for attack in hook.attack] == ['FGSM', 'IFGSM', 'IFGSM', 'IFGSM']


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
def test_a_smoothed_purifier_is_trained_on_its_own_noise(scope):
    config = _config(data_preprocessor=dict(NATIVE, type='SmoothedPurifier', sigma=30.6), default_scope=scope)
    recipes.complete_training(config)
    assert config.data_preprocessor.generator == DEFAULT_GENERATOR and 'discriminator' not in config.data_preprocessor
    (hook,) = config.custom_hooks
    assert hook.attack == dict(type='GaussianNoise', sigma=30.6) and hook.train_on == 'adversarial'
    PurifierTrainHook(**{key: value for key, value in hook.items() if key != 'type'})


def test_a_detector_has_no_recipe_for_what_is_not_certified():
    config = _config(data_preprocessor=dict(NATIVE, type='SmoothedPurifier', sigma=30.6), default_scope='mmdet')
    message = 'SmoothedPurifier has no default recipe for mmdet, only for mmpretrain and mmseg: take another'
    with pytest.raises(ValueError, match=message):
        recipes.complete_training(config)


def test_what_the_config_says_stays():
    network = dict(type='GlobalGenerator', base_channels=8)
    config = _config(data_preprocessor=dict(NATIVE, generator=network, **PURIFIER))
    recipes.complete_purifier(config)
    assert config.data_preprocessor.generator == network
    # An export brings its own generator.
    export = dict(type='Pretrained', checkpoint='purifier.pth')
    config = _config(data_preprocessor=dict(NATIVE, init_cfg=export, **PURIFIER))
    recipes.complete_training(config)
    assert 'generator' not in config.data_preprocessor and 'discriminator' in config.data_preprocessor
    # So does a config with a hook: it is complete.
    hook = dict(type='PurifierTrainHook', attack=dict(type='FGSM', eps=8))
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER), custom_hooks=[hook])
    recipes.complete_training(config)
    assert config.data_preprocessor == dict(NATIVE, **PURIFIER) and config.optim_wrapper.optimizer.type == 'SGD'


@pytest.mark.parametrize(
    'purifier',
    [
        dict(type='JPEGPurifier', quality=75),
        dict(type='PurifierChain', purifiers=[dict(type='MeanFilterPurifier'), dict(type='AlignPurifier')]),
    ],
    ids=lambda purifier: purifier['type'],
)
def test_a_purifier_that_is_not_trained_is_complete(purifier, monkeypatch):
    """It gets no networks, and the recipe of training is the model's own."""
    config = _config(data_preprocessor=dict(NATIVE, **purifier))
    assert purifier_config.purifier_config(config) is config.data_preprocessor and not purifier_config.trains_purifier(
        config
    )
    before = config.to_dict()
    recipes.complete_purifier(config)
    assert config.to_dict() == before
    logged = []
    monkeypatch.setattr(recipes, 'print_log', lambda message, _: logged.append(message))
    recipes.complete_training(config)
    assert config.to_dict() == before
    assert logged == [f'{purifier["type"]} is not trained: training the model itself, on purified images']
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    preparation.prepare_distributed(config, 'pytorch')
    assert 'model_wrapper_cfg' not in config, 'one that freezes the model would leave nothing to train'


def test_testing_needs_no_training_settings():
    config = Config(dict(default_scope='mmpretrain', model={}, data_preprocessor=dict(NATIVE, **PURIFIER)))
    recipes.complete_purifier(config)
    assert config.data_preprocessor.generator.type == 'DUNet' and 'custom_hooks' not in config


def test_a_scope_without_a_recipe():
    config = _config('mmpose', data_preprocessor=dict(PURIFIER, native_type='mmpretrain.ClsDataPreprocessor'))
    recipes.complete_purifier(config)
    with pytest.raises(ValueError, match="no default recipe for default_scope='mmpose'; known: .*mmpretrain"):
        recipes.complete_training(config)


@pytest.mark.parametrize(
    'train_cfg',
    [
        dict(by_epoch=True, max_epochs=4),
        dict(type='EpochBasedTrainLoop', max_epochs=4),
        dict(by_epoch=False, max_iters=40),
        dict(type='IterBasedTrainLoop', max_iters=40),
        dict(type=EpochBasedTrainLoop, max_epochs=4),
        dict(type='mmengine.EpochBasedTrainLoop', max_epochs=4),
        dict(type='mmengine.IterBasedTrainLoop', max_iters=40),
        dict(max_epochs=4),
        dict(by_epoch=True, max_epochs=2),
        dict(by_epoch=True, max_epochs=1),
    ],
)
def test_linear_decay(train_cfg):
    """Constant over the first half, then a line down to 0, as MMEngine's runner builds and steps it."""
    from mmengine.registry import PARAM_SCHEDULERS

    by_epoch = 'max_epochs' in train_cfg
    length = train_cfg.get('max_epochs', 4) * 10
    wrapper = OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0))
    schedulers = []
    for scheduler in recipes.linear_decay(Config(train_cfg)):
        cls = PARAM_SCHEDULERS.get(scheduler.pop('type'))
        build = cls
        if scheduler.pop('convert_to_iter_based', False):
            build, scheduler['epoch_length'] = cls.build_iter_from_epoch, 10
        assert by_epoch == scheduler.get('by_epoch')
        schedulers.append(build(optimizer=wrapper, **scheduler))
    rates = []
    for _ in range(length):
        rates += wrapper.get_lr()['lr']
        for scheduler in schedulers:
            scheduler.step()
    if length == 10:
        assert rates == [1.0] * 10, 'one epoch has no second half to speak of'
        return
    half = length // 2
    expected = [1.0] * half + [1 - step / (half - 1) for step in range(half)]
    assert rates == pytest.approx(expected, abs=1e-6)


# The rest ------------------------------------------------------------------------------------------------------------


def test_no_needless_download():
    pretrained = dict(type='Pretrained', checkpoint='torchvision://resnet50')
    kaiming = dict(type='Kaiming')
    export = dict(type='Pretrained', checkpoint='purifier.pth')
    model = Config(
        dict(
            pretrained='open-mmlab://resnet50',
            backbone=dict(init_cfg=pretrained, stem=dict(init_cfg=kaiming)),
            heads=[dict(init_cfg=pretrained)],
            neck=dict(init_cfg=[kaiming, dict(pretrained, type=PretrainedInit)]),
            stages=[dict(init_cfg=[dict(pretrained, type='mmengine.Pretrained')])],
            data_preprocessor=dict(type='AlignPurifier', init_cfg=export),
        )
    )
    preparation.drop_pretrained_backbones(model._cfg_dict)
    assert model.pretrained is model.backbone.init_cfg is model.heads[0].init_cfg is None
    assert model.backbone.stem.init_cfg == kaiming
    assert model.neck.init_cfg == [kaiming] and model.stages[0].init_cfg is None
    assert model.data_preprocessor.init_cfg == export, "a purifier's own"


def test_dataloaders_as_mmpretrain_s_tools_set_them():
    config = _config(train_dataloader=dict(batch_size=2), val_dataloader=dict(collate_fn=dict(type='pseudo_collate')))
    preparation.prepare_dataloaders(config)
    assert config.train_dataloader.collate_fn.type == 'default_collate'
    assert config.val_dataloader.collate_fn.type == 'pseudo_collate'
    other = _config('mmdet', train_dataloader=dict(batch_size=2))
    preparation.prepare_dataloaders(other)
    assert other.train_dataloader == dict(batch_size=2)


def test_pipeline_of_data_sets_made_of_others():
    load, mix, pack = (dict(type=name) for name in ('LoadImageFromFile', 'Mosaic', 'PackInputs'))
    plain = dict(type='CustomDataset', pipeline=[load, pack])
    assert dataset_pipeline(plain) == [load, pack] and dataset_pipeline(None) == []
    assert dataset_pipeline(dict(type='RepeatDataset', times=2, dataset=plain)) == [load, pack]
    joined = dict(type='ConcatDataset', datasets=[plain, plain])
    assert dataset_pipeline(dict(type='RepeatDataset', dataset=joined, pipeline=None)) == [load, pack]
    inner = dict(plain, pipeline=[load])
    assert dataset_pipeline(dict(type='Mix', dataset=inner, pipeline=[mix, pack])) == [load, mix, pack]


@pytest.mark.parametrize(
    ('hooks', 'expected'),
    [
        ('missing', dict(type='CheckpointHook', backend_args=dict(backend='atomic'))),
        (None, dict(type='CheckpointHook', backend_args=dict(backend='atomic'))),
        (dict(checkpoint=dict(backend_args=None)), dict(backend_args=dict(backend='atomic'))),
        (dict(checkpoint=dict(interval=5, max_keep_ckpts=1)), dict(interval=5, max_keep_ckpts=2)),
        (dict(checkpoint=dict(backend_args=dict(backend='petrel'))), dict(backend_args=dict(backend='petrel'))),
        (dict(checkpoint=None), None),
    ],
)
def test_checkpoints(hooks, expected):
    config = _config(**({} if hooks == 'missing' else dict(default_hooks=hooks)))
    protect_checkpoints(config)
    checkpoint = config.default_hooks.checkpoint
    assert checkpoint is None if expected is None else {**checkpoint, **expected} == checkpoint


def test_seed_of_the_resumed_run(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': {'weight': torch.zeros(3)}, 'meta': {'seed': 17}}, path)
    config = _config(load_from=str(path), resume=True)
    keep_seed(config)
    assert config.randomness.seed == 17
    config = _config(load_from=str(path), resume=True, randomness=None)
    keep_seed(config)
    assert config.randomness.seed == 17
    fresh = _config(load_from=str(path), resume=False, randomness=dict(seed=None))
    keep_seed(fresh)
    assert fresh.randomness.seed is None
    torch.save({'state_dict': {}}, path)
    keep_seed(_config(load_from=str(path), resume=True))


def test_one_process_needs_no_wrapper():
    config = _config(data_preprocessor=dict(NATIVE, **PURIFIER))
    preparation.prepare_distributed(config, 'none')
    assert 'model_wrapper_cfg' not in config


def test_wrappers(monkeypatch):
    """Which wrapper, and none of a device on the CPU; that it works is tested with two processes."""
    groups = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.distributed, 'init_process_group', groups.append)
    protected = dict(data_preprocessor=dict(NATIVE, **PURIFIER))
    for settings, training, expected in (
        (protected, True, 'PurifierDistributedDataParallel'),
        (protected, False, 'MMDistributedDataParallel'),
        ({}, True, 'MMDistributedDataParallel'),
        (dict(protected, model_wrapper_cfg=dict(type='MyWrapper', gradient=1)), True, 'MyWrapper'),
    ):
        config = _config(**settings)
        preparation.prepare_distributed(config, 'pytorch', training)
        assert config.model_wrapper_cfg.type == expected and config.model_wrapper_cfg.device_ids is None
    assert config.model_wrapper_cfg.gradient == 1 and groups == ['gloo'] * 4
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    config = _config(**protected)
    preparation.prepare_distributed(config, 'pytorch')
    assert config.model_wrapper_cfg == dict(type='PurifierDistributedDataParallel') and len(groups) == 4
