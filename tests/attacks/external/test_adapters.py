"""Attacks of torchattacks on a source, beside the library called directly."""

import random
import sys

import numpy as np
import pytest
import torch

from mmadvdefense.attacks import BIM, AttackSource, Randomness, build_attack

torchattacks = pytest.importorskip('torchattacks')

# Random, and of several forward and backward passes.
APGD = dict(type='TorchAttack', name='APGD', steps=10)


@pytest.fixture
def setting(tiny_classifier, make_images, make_samples, as_library_model):
    """Three images that the model is right on, and one that it is not."""
    images, samples = make_images(4, 3, 16, 16), make_samples(4)
    # The library puts models back into the mode in which it finds them.
    unit = as_library_model(tiny_classifier).eval()
    labels = unit(images / 255).argmax(1)
    labels[3] = (labels[3] + 1) % 5
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    unit.shown = 0
    return AttackSource(tiny_classifier), unit, images, samples, labels


def run(config, source, images, samples, seeds=(0, 1, 2, 3)):
    return build_attack(config).run(source, images, samples, Randomness(list(seeds)))


@pytest.mark.parametrize(
    'config', [{**APGD, 'eps': 4}, dict(type='TorchAttack', name='Pixle', eps=255, restarts=2, max_iterations=3)]
)
def test_images_neither_meet_nor_leave_a_trace(setting, config):
    source, _, images, samples, _ = setting
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    source.model.train()
    whole = run(config, source, images, samples)
    assert source.model.training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1] and (np.random.get_state()[1] == before[2]).all()
    torch.rand(5), np.random.rand(5)  # what was drawn before does not matter
    for index in (2, 0):
        alone = run(config, source, images[[index]], samples[index : index + 1], [index])
        torch.testing.assert_close(alone.images[0], whole.images[index], atol=1e-3, rtol=0)
        assert alone.queries[0] == whole.queries[index]
    other = run(config, source, images, samples, [50, 51, 52, 53])
    assert not torch.equal(other.images, whole.images)
    assert torch.equal(run(config, source, images, samples, [0, 1, 2, 3]).images, whole.images)


def test_one_attack_serves_several_batches_and_models(setting, make_classifier):
    source, _, images, samples, _ = setting
    other = AttackSource(make_classifier(seed=3))
    attack = build_attack({**APGD, 'eps': 4})
    first = attack.run(source, images, samples, Randomness([0, 1, 2, 3]))
    second = attack.run(other, images, samples, Randomness([0, 1, 2, 3]))
    again = attack.run(source, images[:2], samples[:2], Randomness([0, 1]))
    assert torch.equal(again.images, first.images[:2])
    assert torch.equal(second.images, run({**APGD, 'eps': 4}, other, images, samples).images)
    assert not torch.equal(first.images, second.images)


def test_any_attack_by_its_name_with_pixels_for_units(setting):
    source, unit, images, samples, labels = setting
    config = dict(type='TorchAttack', name='PGD', eps=8, step_size=2, steps=6, random_start=False)
    result = run(config, source, images, samples)
    ours = BIM(eps=8, step_size=2, steps=6)(source, images, samples, Randomness(0))
    assert ((result.images - ours).abs() <= 1e-3).float().mean() >= 0.999
    assert result.queries.tolist() == [6] * 4
    direct = torchattacks.PGD(unit, eps=8 / 255, alpha=2 / 255, steps=6, random_start=False)
    direct.set_mode_targeted_least_likely(quiet=True)
    right = labels.clone()
    right[3] = unit(images / 255)[3].argmax()
    targeted = run({**config, 'targeted': 'least_likely'}, source, images[:3], samples[:3], [0, 1, 2])
    close = (targeted.images - direct(images[:3] / 255, labels[:3]) * 255).abs() <= 1e-3
    assert close.float().mean() >= 0.999
    assert build_attack(config).describe().startswith('PGD (L-inf 8')


def test_attacks_that_ask_for_scores_need_no_gradients(setting):
    source, _, images, samples, _ = setting
    blind = AttackSource(source.model, gradients=False)
    config = dict(type='TorchAttack', name='Square', eps=10, n_queries=100)
    result = run(config, blind, images, samples)
    assert result.queries.max() <= 103 and (result.images[:3] != images[:3]).any()
    with pytest.raises(ValueError, match='needs gradients'):
        run({**APGD, 'eps': 4}, blind, images, samples)


def test_lists_of_images(setting, make_images):
    source, _, images, samples, _ = setting
    images = [make_images(3, *size, seed=i) for i, size in enumerate([(16, 12), (9, 14)])]
    config = {**APGD, 'eps': 4}
    together = run(config, source, images, samples[:2], [0, 1])
    for index in range(2):
        alone = run(config, source, images[index : index + 1], samples[index : index + 1], [index])
        torch.testing.assert_close(together.images[index], alone.images[0], atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='TorchAttack', name='BestAttack', eps=8), "no attack 'BestAttack'"),
        (dict(type='TorchAttack', name='MultiAttackX', eps=8), 'no attack'),
        (dict(type='TorchAttack', name='FGSM', eps=8, step_size=2), 'no step size'),
        (dict(type='TorchAttack', name='PGD', eps=8, alpha=2), 'eps and step_size in pixels'),
        (dict(type='TorchAttack', name='PGD', eps=8, iterations=3), 'no setting iterations; it has .*steps'),
    ],
)
def test_bad_settings_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        build_attack(config)


def test_a_model_with_too_few_classes_is_refused(make_classifier, make_images, make_samples):
    source = AttackSource(make_classifier(num_classes=3))
    apgdt = dict(type='TorchAttack', name='APGDT', eps=8, steps=2)
    with pytest.raises(ValueError, match='APGDT needs 4 classes, but the model has 3'):
        run(apgdt, source, make_images(2, 3, 8, 8), make_samples(2, 3))
    dlr, source = {**apgdt, 'name': 'APGD', 'loss': 'dlr'}, AttackSource(make_classifier(num_classes=2))
    with pytest.raises(ValueError, match='APGD needs 3 classes, but the model has 2'):
        run(dlr, source, make_images(2, 3, 8, 8), make_samples(2, 2))


@pytest.mark.parametrize('norm', ['linf', 'l2'])
def test_no_budget_no_change(norm, setting):
    source, _, images, samples, _ = setting
    config = {**APGD, 'eps': 0, 'norm': norm, 'steps': 2}
    assert torch.equal(run(config, source, images, samples).images, images)


def test_other_tasks_are_refused_by_name(setting):
    source, _, images, samples, _ = setting
    source.task.name, source.task.one_label = 'segmentation', False
    with pytest.raises(ValueError, match='take classifiers, but this is a model for segmentation'):
        run({**APGD, 'eps': 8}, source, images, samples)


@pytest.mark.parametrize('config', [dict(type='TorchAttack', name='PGD', eps=8)])
def test_a_missing_library_is_named_with_what_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchattacks', None)
    with pytest.raises(ImportError, match=r'torchattacks.*pip install mmadvdefense\[attacks\]'):
        build_attack(config)
