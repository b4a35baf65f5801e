"""What data loaders give and sources see: refused, converted, or said in the table."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner

from mmadvdefense.attacks import Attack, AttackSource, EnsembleSource, build_attack
from mmadvdefense.hooks import AttackHook
from mmadvdefense.models import build_model
from mmadvdefense.registry import ATTACKS
from mmadvdefense.threats import UnsupportedAttackError, build_source
from mmadvdefense.training.training_attack import TrainingAttack

pytest.importorskip('mmpretrain')

FGSM = dict(type='FGSM', eps=8)


@TRANSFORMS.register_module(force=True)
class Distort(BaseTransform):
    """Makes of pixels what they should not be."""

    def __init__(self, how: str):
        self.how = how

    def transform(self, results: dict) -> dict:
        image = results['img']
        results['img'] = {
            'unit': lambda: image.astype('float32') / 255,
            'normalised': lambda: (image.astype('float32') - 100) / 60,
            '16 bit': lambda: image.astype('uint16') * 257,
            'float': lambda: image.astype('float32'),
        }[self.how]()
        return results


MESSAGES = {
    'unit': r'has float32 values from 0 to 1, but .* raw pixels 0-255: remove ToTensor',
    'normalised': r'has float32 values from -1\.\d+ to 2\.\d+, but .*: remove Normalize',
    '16 bit': r'has uint16 values from 0 to 65535, but .*: load 8 bit',
}


def distorted(how: str) -> tuple:
    return (dict(type='Distort', how=how),)


@pytest.mark.parametrize('how', MESSAGES)
def test_training_refuses_what_is_no_pixels(how, train):
    with pytest.raises(ValueError, match=MESSAGES[how]):
        train(pipeline=distorted(how))


@pytest.mark.parametrize('how', MESSAGES)
@pytest.mark.parametrize('attack', [None, FGSM])
def test_tests_refuse_what_is_no_pixels(attack, how, make_config):
    runner = Runner.from_cfg(make_config(images=4))
    runner.model.data_preprocessor.num_updates += 1
    runner.test_dataloader.dataset.pipeline.transforms.insert(0, Distort(how))
    with pytest.raises(ValueError, match=MESSAGES[how]):
        # By the purifier, in the host's own test.
        runner.test()
    hook = AttackHook(attack)
    runner.register_hook(hook)
    runner.model.data_preprocessor.enabled = False
    with pytest.raises(ValueError, match=MESSAGES[how]):
        runner.test()
    hook.close()
    assert runner.model.data_preprocessor.checks_pixels


def test_floats_are_taken(train):
    train(pipeline=distorted('float'))


def test_a_dark_image_under_attack_is_no_mistake(make_config):
    """Black plus less than one grey level is neither whole nor above 1."""
    runner = Runner.from_cfg(make_config(images=4))
    runner.model.data_preprocessor.num_updates += 1

    class Blacken(BaseTransform):
        def transform(self, results):
            return {**results, 'img': results['img'] * 0}

    runner.test_dataloader.dataset.pipeline.transforms.insert(0, Blacken())
    runner.register_hook(AttackHook(dict(type='PGD', eps=0.9, step_size=0.5, steps=1)))
    assert runner.test()['perturbation/linf_max'] <= 0.9 + 1e-5


# Sources that were trained on other pixels ---------------------------------------------------------------------------


@pytest.fixture
def bgr_source(source_files, tmp_path) -> dict:
    """A model whose config loads images from files, so that it was trained on BGR."""
    config, checkpoint = source_files
    loader = dict(
        dataset=dict(type='CustomDataset', pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
    )
    merged = Config.fromfile(config)
    merged.test_dataloader = loader
    merged.data_preprocessor.mean = [10.0, 80.0, 150.0]
    merged.dump(tmp_path / 'bgr.py')
    return dict(config=str(tmp_path / 'bgr.py'), checkpoint=checkpoint)


def by_hand(source: dict, images: torch.Tensor) -> torch.Tensor:
    model = build_model(source['config'])
    model.load_state_dict(torch.load(source['checkpoint'], weights_only=True)['state_dict'])
    native = model.eval().data_preprocessor
    return model((images - native.mean) / native.std).detach()


def test_a_source_sees_its_own_channel_order(bgr_source, make_config, make_images):
    target, images = Runner.from_cfg(make_config()).model, make_images(2, 3, 16, 16)
    cases = [
        ({}, 'rgb', images.flip(1)),
        ({}, 'bgr', images),
        ({}, None, images),
        (dict(channel_order='rgb'), 'rgb', images),
        (dict(channel_order='rgb'), 'bgr', images.flip(1)),
    ]
    for settings, order, seen in cases:
        source = build_source(target, 'transfer', {**bgr_source, **settings}, channel_order=order)
        torch.testing.assert_close(source.logits(images), by_hand(bgr_source, seen))
        torch.testing.assert_close(source.logits(list(images)), by_hand(bgr_source, seen))
    # Where nobody says so, by what the target's preprocessor converts from.
    target.data_preprocessor.channel_order = 'rgb'
    ensemble = build_source(target, 'transfer', [bgr_source, {**bgr_source, 'channel_order': 'rgb'}])
    assert isinstance(ensemble, EnsembleSource) and ensemble.swaps_channels == [True, False]
    mean = (by_hand(bgr_source, images.flip(1)) + by_hand(bgr_source, images)) / 2
    torch.testing.assert_close(ensemble.logits(images), mean)
    with pytest.raises(ValueError, match="channel_order of a source of .*'bgr' or 'rgb', got 'gbr'"):
        build_source(target, 'transfer', {**bgr_source, 'channel_order': 'gbr'})


def test_a_substitute_sees_its_own_channel_order(bgr_source, make_config, make_images):
    target, images = Runner.from_cfg(make_config()).model, make_images(2, 3, 16, 16)
    attack = build_attack(dict(type='CurlsWhey', eps=8, queries=5, substitute=bgr_source))
    source = attack._gradient_source(AttackSource(target, channel_order='rgb'))
    torch.testing.assert_close(source.logits(images), by_hand(bgr_source, images.flip(1)))


def test_training_sources_see_their_own_channel_order(bgr_source, train, monkeypatch):
    """The digits are RGB by their data set."""
    prepared, prepare = [], TrainingAttack.prepare
    monkeypatch.setattr(
        TrainingAttack, 'prepare', lambda self, target: prepare(self, target) or prepared.append(self._sources)
    )
    train(hook=dict(sources=['target', bgr_source, {**bgr_source, 'channel_order': 'rgb'}]))
    (((target, swapped, same),),) = prepared
    assert target.channel_order == 'rgb' and not target.swaps_channels
    assert swapped.swaps_channels and not same.swaps_channels


@pytest.mark.parametrize('ensemble', [False, True])
def test_transfer_rows_know_how_right_their_source_is(ensemble, source_files, make_config, tmp_path):
    source = dict(zip(('config', 'checkpoint'), source_files))
    sources = [source, {**source, 'channel_order': 'bgr'}] if ensemble else source
    runner = Runner.from_cfg(make_config(images=6, batch_size=4))
    runner.model.data_preprocessor.enabled = False
    hook = AttackHook(FGSM, source=sources, score_samples=True, cache_dir=tmp_path / 'cache')
    runner.register_hook(hook)
    metrics = runner.test()
    items = [runner.test_dataloader.dataset[index] for index in range(6)]
    images = torch.stack([item['inputs'].float() for item in items])
    labels = torch.cat([item['data_samples'].gt_label for item in items])
    names = ['source #1', 'source #2'] if ensemble else ['source']
    for name, seen in zip(names, (images, images.flip(1))):
        right = (by_hand(source, seen).argmax(1) == labels).double()
        assert hook.samples[f'source/{name}'] == right.tolist()
        assert metrics[f'source/{name}'] == pytest.approx(100 * right.mean().item())
    # From the cache, nothing is run again.
    runner.test()
    again = hook.samples
    asked = []
    hook_again = AttackHook(FGSM, source=sources, score_samples=True, cache_dir=tmp_path / 'cache')
    hook_again._score_sources = lambda *_: lambda: asked.append(1)
    runner.hooks.remove(hook)
    runner.register_hook(hook_again)
    runner.test()
    assert not asked and hook_again.samples == again


# Attacks that are not finite -----------------------------------------------------------------------------------------


@ATTACKS.register_module(force=True)
class OneIsNaN(Attack):
    def perturb(self, batch):
        images = batch.clean + 1
        names = [int(sample.sample_idx) for sample in batch.samples]
        images[[place for place, name in enumerate(names) if name == 2], :, 0] = torch.nan
        return images


def test_what_was_not_finite_is_counted(make_config, tmp_path):
    for _ in range(2):
        # The second time from the cache.
        runner = Runner.from_cfg(make_config(images=6, batch_size=4))
        runner.model.data_preprocessor.enabled = False
        hook = AttackHook(dict(type='OneIsNaN', eps=8), cache_dir=tmp_path / 'cache')
        runner.register_hook(hook)
        metrics = runner.test()
        assert metrics['attack/nonfinite_images'] == 1
        assert hook.samples['nonfinite'] == [0, 0, 1, 0, 0, 0]
        assert metrics['perturbation/linf_max'] == 1


# Images that cannot be followed --------------------------------------------------------------------------------------


def test_an_attack_on_images_that_cannot_be_followed_cannot_run():
    pytest.importorskip('mmdet')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomShift'), dict(type='LoadAnnotations')]
    hook = AttackHook(dict(type='FGSM', eps=8, objective='cls'))
    hook._task = SimpleNamespace(dense=True)
    target = SimpleNamespace(data_preprocessor=SimpleNamespace(device='cpu'))
    with pytest.raises(UnsupportedAttackError, match='RandomShift moves the image .* does not tell where to'):
        with pytest.MonkeyPatch.context() as patch:
            source = SimpleNamespace(gradients=True, eot_samples=1)
            patch.setattr('mmadvdefense.hooks.attack.fitting_source', lambda *_: source)
            hook._make_crafters(hook.attack, target, dict(pipeline=pipeline))
