"""The proximal step in L-infinity, and the attacks made of it, where the nearest image is known."""

import math

import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.minimal.alma_prox import penalty_slope
from mmadvdefense.attacks.minimal.proximal import Constraints, NearestImages, prox_linf
from mmadvdefense.attacks.targets import target_choice

ATTACKS = {'ALMAProx': dict(steps=400, learning_rate=3e-3), 'PDPGD': dict(steps=300)}
# How much farther than the boundary an image may be; most are within 2 %.
SLACK = 1.15
BOTH = pytest.mark.parametrize('name', ATTACKS)


def run(name, model, images, samples, **settings):
    attack = build_attack({'type': name, **ATTACKS[name], **settings})
    return attack.run(AttackSource(model), images, samples, Randomness(list(range(len(images)))))


def test_prox_by_hand():
    """Two values, 3 and -1, of metric 1 and 2."""
    delta, metric = torch.tensor([[3.0, -1.0]]), torch.tensor([[1.0, 2.0]])
    wide = torch.full_like(delta, 10.0)
    # Only the first is clamped to t: the derivative 1 - (3 - t) is 0 at t = 2.
    found = prox_linf(delta, torch.tensor([1.0]), metric, -wide, wide)
    torch.testing.assert_close(found, torch.tensor([[2.0, -1.0]]), atol=1e-4, rtol=0)
    # With weight 3, both are clamped: 3 - (3 - t) - 2 (1 - t) = 0 at t = 2 / 3.
    found = prox_linf(delta, torch.tensor([3.0]), metric, -wide, wide)
    torch.testing.assert_close(found, torch.tensor([[2 / 3, -2 / 3]]), atol=1e-4, rtol=0)
    # A weight above the sum of all pulls leaves nothing, and none leaves everything that the bounds do.
    assert prox_linf(delta, torch.tensor([6.0]), metric, -wide, wide).abs().max() < 1e-4
    found = prox_linf(delta, torch.tensor([0.0]), metric, -wide, torch.tensor([[2.5, 10.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.5, -1.0]]), atol=1e-4, rtol=0)


def test_prox_is_the_minimum():
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(4, 3, 5, 5, generator=generator)
    metric = torch.rand(4, 3, 5, 5, generator=generator) + 0.1
    low, high = (-torch.rand(4, 3, 5, 5, generator=generator) * 2, torch.rand(4, 3, 5, 5, generator=generator) * 2)
    weight = torch.tensor([0.1, 1.0, 5.0, 20.0])

    def value(z):
        return weight * z.flatten(1).abs().amax(1) + 0.5 * (metric * (z - delta) ** 2).flatten(1).sum(1)

    found = prox_linf(delta, weight, metric, low, high)
    assert (found >= low).all() and (found <= high).all()
    radii = torch.linspace(0, 2, 4001)
    inside = delta.clamp(low, high)
    by_search = torch.stack([value(inside.clamp(-radius, radius)) for radius in radii]).amin(0)
    torch.testing.assert_close(value(found), by_search, atol=1e-3, rtol=1e-4)
    for _ in range(20):
        other = (found + 0.05 * torch.randn(found.shape, generator=generator)).clamp(low, high)
        assert (value(other) >= value(found) - 1e-4).all()
    alone = prox_linf(delta[1:2], weight[1:2], metric[1:2], low[1:2], high[1:2])
    assert torch.equal(alone[0], found[1])


def test_penalty_slope_by_hand():
    value, rho = torch.tensor([2.0, -1.0, 0.0, -1.0]), torch.tensor([0.5, 2.0, 3.0, 0.1])
    mu = torch.tensor([0.25, 0.9, 0.7, 0.4])
    # 0.25 + 2 * 0.25 * 0.5 * 2 + 0.5 * 1; 0.9 / 3^2; the slope at 0 is mu; below 0, rho is at least 1: 0.4 / 2^2.
    expected = torch.tensor([1.25, 0.1, 0.7, 0.1])
    torch.testing.assert_close(penalty_slope(value, rho, mu), expected)


def test_the_hardest_pixels_are_left_out():
    gap = torch.tensor([[5.0, 4, 3, 2, 1, 0, -1, -2, -3, -4], [9.0, 8, 1, 2, 3, 9, 9, 9, 9, 9]])
    known = torch.ones(2, 10, dtype=torch.bool)
    known[1, 5:] = False
    constraints = Constraints(gap[:, None], gap, known, missable=torch.tensor([4, 2]), most_missable=4)
    assert constraints.met.sum(1).tolist() == [4, 0] and constraints.share.tolist() == pytest.approx([0.4, 0])
    for progress, left_out in ((0, [0, 0]), (0.5, [2, 1]), (1, [4, 2])):
        chosen = constraints.easiest(gap, progress)
        assert (known & ~chosen).sum(1).tolist() == left_out
        assert (chosen & ~known).sum() == 0
    assert not constraints.easiest(gap, 1)[0, :4].any() and not constraints.easiest(gap, 1)[1, :2].any()


def test_the_nearest_image_is_kept():
    nearest = NearestImages(torch.zeros(1, 3, 1, 1))

    def offer(value, size, share, reached):
        nearest.offer(torch.full((1, 3, 1, 1), value), *(torch.tensor([item]) for item in (size, share, reached)))
        return nearest.images.flatten()[0].item()

    assert offer(1.0, 5.0, 0.5, False) == 1
    assert offer(2.0, 1.0, 0.4, False) == 1, 'fewer pixels'
    assert offer(2.5, 6.0, 0.5, False) == 2.5, 'the later of equals'
    assert offer(3.0, 9.0, 0.6, False) == 3
    assert offer(4.0, 9.5, 0.99, True) == 4, 'the first that reaches the goal'
    assert offer(5.0, 1.0, 0.98, False) == 4
    assert offer(6.0, 9.5, 1.0, True) == 4, 'no nearer'
    assert offer(7.0, 2.0, 0.99, True) == 7


# --- a linear classifier: the distance to its boundaries is known ---------------------------------------------------


def logits_of(model, images):
    """The model as its authors would run it."""
    native, training = model.data_preprocessor, model.training
    logits = model.eval()((images - native.mean) / native.std)
    model.train(training)
    return logits.detach()


@pytest.fixture
def grey(make_images, make_samples):
    """Images far from black and white, so that no pixel meets the end of its range."""
    return 128 + (make_images(9, 3, 4, 4) - 128) / 16, make_samples(9, 3)


def distances_by_hand(model, images, labels):
    """In L-infinity, of each image to the nearest boundary of its class; 0 beyond it."""
    logits, rows = logits_of(model, images), torch.arange(len(labels))
    normals = (model.head.fc.weight.detach().view(3, 3, -1) / model.data_preprocessor.std.view(3, 1)).flatten(1)
    reach = (normals[None] - normals[labels][:, None]).abs().sum(2)
    lead = logits[rows, labels][:, None] - logits
    lead[rows, labels], reach[rows, labels] = math.inf, 1
    return (lead / reach).amin(1).clamp(min=0)


@BOTH
def test_distance_to_the_boundaries_of_a_linear_model(name, linear, grey):
    images, samples = grey
    labels = torch.cat([sample.gt_label for sample in samples])
    expected = distances_by_hand(linear, images, labels)
    assert 3 <= (expected > 0).sum() < len(images)
    result = run(name, linear, images, samples)
    size = (result.images - images).abs().flatten(1).amax(1)
    assert (logits_of(linear, result.images).argmax(1) != labels).all()
    assert torch.equal(result.images[expected == 0], images[expected == 0])
    assert (size >= expected - 1e-3).all()
    assert (size <= SLACK * expected + 0.01).all()
    # One look at the image and, if that was right, one at each step.
    assert result.queries.tolist() == [ATTACKS[name]['steps'] + 1 if distance > 0 else 1 for distance in expected]


@BOTH
@pytest.mark.parametrize('choice', ['top_wrong', 'least_likely'])
def test_a_target_of_a_linear_model(name, choice, linear, grey):
    images, samples = grey
    logits, labels = logits_of(linear, images), torch.cat([sample.gt_label for sample in samples])
    target = target_choice(choice)(logits, labels, Randomness(0))
    adversarial = run(name, linear, images, samples, targeted=choice).images
    assert torch.equal(logits_of(linear, adversarial).argmax(1), target)
    there = logits.argmax(1) == target
    assert torch.equal(adversarial[there], images[there])
    # The distance to the target's half of the space beside the best class is the least that it can take.
    normals = (linear.head.fc.weight.detach().view(3, 3, -1) / linear.data_preprocessor.std.view(3, 1)).flatten(1)
    rows, best = torch.arange(9), logits.argmax(1)
    needed = (logits[rows, best] - logits[rows, target]) / (normals[best] - normals[target]).abs().sum(1)
    size = (adversarial - images).abs().flatten(1).amax(1)
    assert (size >= needed.nan_to_num(0) - 1e-3).all()


@BOTH
def test_within_a_ball(name, linear, grey):
    images, samples = grey
    labels = torch.cat([sample.gt_label for sample in samples])
    distance = distances_by_hand(linear, images, labels)
    eps = distance[distance > 0].median().item() * 1.2
    within, beyond = distance < 0.9 * eps, distance > 1.1 * eps
    assert (within & (distance > 0)).any() and beyond.any()
    bounded = run(name, linear, images, samples, eps=eps, steps=100).images
    wrong = logits_of(linear, bounded).argmax(1) != labels
    assert wrong[within].all() and not wrong[beyond].any()
    size = (bounded - images).abs().flatten(1).amax(1)
    assert size.max() <= eps + 1e-3
    filled = run(name, linear, images, samples, eps=eps, steps=100, fill=True).images
    changed = (bounded != images).flatten(1).any(1)
    assert ((filled - images).abs().flatten(1).amax(1)[changed] > eps - 1e-2).all()


@BOTH
def test_two_classes(name, make_classifier, image_batch):
    """Without a third score to measure leads by."""
    model = make_classifier(num_classes=2)
    labels = logits_of(model, image_batch.images).argmax(1)
    for sample, label in zip(image_batch.samples, labels.tolist()):
        sample.set_gt_label(label)
    adversarial = run(name, model, image_batch.images, image_batch.samples, steps=100, learning_rate=0.02).images
    assert (logits_of(model, adversarial).argmax(1) != labels).all()


@BOTH
def test_images_of_different_sizes(name, pointwise_classifier, make_images):
    from mmpretrain.structures import DataSample

    source = AttackSource(pointwise_classifier)
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4)])]
    with torch.no_grad(), source.undisturbed():
        samples = [DataSample().set_gt_label(source.logits([image]).argmax(1)) for image in images]
    together = run(name, pointwise_classifier, images, samples, steps=20).images
    for image, sample, adversarial in zip(images, samples, together):
        assert adversarial.shape == image.shape and not torch.equal(adversarial, image)
        alone = run(name, pointwise_classifier, [image], [sample], steps=20).images[0]
        torch.testing.assert_close(adversarial, alone, atol=5e-2, rtol=0)


def test_tables_name_them():
    assert build_attack(dict(type='ALMAProx')).describe() == 'ALMAProx (minimal L-inf, 500 steps)'
    assert build_attack(dict(type='PDPGD', eps=8, steps=9)).describe() == 'PDPGD (L-inf 8, 9 steps, projected)'
    assert build_attack(dict(type='ALMAProx', targeted='random')).stochastic
    assert not build_attack(dict(type='PDPGD', targeted='top_wrong')).stochastic


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(norm='l2'), "minimizes the L-infinity norm: norm must be 'linf', got 'l2'"),
        (dict(steps=0), 'steps must be an integer >= 1, got 0'),
        (dict(success_threshold=1.01), r'success_threshold .* \(0, 1\], got 1.01'),
        (dict(success_threshold=0), r'success_threshold .* got 0'),
        (dict(learning_rate=0), 'learning_rate must be > 0, got 0'),
        (dict(final_rate=2), r'final_rate must be in \(0, 1\], got 2'),
        (dict(fill=True), 'fill needs the radius eps of a ball'),
        (dict(eps=-1), 'eps .* got -1'),
        (dict(targeted='nearest'), "unknown choice of target 'nearest'"),
        (dict(step_size=2), '.*step_size'),
    ],
)
@BOTH
def test_bad_settings(name, settings, message):
    with pytest.raises(ValueError, match=f'{name}:? {message}'):
        build_attack(dict(type=name, **settings))


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(type='ALMAProx', check_steps=0), 'ALMAProx: check_steps must be an integer >= 1, got 0'),
        (dict(type='ALMAProx', initial_rho=0), 'ALMAProx: initial_rho must be > 0, got 0'),
        (dict(type='ALMAProx', min_scale=1.5), r'ALMAProx: min_scale must be in \(0, 1\], got 1.5'),
        (dict(type='ALMAProx', rho_growth=0.5), 'ALMAProx: rho_growth must be a factor >= 1, got 0.5'),
        (dict(type='ALMAProx', smoothing=1), r'ALMAProx: smoothing must be in \[0, 1\), got 1'),
        (dict(type='PDPGD', initial_ratio=0), 'PDPGD: initial_ratio must be > 0, got 0'),
        (dict(type='PDPGD', dual_smoothing=1), r'PDPGD: dual_smoothing must be in \[0, 1\), got 1'),
    ],
)
def test_bad_settings_of_one(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(settings)
