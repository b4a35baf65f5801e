"""FAB on models whose boundaries are known, its steps beside a search by bisection, and beside torchattacks."""

import math

import pytest
import torch
from fixtures.known_boundaries import labels_of, logits_of, size

from mmadvdefense.attacks import FAB, AttackSource, EnsembleSource, Randomness, build_attack
from mmadvdefense.attacks.minimal.fab import step_to_plane


def by_bisection(point, normal, missing, norm):
    """The step of one image of numbers, without a sorted list: its length grows until it meets the plane."""
    way = normal * math.copysign(1, missing)
    room = torch.where(way > 0, 255 - point, point)
    speed = way.abs() if norm == 'l2' else (way != 0).double()

    def at(reach):
        return torch.minimum(reach * speed, room) * way.sign()

    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (at(middle) * way).sum() < abs(missing) else (low, middle)
    return at(high)


@pytest.mark.parametrize('norm', ['linf', 'l2'])
@pytest.mark.parametrize('reach', [0.01, 0.5, 3.0, 40.0, 1e4])
def test_the_shortest_step_to_a_plane_inside_the_pixel_range(norm, reach, make_images):
    """From a plane that is near to one beyond the range, on either side."""
    points = make_images(6, 3, 5, 4).double()
    normal = torch.randn(6, 3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    normal[0, 0], normal[1, :, 0] = 0, 1e-3
    missing = reach * normal.abs().sum((1, 2, 3)) * torch.tensor([1, -1, 1, -1, 1, -1])
    steps = step_to_plane(points, normal, missing, norm)
    assert (points + steps).min() >= 0 and (points + steps).max() <= 255
    for index in range(6):
        expected = by_bisection(points[index], normal[index], missing[index].item(), norm)
        torch.testing.assert_close(steps[index], expected, rtol=1e-5, atol=1e-5)
    met = ((normal * steps).sum((1, 2, 3)) - missing).abs() < 1e-6 * missing.abs()
    assert met.all() if reach < 1 else reach < 1e4 or not met.any()


def test_no_step_without_a_direction(make_images):
    points, normal = make_images(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    normal[2] = torch.nan
    assert not step_to_plane(points, normal, torch.tensor([1.0, 0, 1.0]), 'linf').any()
    normal[:] = 1e-30  # whose square is 0
    steps = step_to_plane(torch.full_like(points, 100), normal, torch.full((3,), 48e-30), 'l2')
    torch.testing.assert_close(steps, torch.ones_like(points), rtol=1e-3, atol=0)


def run(model, images, samples, **settings):
    attack = build_attack(dict(type='FAB', **settings))
    return attack.run(AttackSource(model), images, samples, Randomness(list(range(len(images)))))


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_distance_to_the_boundaries_of_a_linear_model(norm, linear, grey):
    images, samples = grey
    labels, logits, rows = labels_of(samples), logits_of(linear, images), torch.arange(9)
    normals = (linear.head.fc.weight.detach().view(3, 3, -1) / linear.data_preprocessor.std.view(3, 1)).flatten(1)
    leads = logits - logits[rows, labels][:, None]
    reach = (normals[None] - normals[labels][:, None]).norm(2 if norm == 'l2' else 1, dim=2)
    leads[rows, labels], reach[rows, labels] = -math.inf, 1
    expected = (-leads / reach).amin(1).clamp(min=0)
    result = run(linear, images, samples, norm=norm, steps=20)
    # The boundary is crossed by a twentieth of the step, and approached again from nine tenths of the way.
    assert (logits_of(linear, result.images).argmax(1) != labels).all()
    found = size(result.images - images, norm)
    assert (found >= expected - 1e-3).all()
    torch.testing.assert_close(found, expected, rtol=0.01, atol=2e-3)
    assert torch.equal(result.images[expected == 0], images[expected == 0])
    # Two classes of 20 steps with two queries each, after one for the clean image.
    assert result.queries.tolist() == [1 + 80 if distance > 0 else 1 for distance in expected]


@pytest.fixture
def mostly_right(tiny_classifier, make_images, make_samples):
    """Six images of 12 x 10 pixels, of which the model gets all but the first right."""
    images, samples = make_images(6, 3, 12, 10), make_samples(6)
    labels = logits_of(tiny_classifier, images).argmax(1)
    labels[0] = (labels[0] + 1) % 5
    for sample, label in zip(samples, labels):
        sample.set_gt_label(int(label))
    return images, samples


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_as_near_as_torchattacks(norm, tiny_classifier, mostly_right, as_library_model):
    torchattacks = pytest.importorskip('torchattacks')
    tiny_classifier.eval()
    images, samples = mostly_right
    labels, sizes = labels_of(samples), []
    theirs = 'Linf' if norm == 'linf' else 'L2'
    library = torchattacks.FAB(as_library_model(tiny_classifier), theirs, steps=20, multi_targeted=True, n_classes=5)
    # One class after the other, each of which theirs would leave out once another is near enough.
    for library.target_class in range(2, 6):
        theirs = library.attack_single_run_targeted(images / 255, labels) * 255
        sizes.append(size(theirs - images, norm))
    ours = run(tiny_classifier, images, samples, norm=norm, steps=20)
    assert (logits_of(tiny_classifier, ours.images).argmax(1) != labels).all()
    torch.testing.assert_close(size(ours.images - images, norm)[1:], torch.stack(sizes).amin(0)[1:], rtol=0.03, atol=0)
    assert torch.equal(ours.images[0], images[0])


def test_with_a_budget_an_image_is_done_once_something_is_found_inside(tiny_classifier, mostly_right):
    images, samples = mostly_right
    minimal = run(tiny_classifier, images, samples, steps=10)
    needed = size(minimal.images - images, 'linf')[1:]
    eps = needed.median().item() + 1e-3
    bounded = run(tiny_classifier, images, samples, steps=10, eps=eps)
    fooled = logits_of(tiny_classifier, bounded.images).argmax(1) != labels_of(samples)
    assert (fooled[1:] | (needed > eps)).all() and size(bounded.images - images, 'linf').max() <= eps + 1e-3
    # All four classes, or fewer for those that were done.
    inside, everything = needed <= eps, 1 + 4 * 10 * 2
    assert (bounded.queries[1:][~inside] == everything).all() and bounded.queries[1:][inside].min() < everything
    assert (bounded.queries <= minimal.queries).all()


@pytest.mark.parametrize('settings', [dict(norm='l2'), dict(norm='linf'), dict(eps=1)], ids=str)
def test_an_image_does_not_depend_on_its_batch(settings, tiny_classifier, mostly_right):
    images, samples = mostly_right
    together = run(tiny_classifier, images, samples, steps=5, **settings)
    for index in (0, 3, 5):
        alone = run(tiny_classifier, images[index : index + 1], samples[index : index + 1], steps=5, **settings)
        torch.testing.assert_close(alone.images[0], together.images[index], atol=2e-2, rtol=0)
        assert alone.queries[0] == together.queries[index]


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_images_of_different_sizes(norm, pointwise_classifier, make_images):
    from mmpretrain.structures import DataSample

    source = AttackSource(pointwise_classifier)
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4)])]
    with torch.no_grad(), source.undisturbed():
        samples = [DataSample().set_gt_label(source.logits([image]).argmax(1)) for image in images]
    together = run(pointwise_classifier, images, samples, norm=norm, steps=5).images
    for image, sample, adversarial in zip(images, samples, together):
        assert adversarial.shape == image.shape and not torch.equal(adversarial, image)
        alone = run(pointwise_classifier, [image], [sample], norm=norm, steps=5).images[0]
        assert size((adversarial - alone)[None], norm) < 0.02 * size((alone - image)[None], norm)


def test_an_ensemble(make_classifier, mostly_right):
    images, samples = mostly_right
    models = [make_classifier(seed=seed).eval() for seed in (0, 3)]
    source = EnsembleSource([AttackSource(model) for model in models])
    labels = sum(logits_of(model, images) for model in models).argmax(1)
    for sample, label in zip(samples, labels):
        sample.set_gt_label(int(label))
    adversarial = FAB(steps=10)(source, images, samples, Randomness(0))
    assert (sum(logits_of(model, adversarial) for model in models).argmax(1) != labels).all()
    source.combine = 'losses'
    with pytest.raises(ValueError, match="combine='logits' only"):
        FAB(steps=10)(source, images, samples, Randomness(0))


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(steps=0), 'FAB: steps must be an integer >= 1, got 0'),
        (dict(num_targets=0), 'num_targets .* got 0'),
        (dict(alpha_max=1.1), 'alpha_max is a share'),
        (dict(beta=-0.1), 'beta is a share'),
        (dict(eta=0.9), 'eta must be >= 1'),
        (dict(norm='l1'), "unknown norm 'l1'"),
        (dict(eps=-1), 'eps .* got -1'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='FAB', **settings))


def test_unsuitable_sources(make_classifier, image_batch, tiny_classifier):
    model = make_classifier(num_classes=1)
    for sample in image_batch.samples:
        sample.set_gt_label(0)
    with pytest.raises(ValueError, match='single class score'):
        run(model, image_batch.images, image_batch.samples)
    source = AttackSource(tiny_classifier)
    source.task.one_label = False
    with pytest.raises(ValueError, match='FAB needs one predicted class per image.*DeepFool'):
        FAB()(source, image_batch.images, image_batch.samples, Randomness(0))


def test_tables_name_it():
    assert FAB().describe() == 'FAB (minimal L-inf, 100 steps, 9 targets)'
