"""DAG on a linear classifier, where its steps are known; on segmentors: ``test_dense.py``."""

import pytest
import torch
from fixtures.known_boundaries import logits_of

from mmadvdefense.attacks import DAG, AttackSource, Randomness, build_attack
from mmadvdefense.attacks.targets import target_choice


@pytest.fixture
def right(linear, make_images, make_samples):
    """Grey images that the model gets right, but for the first."""
    images, samples = 128 + (make_images(6, 3, 4, 4) - 128) / 16, make_samples(6, 3)
    labels = logits_of(linear, images).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    for sample, label in zip(samples, labels.tolist()):
        sample.set_gt_label(label)
    return images, samples, labels


def run(model, images, samples, **settings):
    attack = build_attack(dict(type='DAG', **settings))
    return attack.run(AttackSource(model), images, samples, Randomness(list(range(len(images)))))


@pytest.mark.parametrize('norm', ['linf', 'l2'])
@pytest.mark.parametrize('towards', [None, 'least_likely'])
def test_one_step_by_hand(norm, towards, linear, right):
    images, samples, labels = right
    logits = logits_of(linear, images)
    ranks = logits.argsort(1, descending=True)
    adversarial_class = ranks[:, 1] if towards is None else ranks[:, 2]
    normals = (linear.head.fc.weight.detach().view(3, 3, -1) / linear.data_preprocessor.std.view(3, 1)).flatten(1)
    direction = normals[adversarial_class] - normals[labels]
    size = direction.abs().amax(1) if norm == 'linf' else direction.norm(dim=1)
    expected = 0.5 * direction / size[:, None]
    expected[0] = 0
    result = run(linear, images, samples, norm=norm, towards=towards, steps=1)
    torch.testing.assert_close((result.images - images).flatten(1), expected, atol=1e-4, rtol=1e-4)


def test_goes_on_until_the_image_is_wrong(linear, right):
    images, samples, labels = right
    result = run(linear, images, samples, gamma=0.25)
    assert (logits_of(linear, result.images).argmax(1) != labels).all()
    assert result.queries[0] == 1 and (result.queries[1:] > 2).all()
    # One step fewer is not enough; without clipping, each goes a quarter of a pixel further.
    size = (result.images - images).abs().flatten(1).amax(1)
    torch.testing.assert_close(size, 0.25 * (result.queries - 1), atol=1e-3, rtol=0)
    before = images + (result.images - images) * (1 - 1 / (result.queries - 1).clamp(min=1)).view(-1, 1, 1, 1)
    assert (logits_of(linear, before).argmax(1) == labels)[1:].all()


def test_a_target_is_reached(linear, right):
    images, samples, labels = right
    target = target_choice('least_likely')(logits_of(linear, images), labels, Randomness(0))
    adversarial = run(linear, images, samples, targeted='least_likely').images
    assert torch.equal(logits_of(linear, adversarial).argmax(1), target)


def test_every_step_stays_in_the_ball(linear, right):
    images, samples, _ = right
    result = run(linear, images, samples, eps=1, steps=9)
    size = (result.images - images).abs().flatten(1).amax(1)
    assert (size <= 1 + 1e-4).all() and result.queries.max() == 9
    # Values that reach the edge early leave the others their turn: more than the last step, cut off, would give.
    assert (result.images - images)[result.queries == 9].abs().eq(1).flatten(1).sum(1).min() > 1
    filled = run(linear, images, samples, eps=30, steps=200, fill=True).images
    size = (filled - images).abs().flatten(1).amax(1)
    assert size[0] == 0 and (size[1:] > 29.9).all()


def test_tables_name_it():
    assert DAG().describe() == 'DAG (minimal L-inf, 200 steps)'
    assert DAG(eps=8, towards='random').describe() == 'DAG (L-inf 8, 200 steps, projected, towards class: random)'
    assert DAG(towards='random').stochastic and DAG(targeted=True).stochastic and not DAG().stochastic


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(gamma=0), r'DAG: gamma is the size of a step in pixels \(0-255\) and must be > 0, got 0'),
        (dict(towards='nearest'), "DAG: unknown choice of target 'nearest'"),
        (dict(towards='random', targeted=True), 'DAG: targeted already says .* leave out towards'),
        (dict(success_threshold=2), 'DAG: success_threshold .* got 2'),
        (dict(steps=0), 'DAG: steps .* got 0'),
        (dict(fill=True), 'DAG: fill needs the radius eps'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='DAG', **settings))
