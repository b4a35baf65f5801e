"""Several source models attacked as one."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import (
    BIM,
    PGD,
    AttackBatch,
    AttackSource,
    CleanReference,
    EnsembleSource,
    Randomness,
    build_attack,
)
from mmadvdefense.attacks.ensemble import members, views
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.pixels import stack


@pytest.fixture
def two(make_classifier):
    """Models of other weights, other mean and std, and another channel order."""
    return [make_classifier(seed=0), make_classifier(seed=4, mean=(0, 0, 0), std=(255, 255, 255), to_rgb=True)]


def logits_by_hand(model, images):
    native = model.data_preprocessor
    training = [module for module in model.modules() if module.training]
    model.eval()
    output = model(((images.flip(1) if native.to_rgb else images) - native.mean) / native.std)
    for module in training:
        module.training = True
    return output


def ensemble_of(models, combine='logits', **settings):
    return EnsembleSource([AttackSource(model, **settings) for model in models], combine)


def make_batch(source, image_batch):
    images, samples = image_batch.images, source.prepare_samples(image_batch.images, image_batch.samples)
    return AttackBatch(source, samples, CleanReference(source, images), Randomness(0), *stack(images))


def bim_by_hand(images, loss, eps=8, step_size=2, steps=4):
    adversarial = images.clone()
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(adversarial), adversarial)
        adversarial = images + (adversarial.detach() + step_size * gradient.sign() - images).clamp(-eps, eps)
        adversarial = adversarial.clamp(0, 255)
    return adversarial


def alike(ours, theirs):
    return ((ours - theirs).abs() < 1e-2).float().mean() > 0.998


@pytest.mark.parametrize('combine', ['logits', 'losses'])
def test_bim_on_two_models_by_hand(combine, two, image_batch):
    def loss(images):
        logits = [logits_by_hand(model, images) for model in two]
        if combine == 'logits':
            return F.cross_entropy(sum(logits) / 2, image_batch.labels, reduction='sum')
        return sum(F.cross_entropy(each, image_batch.labels, reduction='sum') for each in logits)

    result = BIM(8, 2, 4).run(ensemble_of(two, combine), image_batch.images, image_batch.samples, Randomness(0))
    assert alike(result.images, bim_by_hand(image_batch.images, loss))
    assert result.queries.tolist() == [4] * 6
    for model in two:
        one = BIM(8, 2, 4)(AttackSource(model), image_batch.images, image_batch.samples, Randomness(0))
        assert not alike(result.images, one)


@pytest.mark.parametrize('combine', ['logits', 'losses'])
@pytest.mark.parametrize('number', [1, 2, 4])
@pytest.mark.parametrize(
    'config',
    [
        dict(type='BIM'),
        dict(type='MIFGSM', kernel_size=3),
        dict(type='PGD'),
        dict(type='PGD', restarts=2),
        dict(type='BIM', objective='task_loss'),
        dict(type='PGD', objective='kl'),
        dict(type='BIM', objective='margin', targeted='top_wrong', num_targets=2),
        dict(type='PGD', targeted='random'),
        dict(type='BIM', targeted='least_likely', objective='task_loss'),
    ],
    ids=str,
)
def test_equal_models_are_one_model(config, number, combine, tiny_classifier, image_batch, run_attack):
    config = dict(eps=8, step_size=2, steps=3, **config)
    images, samples = image_batch.images, image_batch.samples
    expected = run_attack(config, AttackSource(tiny_classifier), images, samples)
    assert alike(run_attack(config, ensemble_of([tiny_classifier] * number, combine), images, samples), expected)


def test_scores_and_losses_by_hand(two, image_batch):
    source, images = ensemble_of(two), image_batch.images / 2
    batch = make_batch(source, image_batch)
    with torch.no_grad(), source.undisturbed():
        logits = [logits_by_hand(model, images) for model in two]
        mean = sum(logits) / 2
        torch.testing.assert_close(source.logits(images), mean)
        torch.testing.assert_close(CleanReference(source, images).logits, mean)
        values = build_objective('cross_entropy').values(images, batch)
        torch.testing.assert_close(values, F.cross_entropy(mean, image_batch.labels, reduction='none'))
        each = [F.cross_entropy(part, image_batch.labels) for part in logits]
        losses = source.losses(images, batch.samples)
        assert set(losses) == {'0.loss', '1.loss'}
        torch.testing.assert_close(losses['1.loss'], each[1] / 2)
        torch.testing.assert_close(build_objective('task_loss')(images, batch), sum(each) / 2)
    assert batch.queries.tolist() == [2] * 6
    assert torch.equal(batch.labels, image_batch.labels)


def test_values_are_the_mean_over_models(two, image_batch):
    """What restarts compare, and KL is measured from each model's own answer to the clean image."""
    source, images = ensemble_of(two, 'losses'), image_batch.images / 2
    batch = make_batch(source, image_batch)
    with torch.no_grad(), source.undisturbed():
        parts = views(batch, build_objective('kl'))
        for view, model in zip(parts, two):
            p, q = (logits_by_hand(model, x).softmax(1) for x in (image_batch.images, images))
            torch.testing.assert_close(
                build_objective('kl').values(images, view), (p * (p / q).log()).sum(1), rtol=1e-3, atol=1e-5
            )
    assert len(parts) == 2 and batch.queries.tolist() == [1] * 6
    fused = make_batch(ensemble_of(two), image_batch)
    assert views(fused, build_objective('kl')) == [fused]
    assert [view.source.model for view in views(fused, build_objective('task_loss'))] == two
    assert [view.source.model for view in members(batch)] == two


def test_draws_are_those_of_all_models(two, image_batch):
    """EOT: a random defense in front of one of two models."""
    offsets = []

    def noisy(images, randomness):
        offsets.append(randomness.uniform_like(images[:, :1, :1, :1]) * 40)
        return images + offsets[-1]

    source = EnsembleSource([AttackSource(two[0]), AttackSource(two[1], defense=noisy, eot_samples=3)])
    assert source.eot_samples == 3 and source.gradients
    adversarial = BIM(8, 8, 1)(source, image_batch.images, image_batch.samples, Randomness([0, 1, 2, 3, 4, 5]))
    assert len(offsets) == 3
    images = image_batch.images.clone().requires_grad_()
    loss = sum(
        F.cross_entropy(
            (logits_by_hand(two[0], images) + logits_by_hand(two[1], images + offset)) / 2,
            image_batch.labels,
            reduction='sum',
        )
        for offset in offsets
    )
    (gradient,) = torch.autograd.grad(loss, images)
    assert alike(adversarial, (image_batch.images + 8 * gradient.sign()).clamp(0, 255))


@pytest.mark.parametrize('combine', ['logits', 'losses'])
def test_models_are_left_as_they_were(combine, two, image_batch):
    two[0].backbone.eval()
    two[1].head.requires_grad_(False)
    flags = [[module.training for module in model.modules()] for model in two]
    tracked = [[parameter.requires_grad for parameter in model.parameters()] for model in two]
    PGD(8, 2, 2)(ensemble_of(two, combine), image_batch.images, image_batch.samples, Randomness(0))
    assert flags == [[module.training for module in model.modules()] for model in two]
    assert tracked == [[parameter.requires_grad for parameter in model.parameters()] for model in two]
    assert all(parameter.grad is None for model in two for parameter in model.parameters())


def test_gradients_are_needed_of_every_model(two, image_batch):
    source = EnsembleSource([AttackSource(two[0]), AttackSource(two[1], gradients=False)])
    with pytest.raises(ValueError, match='BIM needs gradients'):
        BIM(8, 2, 2)(source, image_batch.images, image_batch.samples, Randomness(0))


def test_scores_are_asked_of_logits_only(two, image_batch):
    source = ensemble_of(two, 'losses')
    with pytest.raises(ValueError, match=r"combine='losses' has no class scores.*use combine='logits'"):
        source.logits(image_batch.images)
    # What a target is chosen from.
    assert CleanReference(source, image_batch.images).logits.shape == (6, 5)


def test_features_are_those_of_one_model(two):
    with pytest.raises(ValueError, match='an ensemble has no one layer'):
        ensemble_of(two).task.feature_tap()


def test_models_that_do_not_belong_together(make_classifier, two):
    with pytest.raises(ValueError, match='at least one source'):
        EnsembleSource([])
    with pytest.raises(ValueError, match="combine must be 'logits' or 'losses', got 'votes'"):
        ensemble_of(two, 'votes')
    seven = make_classifier(num_classes=7)
    with pytest.raises(
        ValueError,
        match=r'differ in their number of classes: source 0 \(ImageClassifier\) has 5, '
        r'source 2 \(ImageClassifier\) has 7',
    ):
        ensemble_of([*two, seven])


@pytest.mark.parametrize('combine', ['logits', 'losses'])
def test_images_of_different_sizes(combine, pointwise_classifier, make_images, make_samples, run_attack):
    images = [make_images(3, *size, seed=index) for index, size in enumerate([(12, 10), (5, 14), (4, 4)])]
    samples, source = make_samples(3), ensemble_of([pointwise_classifier] * 2, combine)
    config = dict(type='MIFGSM', eps=8, step_size=2, steps=3, diversity=0.7, random_start='uniform', restarts=2)
    together = run_attack(config, source, images, samples)
    for index, (adversarial, image) in enumerate(zip(together, images)):
        alone = run_attack(config, source, [image], samples[index : index + 1], [index])[0]
        assert ((adversarial - alone).abs() < 1e-3).float().mean() >= 0.99


@pytest.mark.parametrize('combine', ['logits', 'losses'])
@pytest.mark.parametrize('name', ['SSP', 'DR'])
def test_features_of_all_models_are_attacked(name, combine, two, image_batch, run_attack):
    config = dict(type=name, eps=8, step_size=2, steps=3, random_start='normal', start_std=3.0)
    images, samples = image_batch.images, image_batch.samples
    adversarial = run_attack(config, ensemble_of(two, combine), images, samples)
    singles = [run_attack(config, AttackSource(model), images, samples) for model in two]
    assert not any(alike(adversarial, single) for single in singles)
    # Each model's features are as far from the clean ones as if it was attacked with half a mind.
    for model, single in zip(two, singles):
        objective = build_attack(config).objective
        source = AttackSource(model)
        with torch.no_grad(), source.undisturbed():
            values = [
                objective.values(x, make_batch(source, image_batch)).mean() for x in (images, adversarial, single)
            ]
        assert values[0] < values[1] < values[2] * (1.02 if values[2] > 0 else 0.98)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=3),
        dict(type='DeepFool', steps=5),
        dict(type='Square', eps=16, queries=60),
    ],
    ids=lambda config: config['type'],
)
def test_other_attacks_take_an_ensemble_too(config, two, image_batch, run_attack):
    """They mislead the mean of its scores."""
    images, samples = image_batch.images, image_batch.samples
    adversarial = run_attack(config, ensemble_of(two), images, samples)
    with torch.no_grad():
        before, after = (
            F.cross_entropy(sum(logits_by_hand(model, x) for model in two) / 2, image_batch.labels, reduction='none')
            for x in (images, adversarial)
        )
    assert (after >= before - 1e-4).all() and (after > before).any()
