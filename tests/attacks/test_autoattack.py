"""AutoAttack: which images meet which of its parts, and what they return."""

import pytest
import torch
from torch import nn

from mmadvdefense.attacks import APGDT, AttackSource, AutoAttack, EnsembleSource, Randomness, build_attack
from mmadvdefense.attacks.autoattack import errs
from mmadvdefense.attacks.gradient.apgd import fools

QUICK = dict(type='AutoAttack', steps=8, queries=60)


@pytest.fixture
def setting(tiny_classifier, make_images, make_samples):
    """Three images that the model is right on, and one that it is not."""
    images, samples = make_images(4, 3, 16, 12), make_samples(4)
    labels = predictions(tiny_classifier, images)
    labels[3] = (labels[3] + 1) % 5
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    return AttackSource(tiny_classifier), images, samples, labels


class Values(nn.Module):
    """Pixel values as features."""

    def forward(self, images):
        return (images.flatten(1),)


@pytest.fixture
def make_linear(make_classifier):
    """A linear classifier of images of 8 x 8 pixels, whose boundaries are 6 pixels or less away."""

    def make(number, seed=0):
        head = dict(type='LinearClsHead', num_classes=number, in_channels=3 * 8 * 8)
        return make_classifier(Values(), nn.Identity(), head=head, num_classes=number, seed=seed)

    return make


@pytest.fixture
def make_right(make_images, make_samples):
    """Four images of 8 x 8 pixels with the labels that a model gives them."""

    def make(model, number):
        images, samples = make_images(4, 3, 8, 8), make_samples(4, number)
        labels = predictions(model, images)
        for sample, label in zip(samples, labels.tolist()):
            sample.set_gt_label(label)
        return images, samples, labels

    return make


def predictions(model, images):
    source = AttackSource(model)
    with torch.no_grad(), source.undisturbed():
        return source.logits(images).argmax(1)


def run(config, source, images, samples, seeds=(0, 1, 2, 3)):
    return build_attack(config).run(source, images, samples, Randomness(list(seeds)))


def test_the_published_settings():
    first, towards_classes, minimal, square = AutoAttack(eps=8).parts
    assert (first.steps, first.restarts, first.rho) == (100, 1, 0.75)
    assert type(first.objective).__name__ == 'CrossEntropyObjective' and not first.targeted
    assert (towards_classes.steps, towards_classes.num_targets) == (100, 9)
    assert type(towards_classes.objective).__name__ == 'DLRObjective'
    assert (minimal.steps, minimal.num_targets, minimal.alpha_max, minimal.eta, minimal.beta) == (
        100,
        9,
        0.1,
        1.05,
        0.9,
    )
    assert (square.queries, square.p_init, square.rescale, square.objective) == (5000, 0.8, False, None)
    assert {part.eps for part in AutoAttack(eps=8).parts} == {8}
    assert {part.norm for part in AutoAttack(eps=8, norm='l2').parts} == {'l2'}
    random = AutoAttack(eps=8, version='rand').parts
    assert [type(part.objective).__name__ for part in random] == ['CrossEntropyObjective', 'DLRObjective']
    assert [part.eot_samples for part in random] == [20, 20]
    assert AutoAttack(eps=8).describe() == 'AutoAttack (L-inf 8, 100 steps, standard, 5000 queries)'
    assert AutoAttack(eps=8, version='rand').describe() == 'AutoAttack (L-inf 8, 100 steps, rand)'


@pytest.mark.parametrize('norm, eps', [('linf', 6.0), ('l2', 80.0)])
def test_fools_what_can_be_fooled_and_leaves_the_rest(norm, eps, make_linear, make_right):
    source = AttackSource(make_linear(5))
    images, samples, labels = make_right(source.model, 5)
    labels[3] = (labels[3] + 1) % 5
    samples[3].set_gt_label(labels[3].item())
    result = run({**QUICK, 'eps': eps, 'norm': norm}, source, images, samples)
    assert (predictions(source.model, result.images) != labels).all()
    assert torch.equal(result.images[3], images[3]) and not torch.equal(result.images[:3], images[:3])
    delta = (result.images - images).flatten(1)
    assert (delta.abs().amax(1) if norm == 'linf' else delta.norm(dim=1)).max() <= eps + 1e-3
    # The clean image, APGD and the check of its success.
    assert result.queries.tolist() == [1 + 9 + 1] * 3 + [1]
    result = run({**QUICK, 'eps': 0.01, 'norm': norm}, source, images, samples)
    assert torch.equal(result.images, images)
    # APGD; a look at the clean images and 9 gradients for each of 4 classes, with a check; FAB, which knows; Square.
    expected = 1 + (9 + 1) + (1 + 4 * (9 + 1) + 1) + (1 + 4 * 16 + 1) + (60 + 1)
    assert result.queries.tolist() == [expected] * 3 + [1]


def test_each_part_meets_what_the_parts_before_it_left(setting, monkeypatch):
    source, images, samples, _ = setting
    attack, met = build_attack({**QUICK, 'eps': 6}), []
    strong = attack.parts[0].perturb
    for number, part in enumerate(attack.parts):

        def perturb(batch, number=number):
            met.append((number, [sample.sample_idx for sample in batch.samples]))
            found = batch.clean.clone()
            # One image for each of the first two parts.
            if number < 2:
                found[:1] = strong(batch.select([0]))
            return found

        monkeypatch.setattr(part, 'perturb', perturb)
    result = attack.run(source, images, samples, Randomness([0, 1, 2, 3]))
    assert met == [(0, [0, 1, 2]), (1, [1, 2]), (2, [2]), (3, [2])]
    assert ((result.images != images).flatten(1).any(1)).tolist() == [True, True, False, False]


def test_any_wrong_class_counts_on_the_way_to_another(setting):
    """Few steps towards an unlikely class may end in a likely one."""
    source, images, samples, labels = setting
    attack = APGDT(eps=6, steps=8)
    result = attack.run(source, images, samples, Randomness([0, 1, 2, 3]))
    assert (predictions(source.model, result.images) != labels).all()
    assert torch.equal(result.images[3], images[3])
    assert attack.describe() == 'APGDT (L-inf 6, 8 steps, 9 targets)'
    from mmadvdefense.attacks import AttackBatch, CleanReference
    from mmadvdefense.attacks.batch import RecordingBatch
    from mmadvdefense.pixels import stack

    view = RecordingBatch.of(
        AttackBatch(source, samples, CleanReference(source, images), Randomness(0), *stack(images))
    )
    assert errs(view).tolist() == [0] * 4
    view.answer = torch.eye(5)[(labels + torch.tensor([0, 1, 2, 0])) % 5]
    view.target = (labels + 1) % 5
    assert errs(view).tolist() == [0, 1, 1, 0] and fools(view).tolist() == [0, 1, 0, 0]


def test_targets_are_the_most_likely_wrong_classes(make_classifier, make_images, make_samples, monkeypatch):
    model = make_classifier(num_classes=12)
    images, samples = make_images(2, 3, 8, 8), make_samples(2, 12)
    source, towards = AttackSource(model), []
    labels = predictions(model, images)
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    attack = APGDT(eps=0.01, steps=1)
    monkeypatch.setattr(attack, '_ascend', lambda batch: towards.append(batch.target) or batch.clean)
    attack.run(source, images, samples, Randomness([0, 1]))
    with torch.no_grad(), source.undisturbed():
        ranked = source.logits(images).argsort(dim=1, descending=True)
    assert torch.equal(torch.stack(towards, 1), ranked[:, 1:10])


@pytest.mark.parametrize('number', [2, 3, 4])
def test_few_classes(number, make_linear, make_right):
    """For two and three the authors' code has no targeted DLR."""
    model = make_linear(number)
    images, samples, labels = make_right(model, number)
    for config in ({**QUICK, 'eps': 20}, dict(type='APGDT', eps=20, steps=8)):
        result = run(config, AttackSource(model), images, samples)
        assert (predictions(model, result.images) != labels).all()
    weak = run({**QUICK, 'eps': 0.01}, AttackSource(model), images, samples)
    targets = number - 1
    assert weak.queries.tolist() == [1 + 10 + (2 + 10 * targets) + (2 + 16 * targets) + 61] * 4


def test_the_version_for_random_defenses_averages_over_draws(setting):
    source, images, samples, _ = setting
    calls = []

    def defense(images, randomness):
        calls.append(len(images))
        return images + randomness.normal_like(images)

    source = AttackSource(source.model, defense=defense, eot_samples=2)
    config = dict(type='AutoAttack', eps=0.1, version='rand', steps=2)
    result = run(config, source, images[:1], samples[:1], [0])
    # Two attacks with 3 gradients of 20 draws and a check of success.
    assert result.queries[0] in (1 + 61, 1 + 2 * 61) and result.queries[0] <= sum(calls)
    with pytest.raises(ValueError, match="AutoAttack: the standard version .* use version='rand'"):
        run({**QUICK, 'eps': 8}, source, images, samples)


@pytest.mark.parametrize('form', ['tensor', 'sizes'])
def test_images_neither_meet_nor_leave_a_trace(form, setting, pointwise_classifier, make_images, make_samples):
    source, images, samples, _ = setting
    config, model = dict(type='AutoAttack', eps=0.7, steps=4, queries=20), source.model
    if form == 'sizes':
        model = pointwise_classifier
        images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4), (9, 9)])]
        samples = make_samples(4)
        for sample, image in zip(samples, images):
            sample.set_gt_label(int(predictions(model, [image])))
    model.train()
    before = torch.get_rng_state()
    whole = run(config, AttackSource(model), images, samples)
    assert model.training and torch.equal(torch.get_rng_state(), before)
    for index in (2, 0):
        part = images[index : index + 1]
        alone = run(config, AttackSource(model), part, samples[index : index + 1], [index])
        assert alone.images[0].shape == whole.images[index].shape
        assert ((alone.images[0] - whole.images[index]).abs() < 2e-2).float().mean() > 0.97
        assert alone.queries[0] == whole.queries[index]


def test_no_budget_no_change(setting):
    source, images, samples, _ = setting
    for norm in ('linf', 'l2'):
        config = {**QUICK, 'eps': 0, 'norm': norm, 'steps': 2, 'queries': 5}
        assert torch.equal(run(config, source, images, samples).images, images)


def test_an_ensemble_is_fooled_as_a_whole(make_linear, make_right):
    """An image counts as wrong only if both models are: here the first one errs on some images anyway."""
    models = [make_linear(5), make_linear(5, seed=5)]
    images, samples, labels = make_right(models[1], 5)
    assert (predictions(models[0], images) != labels).any()
    both = EnsembleSource([AttackSource(model) for model in models])
    result = run({**QUICK, 'eps': 40}, both, images, samples)
    assert torch.stack([predictions(model, result.images) != labels for model in models]).all()


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(eps=None), 'eps'),
        (dict(eps=8, version='plus'), "'standard' or 'rand'"),
        (dict(eps=8, steps=0), 'steps'),
        (dict(eps=8, queries=0), 'queries'),
        (dict(eps=8, norm='l1'), "unknown norm 'l1'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='AutoAttack', **settings))


def test_unsuitable_sources_are_refused_with_what_to_use_instead(setting):
    source, images, samples, _ = setting
    with pytest.raises(ValueError, match='AutoAttack needs gradients'):
        run({**QUICK, 'eps': 4}, AttackSource(source.model, gradients=False), images, samples)
    source.task.name, source.task.one_label = 'segmentation', False
    for config in ({**QUICK, 'eps': 8}, dict(type='APGDT', eps=8)):
        message = f'{config["type"]} needs one predicted class .* segmentation has; use APGD .*WorstOf'
        with pytest.raises(ValueError, match=message):
            run(config, source, images, samples)
