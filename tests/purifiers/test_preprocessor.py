"""A purifier stands in for the native preprocessor it wraps, in every position and for every kind of input."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.purifiers import STEP, AlignPurifier

pytest.importorskip('mmpretrain')

NATIVE = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, num_classes=10)
# Its last layer starts at zero: the images come out as they went in.
IDENTITY = dict(type='DUNet', widths=(4, 8), encoder_units=(1, 1), decoder_units=(1,))
# Random, and different for every pixel.
RANDOM = dict(type='GlobalGenerator', base_channels=4, num_downsamples=2, num_blocks=1)


def build(scope: str = 'mmpretrain', trained: bool = True, **settings) -> AlignPurifier:
    with DefaultScope.overwrite_default_scope(scope), torch.random.fork_rng():
        torch.manual_seed(0)
        purifier = MODELS.build(dict(type='AlignPurifier', **{**NATIVE, 'generator': IDENTITY, **settings}))
    purifier.num_updates += trained
    return purifier.eval()


def build_native(**settings):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(dict(type='ClsDataPreprocessor', **NATIVE, **settings))


def _step(clean, adversarial) -> SimpleNamespace:
    """What the purifier knows of a training step."""
    return SimpleNamespace(clean=clean, adversarial=adversarial, purifies_clean=True, images=None)


@pytest.fixture
def images(make_images):
    return make_images(4, 3, 16, 12).to(torch.uint8)


# The native preprocessor ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize('to_list', [False, True], ids=['tensor', 'list'])
@pytest.mark.parametrize('working_size', [None, (16, 12)])
@torch.no_grad()
def test_identity_generator_equals_the_native_preprocessor(images, make_samples, to_list, working_size):
    inputs = list(images) if to_list else images
    expected = build_native()(dict(inputs=inputs, data_samples=make_samples(4)))
    ours = build(working_size=working_size)(dict(inputs=inputs, data_samples=make_samples(4)))
    assert (ours['inputs'] - expected['inputs']).abs().max() <= 1e-4 / min(NATIVE['std'])
    assert [int(s.gt_label) for s in ours['data_samples']] == [int(s.gt_label) for s in expected['data_samples']]


@torch.no_grad()
def test_takes_the_arguments_of_the_native_preprocessor(images):
    purifier = build(pad_size_divisor=10, pad_value=3, to_onehot=True)
    expected = build_native(pad_size_divisor=10, pad_value=3)(dict(inputs=images))
    ours = purifier(dict(inputs=images))
    assert ours['inputs'].shape == (4, 3, 20, 20)
    assert torch.allclose(ours['inputs'], expected['inputs'], atol=1e-5)
    assert purifier.native.to_onehot
    with pytest.raises(ValueError, match="takes no 'no_such_argument', and neither does ClsDataPreprocessor"):
        build(no_such_argument=1)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg', 'mmdet'])
def test_wraps_the_preprocessor_of_the_default_scope(scope):
    pytest.importorskip(scope)
    settings = dict(mean=NATIVE['mean'], std=NATIVE['std'], bgr_to_rgb=True)
    if scope == 'mmpretrain':
        settings = dict(NATIVE)
    with DefaultScope.overwrite_default_scope(scope):
        purifier = MODELS.build(dict(type='AlignPurifier', generator=IDENTITY, **settings))
    assert type(purifier.native).__module__.startswith(scope)
    assert purifier.channel_order == 'bgr'


def test_a_scope_without_a_preprocessor():
    with pytest.raises(ValueError, match="default scope 'mmengine'.*native_type="):
        build('mmengine')
    assert (
        type(build('mmengine', native_type='mmpretrain.ClsDataPreprocessor').native).__name__ == 'ClsDataPreprocessor'
    )


@torch.no_grad()
def test_batch_augmentations_do_not_touch_the_images(images, make_samples):
    """``ImageClassifier(train_cfg)`` puts them into its preprocessor; they would mix what no attack has seen."""
    mixup = dict(augments=dict(type='Mixup', alpha=1.0))
    loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='CIFARResNet', depth=8),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=64, loss=loss),
                train_cfg=mixup,
                data_preprocessor=dict(type='AlignPurifier', generator=IDENTITY, **NATIVE),
            )
        )
    purifier = model.data_preprocessor
    assert purifier.native.batch_augments is None
    step = _step(images.float(), images.float() + 1)
    data = {'inputs': images, 'data_samples': make_samples(4), STEP: step}
    output = purifier(data, training=True)
    expected = build_native()(dict(inputs=torch.cat([images.float(), (images.float() + 1).clamp(0, 255)])))
    assert torch.allclose(output['inputs'], expected['inputs'], atol=1e-4)
    # The host's loss may want the soft labels that come with such augmentations.
    assert [sample.gt_score.argmax() for sample in output['data_samples']] == [0, 1, 2, 3] * 2
    assert all(sample.gt_score.sum() == 1 for sample in output['data_samples'])


DISCRIMINATOR = dict(type='MultiscaleDiscriminator', base_channels=4, num_scales=1)


def _channels(purifier) -> int:
    return next(purifier.discriminator.parameters()).shape[1]


def test_a_conditioned_discriminator_takes_as_many_channels_as_there_are_classes():
    assert _channels(build(discriminator=DISCRIMINATOR)) == 3
    assert _channels(build(discriminator=DISCRIMINATOR, condition_on_labels=True)) == 3 + NATIVE['num_classes']
    explicit = dict(DISCRIMINATOR, in_channels=7)
    assert _channels(build(discriminator=explicit, condition_on_labels=True)) == 7
    assert build(condition_on_labels=True).discriminator is None
    with pytest.raises(ValueError, match=r'condition_on_labels needs the number of classes.*in_channels=3 \+'):
        build(discriminator=DISCRIMINATOR, condition_on_labels=True, num_classes=None)


# Both positions in a config ------------------------------------------------------------------------------------------


def _model(**changes) -> ConfigDict:
    return ConfigDict(
        type='ImageClassifier',
        backbone=dict(type='CIFARResNet', depth=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
        **changes,
    )


@pytest.mark.parametrize('position', ['model', 'top'])
def test_one_line_in_either_position(position, tmp_path):
    """Config inheritance merges the line into the preprocessor that is there."""
    native = dict(NATIVE)
    base = dict(default_scope='mmpretrain', model=_model())
    if position == 'model':
        base['model']['data_preprocessor'] = native
        line = "model = dict(data_preprocessor=dict(type='AlignPurifier'))"
    else:
        base['data_preprocessor'] = native
        line = "data_preprocessor = dict(type='AlignPurifier')"
    Config(base).dump(tmp_path / 'base.py')
    (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\n{line}\n")
    from mmadvdefense.models import build_model

    model = build_model(str(tmp_path / 'child.py'))
    assert type(model.data_preprocessor) is AlignPurifier
    assert model.data_preprocessor.native.mean.flatten().tolist() == pytest.approx(NATIVE['mean'])
    assert model.data_preprocessor.native.to_rgb is True


# Inputs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('working_size', [None, (8, 8)])
@pytest.mark.parametrize('same_size', [True, False])
@torch.no_grad()
def test_no_image_depends_on_its_neighbours(make_images, working_size, same_size):
    sizes = [(16, 12), (16, 12)] if same_size else [(16, 12), (9, 20), (16, 12), (13, 13)]
    images = [make_images(3, *size, seed=i) for i, size in enumerate(sizes)]
    purifier = build(generator=RANDOM, working_size=working_size)
    together = purifier.purify(images)
    for image, purified in zip(images, together):
        assert purified.shape == image.shape
        assert torch.allclose(purifier.purify([image])[0], purified, atol=1e-3)
        assert torch.allclose(purifier.purify(image[None])[0], purified, atol=1e-3)
        assert 0 <= purified.min() and purified.max() <= 255
        assert not torch.allclose(purified, image, atol=1)


@torch.no_grad()
def test_eval_mode_of_a_generator_with_batch_norm(make_images):
    purifier = build()
    torch.nn.init.normal_(purifier.generator.head.weight)
    images = make_images(5, 3, 16, 12)
    assert torch.allclose(purifier.purify(images)[:2], purifier.purify(images[:2]), atol=1e-3)


@torch.no_grad()
def test_working_size(make_images):
    """Resized for the generator, and back: with an identity in between, twice interpolated."""
    sizes = []
    purifier = build(working_size=(8, 6))
    purifier.generator.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape)))
    images = make_images(2, 3, 16, 12)
    purified = purifier.purify(images)
    assert sizes == [(2, 3, 8, 6)] and purified.shape == images.shape
    small = torch.nn.functional.interpolate(images, (8, 6), mode='bilinear', align_corners=True)
    back = torch.nn.functional.interpolate(small, (16, 12), mode='bilinear', align_corners=True)
    assert torch.allclose(purified, back, atol=1e-3)
    # Images of other sizes go through the generator in the same run.
    purifier.purify([images[0], make_images(3, 20, 9)])
    assert sizes[1] == (2, 3, 8, 6)


@torch.no_grad()
def test_sizes_that_the_generator_cannot_halve(make_images):
    purified = build(generator=RANDOM).purify(make_images(2, 3, 13, 10))
    assert purified.shape == (2, 3, 13, 10) and purified.isfinite().all()


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('to_list', [False, True], ids=['tensor', 'list'])
def test_images_without_three_channels(channels, to_list, make_samples):
    images = torch.zeros(2, channels, 8, 8)
    data = dict(inputs=list(images) if to_list else images)
    with pytest.raises(ValueError, match=rf'image 0 of the batch has shape \({channels}, 8, 8\).*3 channels'):
        build()(data)
    with pytest.raises(ValueError, match=r'images/0\.png has shape'):
        build()(dict(data, data_samples=make_samples(2)))


# JPEG ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
@pytest.mark.parametrize('to_list', [False, True], ids=['tensor', 'list'])
@torch.no_grad()
def test_jpeg_by_hand(make_images, order, to_list):
    """cv2 takes BGR, whatever the pipeline loaded."""
    images = make_images(2, 3, 16, 24)
    purifier = build(jpeg_quality=60, channel_order=order, to_rgb=False)
    outputs = purifier(dict(inputs=list(images) if to_list else images))['inputs']
    mean, std = (torch.tensor(NATIVE[key]).view(3, 1, 1) for key in ('mean', 'std'))
    for image, output in zip(images, outputs):
        array = image.permute(1, 2, 0).numpy().astype(np.uint8)
        bgr = array if order == 'bgr' else cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
        decoded = cv2.imdecode(cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
        decoded = decoded if order == 'bgr' else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        assert np.abs(decoded.astype(int) - array).max() > 5, 'it does compress'
        expected = torch.from_numpy(decoded.astype(np.float32)).permute(2, 0, 1)
        assert torch.allclose(output, (expected - mean) / std, atol=1e-4)


@torch.no_grad()
def test_jpeg_at_test_time_only(images):
    purifier = build(jpeg_quality=10)
    assert purifier.channel_order == 'bgr', 'read off to_rgb'
    data = dict(inputs=images)
    trained = {**data, STEP: _step(images.float(), images.float())}
    expected = build_native()(dict(inputs=images))['inputs']
    assert torch.allclose(purifier(trained, training=True)['inputs'], expected.repeat(2, 1, 1, 1), atol=1e-4)
    assert not torch.allclose(purifier(data)['inputs'], expected, atol=0.05)


def test_jpeg_settings():
    with pytest.raises(ValueError, match='jpeg_quality must be in 1-100, got 0'):
        build(jpeg_quality=0)
    with pytest.raises(ValueError, match="jpeg_quality needs channel_order='bgr' or 'rgb'"):
        build(jpeg_quality=90, to_rgb=False)
    with pytest.raises(ValueError, match="channel_order must be 'bgr' or 'rgb'.*got 'gbr'"):
        build(channel_order='gbr')


# Training, state, device ---------------------------------------------------------------------------------------------


def test_training_is_one_batch_of_clean_and_adversarial(make_images, make_samples):
    purifier = build(generator=RANDOM).train()
    calls = []
    purifier.generator.register_forward_pre_hook(lambda _, args: calls.append(len(args[0])))
    clean, adversarial = make_images(3, 3, 16, 12), make_images(3, 3, 16, 12, seed=2)
    samples = make_samples(3)
    step = _step(clean, adversarial)
    data = {'inputs': clean, 'data_samples': samples, STEP: step}
    output = purifier(data, training=True)
    assert calls == [6] and len(output['inputs']) == 6
    assert [int(sample.gt_label) for sample in output['data_samples']] == [0, 1, 2, 0, 1, 2]
    assert len({id(sample) for sample in output['data_samples']}) == 6, 'the halves do not share samples'
    assert torch.allclose(step.images.clean, clean / 127.5 - 1)
    assert torch.allclose(step.images.adversarial, adversarial / 127.5 - 1)
    assert torch.allclose(step.images.purified_clean, purifier.generator(clean / 127.5 - 1), atol=1e-5)
    assert step.images.purified_adversarial.requires_grad
    assert output[STEP] is step and STEP not in data, 'handed on, and not kept'


def test_training_needs_adversarial_images(images):
    with pytest.raises(RuntimeError, match='no adversarial images to train on.*PurifierTrainHook.*tools/train.py'):
        build()(dict(inputs=images), training=True)


def test_untrained_is_an_error_at_test_time(images):
    purifier = build(trained=False)
    with pytest.raises(RuntimeError, match='AlignPurifier is untrained.*tools/train.py.*init_cfg'):
        purifier(dict(inputs=images))
    purifier.enabled = False
    expected = build_native()(dict(inputs=images))['inputs']
    assert torch.equal(purifier(dict(inputs=images))['inputs'], expected), 'without the purifier it is not needed'


def test_state_dict_round_trip(images):
    trained = build(generator=RANDOM)
    trained.num_updates += 41
    fresh = build(generator=RANDOM, trained=False)
    torch.nn.init.normal_(fresh.generator.head.weight)
    fresh.load_state_dict(copy.deepcopy(trained.state_dict()))
    assert int(fresh.num_updates) == 42
    with torch.no_grad():
        assert torch.equal(fresh(dict(inputs=images))['inputs'], trained(dict(inputs=images))['inputs'])


def test_the_native_preprocessor_follows_to_another_device(images):
    purifier = build(generator=RANDOM)
    purifier.check_ready()
    moved = copy.deepcopy(purifier).to('meta')
    assert moved.device.type == moved.native.device.type == 'meta'
    assert moved(dict(inputs=images))['inputs'].device.type == 'meta'
    model = torch.nn.Sequential(purifier)
    model.to(torch.float64).to(torch.float32)
    assert purifier.to('cpu') is purifier and purifier.cpu() is purifier
    assert purifier.device.type == purifier.native.device.type == 'cpu'


def test_a_model_takes_its_purifier_along(make_classifier, images):
    model = make_classifier(type='AlignPurifier', generator=RANDOM).to('meta')
    model.data_preprocessor._known_trained = True
    assert model.data_preprocessor(dict(inputs=images))['inputs'].device.type == 'meta'


def test_soft_labels_are_floats(images, make_samples):
    """The cross-entropy of a host that was trained with Mixup takes no one-hot labels of integers."""
    purifier = build(num_classes=5, batch_augments=dict(augments=dict(type='Mixup', alpha=0.2)))
    samples = purifier.native(dict(inputs=images, data_samples=make_samples(4)))['data_samples']
    assert [sample.gt_score.tolist() for sample in samples] == torch.eye(5)[:4].tolist()
    assert all(sample.gt_score.dtype == torch.float32 for sample in samples)
    assert purifier.native(dict(inputs=images))['data_samples'] is None
