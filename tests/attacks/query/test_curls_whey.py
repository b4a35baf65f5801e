"""Curls & Whey with the gradients of another model."""

import pytest
import torch
from mmengine.config import Config

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.models import build_model

ATTACK = dict(type='CurlsWhey', eps=40, queries=60, step_size=10.0, steps=10, rounds=1)


@pytest.fixture
def make_files(tmp_path):
    def make(num_classes=5, seed=0):
        config = Config(
            dict(
                default_scope='mmpretrain',
                model=dict(
                    type='ImageClassifier',
                    backbone=dict(type='CIFARResNet', depth=8),
                    neck=dict(type='GlobalAveragePooling'),
                    head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=64),
                ),
                data_preprocessor=dict(num_classes=num_classes, mean=[120.0] * 3, std=[60.0] * 3, to_rgb=False),
            )
        )
        paths = dict(config=str(tmp_path / f'{seed}.py'), checkpoint=str(tmp_path / f'{seed}.pth'))
        config.dump(paths['config'])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build_model(config)
        torch.save(dict(state_dict=model.state_dict()), paths['checkpoint'])
        return model.eval(), paths

    return make


@pytest.fixture
def setting(make_files, make_images, make_samples):
    model, files = make_files()
    images, samples = make_images(4, 3, 16, 16), make_samples(4)
    for sample, label in zip(samples, AttackSource(model).logits(images).argmax(1).tolist()):
        sample.set_gt_label(label)
    return model, files, images, samples


def run(attack, source, images, samples):
    return build_attack(attack).run(source, images, samples, Randomness([0, 1, 2, 3]))


def test_it_takes_the_place_of_the_models_own_gradients(setting):
    """A substitute with the same weights gives the same images; only questions to the attacked model are counted."""
    model, files, images, samples = setting
    own = run(ATTACK, AttackSource(model), images, samples)
    shown = []
    model.register_forward_hook(lambda module, inputs, output: shown.append(len(inputs[0])))
    result = run({**ATTACK, 'substitute': files}, AttackSource(model, gradients=False), images, samples)
    assert torch.equal(result.images, own.images)
    assert (AttackSource(model).logits(result.images).argmax(1) != AttackSource(model).logits(images).argmax(1)).any()
    shown = shown[:-2]
    assert result.queries.sum() == sum(shown) and result.queries.max() <= ATTACK['queries']
    assert (own.queries > result.queries).all()


def test_without_one_it_needs_the_gradients_of_the_attacked_model(setting):
    model, _, images, samples = setting
    with pytest.raises(ValueError, match='needs gradients'):
        run(ATTACK, AttackSource(model, gradients=False), images, samples)


def test_other_gradients_other_images(setting, make_files):
    model, files, images, samples = setting
    _, other = make_files(seed=1)
    first, second = (
        run({**ATTACK, 'substitute': paths, 'queries': 200}, AttackSource(model), images, samples)
        for paths in (files, other)
    )
    assert not torch.equal(first.images, second.images)


def test_a_substitute_must_know_the_same_classes(setting, make_files):
    model, _, images, samples = setting
    _, other = make_files(num_classes=4, seed=2)
    with pytest.raises(ValueError, match='substitute predicts 4 classes, the attacked model 5'):
        run({**ATTACK, 'substitute': other}, AttackSource(model), images, samples)


def test_a_missing_checkpoint_is_named(setting, make_files):
    model, files, images, samples = setting
    with pytest.raises(FileNotFoundError, match='missing.pth'):
        run({**ATTACK, 'substitute': {**files, 'checkpoint': 'missing.pth'}}, AttackSource(model), images, samples)
