"""Auto-PGD beside algorithm 1 of the paper, written for one image."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import (
    APGD,
    AdaptiveAscent,
    AttackBatch,
    AttackSource,
    CleanReference,
    EnsembleSource,
    Randomness,
    build_attack,
)
from mmadvdefense.attacks.balls import BALLS
from mmadvdefense.attacks.gradient.apgd import checkpoints, fools
from mmadvdefense.attacks.objectives import Objective, build_objective
from mmadvdefense.pixels import stack

BUDGETS = {'linf': 3.0, 'l2': 40.0}


@pytest.fixture
def setting(tiny_classifier, make_images, make_samples):
    """Six images that the model is right on."""
    images, samples = make_images(6, 3, 12, 10), make_samples(6)
    source = AttackSource(tiny_classifier)
    with torch.no_grad(), source.undisturbed():
        labels = source.logits(images).argmax(1)
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    return source, images, samples, labels


def batch_of(source, images, samples):
    prepared = source.prepare_samples(images, samples)
    return AttackBatch(source, prepared, CleanReference(source, images), Randomness(list(range(6))), *stack(images))


def test_checkpoints_of_the_paper():
    # 22 %, then 19, 16, 13, 10, 7, 6, ... % later.
    assert [at for at, _ in checkpoints(100)] == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(100)[:2] == [(22, 22), (41, 19)]
    assert [at for at, _ in checkpoints(10)] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert checkpoints(1) == [(1, 1)]


def project(image, clean, norm, eps):
    delta = image - clean
    if norm == 'linf':
        delta = delta.clamp(-eps, eps)
    elif delta.norm() > eps:
        delta = delta * eps / delta.norm()
    return (clean + delta).clamp(0, 255)


def by_hand(loss, clean, norm, eps, steps, rho):
    """Algorithm 1 from the clean image; returns the best iterate, and the condition behind each halving of the step."""

    def look(image):
        image = image.clone().requires_grad_()
        value = loss(image)
        value.backward()
        gradient = image.grad
        return value.item(), gradient.sign() if norm == 'linf' else gradient / gradient.norm()

    image = before = clean
    value, direction = look(image)
    best = (value, image, direction)
    values, size, halvings, halved, last_best = [value], 2 * eps, [], True, value
    at, length = max(int(0.22 * steps), 1), max(int(0.22 * steps), 1)
    for step in range(1, steps + 1):
        a = 1.0 if step == 1 else 0.75
        ahead = project(image + size * direction, clean, norm, eps)
        moved = project(image + a * (ahead - image) + (1 - a) * (image - before), clean, norm, eps)
        before, image = image, moved
        value, direction = look(image)
        values.append(value)
        if value > best[0]:
            best = (value, image, direction)
        if step == at:
            rises = sum(values[i + 1] > values[i] for i in range(step - length, step))
            first = rises <= rho * length
            second = not halved and best[0] == last_best
            halved, last_best = first or second, best[0]
            if halved:
                size = size / 2
                halvings.append(1 if first else 2)
                _, image, direction = best
            length = max(length - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
            at += length
    return best, halvings


@pytest.mark.parametrize('norm', BUDGETS)
@pytest.mark.parametrize('rho', [0.75, 0.1])
def test_algorithm_1(norm, rho, setting):
    """The start is the clean image, and no iterate may be preferred for fooling the model."""
    source, images, samples, labels = setting
    steps, eps = 40, BUDGETS[norm]
    ascent = AdaptiveAscent(build_objective('cross_entropy'), steps, rho)
    batch = batch_of(source, images, samples)
    counts = []
    with torch.no_grad(), source.undisturbed():
        found = ascent(batch, batch.clean, BALLS[norm](eps))
        for index in range(6):

            def loss(image, at=index):
                return F.cross_entropy(source.logits(image), labels[at : at + 1])

            clean = images[index : index + 1]
            with torch.enable_grad():
                (value, image, _), halvings = by_hand(loss, clean, norm, eps, steps, rho)
            counts.append(halvings)
            assert found.values[index].item() == pytest.approx(value, rel=1e-4)
            assert ((found.images[index : index + 1] - image).abs() < 0.05).float().mean() > 0.95
    # Otherwise the test would say little.
    assert {len(halvings) for halvings in counts} != {0}
    assert {condition for halvings in counts for condition in halvings} >= {1 if rho == 0.75 else 2}
    assert batch.queries.tolist() == [steps + 1] * 6


def test_the_best_iterate_by_the_objective_or_by_a_criterion(setting):
    source, images, samples, labels = setting
    batch = batch_of(source, images, samples)
    objective, ball = build_objective('cross_entropy'), BALLS['linf'](4.0)

    def least_brightness(view):
        assert view.answer.shape == (6, 5) and not view.answer.requires_grad
        return view.answer[:, 0]

    with torch.no_grad(), source.undisturbed():
        by_value = AdaptiveAscent(objective, 12)(batch, images, ball)
        by_score = AdaptiveAscent(objective, 12, criterion=least_brightness)(batch, images, ball)
        scores = [source.logits(found.images)[:, 0] for found in (by_value, by_score)]
        values = F.cross_entropy(source.logits(by_value.images), labels, reduction='none')
    torch.testing.assert_close(by_value.values, values, rtol=1e-4, atol=1e-5)
    assert torch.equal(by_value.scores, torch.zeros(6))
    torch.testing.assert_close(by_score.scores, scores[1], rtol=1e-4, atol=1e-4)
    assert (scores[1] >= scores[0]).all() and (scores[1] > scores[0]).any()
    assert (by_score.values <= by_value.values).all()


def test_an_iterate_that_fools_the_model_comes_first(setting):
    """The loss of an image may be highest where the model is still right: here it is the opposite of the margin."""
    source, images, samples, labels = setting

    class Backwards(Objective):
        def values(self, images, batch):
            return -build_objective('margin').values(images, batch)

    attack = APGD(eps=30, steps=10)
    attack.objective = Backwards()
    result = attack.run(source, images, samples, Randomness(list(range(6))))
    with torch.no_grad(), source.undisturbed():
        start = attack.ball.project(attack.start(images, Randomness(list(range(6)))), images)
        fooled_at_start = source.logits(start).argmax(1) != labels
        fooled = source.logits(result.images).argmax(1) != labels
    assert fooled_at_start.any()
    assert (fooled >= fooled_at_start).all()


def test_a_radius_of_its_own_and_a_start_outside_it(setting):
    """As SEA needs: the radius shrinks from 2 eps to eps, each part starts where the last one ended."""
    source, images, samples, _ = setting
    batch = batch_of(source, images, samples)
    ascent = AdaptiveAscent(build_objective('cross_entropy'), 5)
    found = images
    with torch.no_grad(), source.undisturbed():
        for radius in (8.0, 6.0, 4.0):
            found = ascent(batch, found, BALLS['linf'](radius)).images
            assert (found - images).abs().max() == pytest.approx(radius, abs=1e-3)


def test_each_image_its_own_radius(setting):
    source, images, samples, _ = setting
    radii = torch.tensor([0.0, 1, 2, 3, 4, 5])
    batch = batch_of(source, images, samples)
    ascent = AdaptiveAscent(build_objective('cross_entropy'), 6)
    with torch.no_grad(), source.undisturbed():
        found = ascent(batch, images, BALLS['linf'](radii)).images
    torch.testing.assert_close((found - images).flatten(1).abs().amax(1), radii, atol=1e-3, rtol=0)


def test_averages_over_samples_of_a_random_defense_and_over_models(setting, make_classifier):
    source, images, samples, _ = setting
    calls = []

    def defense(images, randomness):
        calls.append(len(images))
        return images + randomness.normal_like(images)

    noisy = AttackSource(source.model, defense=defense, eot_samples=3)
    result = APGD(eps=4, steps=5).run(noisy, images, samples, Randomness(list(range(6))))
    assert result.queries.tolist() == [3 * 6] * 6
    calls.clear()
    result = APGD(eps=4, steps=5, eot_samples=2).run(noisy, images, samples, Randomness(list(range(6))))
    assert result.queries.tolist() == [2 * 6] * 6 and sum(calls) == 6 * 2 * 6
    for combine in ('logits', 'losses'):
        both = EnsembleSource([source, AttackSource(make_classifier(seed=5))], combine)
        result = APGD(eps=4, steps=8).run(both, images, samples, Randomness(list(range(6))))
        assert result.queries.tolist() == [9] * 6
        before, after = (
            torch.stack([host_loss(own, part, samples) for own in both.sources]) for part in (images, result.images)
        )
        assert (after > before).all()


def host_loss(source, images, samples):
    with torch.no_grad(), source.undisturbed():
        labels = torch.cat([sample.gt_label for sample in samples])
        return F.cross_entropy(source.logits(images), labels, reduction='none')


def test_is_stronger_than_pgd_of_as_many_steps(setting):
    source, images, samples, _ = setting
    seeds = Randomness(list(range(6)))
    ours = APGD(eps=1, steps=20).run(source, images, samples, seeds).images
    pgd = build_attack(dict(type='PGD', eps=1, step_size=1, steps=20)).run(source, images, samples, seeds).images
    assert (host_loss(source, ours, samples) >= host_loss(source, pgd, samples) - 1e-4).all()


def test_host_losses_are_adapted_to_each_image(setting):
    """The host's own loss is a mean over the batch; an image's steps must not depend on the others."""
    source, images, samples, _ = setting
    attack = APGD(eps=4, steps=8, objective='task_loss')
    whole = attack.run(source, images, samples, Randomness(list(range(6))))
    alone = attack.run(source, images[2:3], samples[2:3], Randomness([2]))
    assert ((whole.images[2:3] - alone.images).abs() < 1e-2).float().mean() > 0.99
    assert (host_loss(source, whole.images, samples) > host_loss(source, images, samples)).all()
    assert whole.queries.tolist() == [9] * 6


def test_without_labels(tiny_classifier, make_images):
    from mmpretrain.structures import DataSample

    images = make_images(2, 3, 8, 8)
    attack = APGD(eps=4, steps=4, objective='kl', random_start='normal')
    assert not attack.needs_labels
    result = attack.run(AttackSource(tiny_classifier), images, [DataSample(), DataSample()], Randomness(0))
    assert (result.images - images).abs().max() > 1


def test_fools_without_class_scores(setting):
    from mmadvdefense.attacks.batch import RecordingBatch

    view = RecordingBatch.of(batch_of(*setting[:3]))
    assert fools(view).tolist() == [0] * 6
    view.answer = F.one_hot(setting[3], 5).float()
    view.answer[1] = view.answer[1].roll(1)
    assert fools(view).tolist() == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(eps=8, rho=0), 'rho is a share'),
        (dict(eps=8, rho=1.5), 'rho is a share'),
        (dict(eps=8, steps=0), 'steps must be an integer'),
        (dict(eps=8, eot_samples=0), 'eot_samples must be an integer'),
        (dict(eps=8, random_start=None, restarts=2), 'all restarts would be the same'),
        (dict(eps=8, objective='kl', targeted='random'), 'no targeted form'),
        (dict(eps=8, step_size=2), 'step_size'),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='APGD', **settings))
