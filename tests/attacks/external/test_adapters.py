"""Attacks of torchattacks on a source, beside the library called directly."""

import random
import sys

import numpy as np
import pytest
import torch

from mmadvdefense.attacks import BIM, AttackSource, Randomness, build_attack
from mmadvdefense.randomness import derive_seed

torchattacks = pytest.importorskip('torchattacks')

AUTO = dict(type='AutoAttack', steps=10, queries=60)


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


def standard(unit, norm, eps, seed):
    """AutoAttack of its authors, but for the numbers of steps and queries."""
    common = dict(norm=norm, eps=eps, seed=seed)
    return torchattacks.MultiAttack(
        [
            torchattacks.APGD(unit, steps=10, loss='ce', n_restarts=1, **common),
            torchattacks.APGDT(unit, steps=10, n_classes=5, n_restarts=1, **common),
            torchattacks.FAB(unit, steps=10, n_classes=5, n_restarts=1, multi_targeted=True, **common),
            torchattacks.Square(unit, n_queries=60, n_restarts=1, **common),
        ]
    )


@pytest.mark.parametrize(('ours', 'theirs', 'eps'), [('linf', 'Linf', 0.7), ('linf', 'Linf', 4.0), ('l2', 'L2', 40.0)])
def test_autoattack_is_the_librarys(setting, ours, theirs, eps):
    source, unit, images, samples, labels = setting
    result = run({**AUTO, 'eps': eps, 'norm': ours}, source, images, samples)
    for index in range(4):
        unit.shown = 0
        attack = standard(unit, theirs, eps / 255, derive_seed(index, 'library'))
        expected = attack(images[[index]] / 255, labels[[index]]) * 255
        torch.testing.assert_close(result.images[[index]], expected, atol=1e-2, rtol=0)
        assert result.queries[index] == unit.shown
    right = unit(images / 255).argmax(1) == labels
    assert right.tolist() == [True, True, True, False]
    if eps == 4.0:
        assert (unit(result.images / 255).argmax(1) != labels).all()


def test_autoattack_leaves_images_unchanged_that_no_part_fools(setting):
    source, _, images, samples, _ = setting
    result = run({**AUTO, 'eps': 0.01}, source, images, samples)
    assert torch.equal(result.images[:3], images[:3])
    # Each part was tried, Square with all its queries.
    assert (result.queries[:3] > 60 + 10 * (1 + 4 + 4)).all() and result.queries[3] < 40


def test_autoattack_takes_the_published_settings(setting, monkeypatch):
    built = {}

    def note(name):
        def build(model, **settings):
            built[name] = settings
            return torchattacks.PGD(model)

        return build

    for name in ('APGD', 'APGDT', 'FAB', 'Square'):
        monkeypatch.setattr(torchattacks, name, note(name))
    source, _, images, samples, _ = setting
    run(dict(type='AutoAttack', eps=8), source, images, samples)
    budget = dict(norm='Linf', eps=8 / 255)
    assert built == dict(
        APGD=dict(budget, steps=100, loss='ce'),
        APGDT=dict(budget, steps=100, n_classes=5),
        FAB=dict(budget, steps=100, n_classes=5, multi_targeted=True),
        Square=dict(budget, n_queries=5000),
    )


def test_at_most_nine_classes_are_targets(make_classifier, make_images, make_samples, monkeypatch):
    classes = []
    apgdt = torchattacks.APGDT
    monkeypatch.setattr(
        torchattacks, 'APGDT', lambda model, **options: classes.append(options['n_classes']) or apgdt(model, **options)
    )
    model = make_classifier(num_classes=12)
    run({**AUTO, 'eps': 1, 'steps': 1, 'queries': 1}, AttackSource(model), make_images(2, 3, 8, 8), make_samples(2, 12))
    assert classes == [10]


def test_rand_version_averages_over_draws(setting):
    source, _, images, samples, _ = setting
    calls = []

    def defense(images, randomness):
        calls.append(len(images))
        return images + randomness.normal_like(images)

    source = AttackSource(source.model, defense=defense)
    result = run(dict(type='AutoAttack', eps=8, version='rand', steps=2), source, images[:1], samples[:1], [0])
    # 3 gradients of 20 draws, and asked whether each part succeeded.
    assert result.queries[0] == sum(calls) >= 60


@pytest.mark.parametrize(
    'config', [{**AUTO, 'eps': 4}, dict(type='TorchAttack', name='Pixle', eps=255, restarts=2, max_iterations=3)]
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
    attack = build_attack({**AUTO, 'eps': 4})
    first = attack.run(source, images, samples, Randomness([0, 1, 2, 3]))
    second = attack.run(other, images, samples, Randomness([0, 1, 2, 3]))
    again = attack.run(source, images[:2], samples[:2], Randomness([0, 1]))
    assert torch.equal(again.images, first.images[:2])
    assert torch.equal(second.images, run({**AUTO, 'eps': 4}, other, images, samples).images)
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
        run({**AUTO, 'eps': 4}, blind, images, samples)


def test_lists_of_images(setting, make_images):
    source, _, images, samples, _ = setting
    images = [make_images(3, *size, seed=i) for i, size in enumerate([(16, 12), (9, 14)])]
    config = {**AUTO, 'eps': 4, 'queries': 20}
    together = run(config, source, images, samples[:2], [0, 1])
    for index in range(2):
        alone = run(config, source, images[index : index + 1], samples[index : index + 1], [index])
        torch.testing.assert_close(together.images[index], alone.images[0], atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='AutoAttack', eps=None), 'eps'),
        (dict(type='AutoAttack', eps=8, version='plus'), "'standard' or 'rand'"),
        (dict(type='AutoAttack', eps=8, steps=0), 'steps'),
        (dict(type='AutoAttack', eps=8, queries=0), 'queries'),
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
    with pytest.raises(ValueError, match='needs 4 classes, but the model has 3'):
        run({**AUTO, 'eps': 8}, source, make_images(2, 3, 8, 8), make_samples(2, 3))
    apgdt = dict(type='TorchAttack', name='APGDT', eps=8, steps=2)
    with pytest.raises(ValueError, match='APGDT needs 4 classes, but the model has 3'):
        run(apgdt, source, make_images(2, 3, 8, 8), make_samples(2, 3))
    dlr, source = {**apgdt, 'name': 'APGD', 'loss': 'dlr'}, AttackSource(make_classifier(num_classes=2))
    with pytest.raises(ValueError, match='APGD needs 3 classes, but the model has 2'):
        run(dlr, source, make_images(2, 3, 8, 8), make_samples(2, 2))


def test_oblong_images_in_l2_are_refused(setting, make_images):
    source, _, _, samples, _ = setting
    with pytest.raises(ValueError, match='square images only, but one has 9 x 14 pixels'):
        run({**AUTO, 'eps': 40, 'norm': 'l2'}, source, make_images(1, 3, 9, 14), samples[:1], [0])


@pytest.mark.parametrize('norm', ['linf', 'l2'])
def test_no_budget_no_change(norm, setting):
    source, _, images, samples, _ = setting
    config = {**AUTO, 'eps': 0, 'norm': norm, 'steps': 2, 'queries': 5}
    assert torch.equal(run(config, source, images, samples).images, images)


def test_other_tasks_are_refused_by_name(setting):
    source, _, images, samples, _ = setting
    source.task.name, source.task.one_label = 'segmentation', False
    with pytest.raises(ValueError, match='take classifiers, but this is a model for segmentation'):
        run({**AUTO, 'eps': 8}, source, images, samples)


@pytest.mark.parametrize('config', [{**AUTO, 'eps': 8}, dict(type='TorchAttack', name='PGD', eps=8)])
def test_a_missing_library_is_named_with_what_to_install(config, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchattacks', None)
    with pytest.raises(ImportError, match=r'torchattacks.*pip install mmadvdefense\[attacks\]'):
        build_attack(config)
