"""DeepFool on models whose boundaries are known, and beside torchattacks."""

import math

import pytest
import torch
from fixtures.known_boundaries import labels_of, logits_of, size

from mmadvdefense.attacks import AttackSource, DeepFool, EnsembleSource, Randomness, build_attack
from mmadvdefense.attacks.targets import target_choice

SIDE = 4


def distances_by_hand(model, images, labels, norm):
    """Of each image to the nearest boundary of a linear model; 0 where it errs already."""
    logits = logits_of(model, images)
    normals = (model.head.fc.weight.detach().view(3, 3, -1) / model.data_preprocessor.std.view(3, 1)).flatten(1)
    rows = torch.arange(len(labels))
    leads = logits - logits[rows, labels][:, None]
    size = (normals[None] - normals[labels][:, None]).norm(2 if norm == 'l2' else 1, dim=2)
    leads[rows, labels], size[rows, labels] = -math.inf, 1
    return (-leads / size).amin(1).clamp(min=0)


def run(attack, model, images, samples, **settings):
    return build_attack({'type': attack, **settings}).run(
        AttackSource(model), images, samples, Randomness(list(range(len(images))))
    )


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_distance_to_the_boundaries_of_a_linear_model(norm, linear, grey):
    images, samples = grey
    labels = labels_of(samples)
    expected = distances_by_hand(linear, images, labels, norm)
    assert 3 <= (expected > 0).sum() < len(images)
    result = run('DeepFool', linear, images, samples, norm=norm, overshoot=0.02)
    found = size(result.images - images, norm)
    torch.testing.assert_close(found, 1.02 * expected, rtol=1e-3, atol=2e-3)
    assert (logits_of(linear, result.images).argmax(1) != labels).all()
    # One look at the image and, if that was right, one at where it went.
    assert result.queries.tolist() == [2 if distance > 0 else 1 for distance in expected]
    assert torch.equal(result.images[expected == 0], images[expected == 0])


def test_the_two_norms_are_not_one(linear, grey):
    l2, linf = (run('DeepFool', linear, *grey, norm=norm).images - grey[0] for norm in ('l2', 'linf'))
    moved = l2.flatten(1).norm(dim=1) > 0
    assert (size(l2, 'l2') < size(linf, 'l2'))[moved].all()
    assert (size(linf, 'linf') < size(l2, 'linf'))[moved].all()
    # All pixels go equally far, which is the cheapest in L-infinity.
    values = linf[moved].abs().flatten(1)
    torch.testing.assert_close(values.amin(1), values.amax(1), rtol=1e-3, atol=1e-3)


def test_one_candidate_is_the_most_likely_class_not_the_nearest(linear, grey):
    """Class 1 has the higher score, but class 2 pulls ten times as hard."""
    images, samples = grey[0][:1], grey[1][:1]
    fc = linear.head.fc
    with torch.no_grad():
        fc.weight.zero_()
        fc.weight[1], fc.weight[2] = 0.01, 0.1
        fc.bias.zero_()
        fc.bias.copy_(torch.tensor([2.0, 1.0, 0.0]) - logits_of(linear, images)[0])
    nearest, likeliest = (
        run('DeepFool', linear, images, samples, norm='linf', num_candidates=number, steps=1).images
        for number in (10, 1)
    )
    reach = (1 / linear.data_preprocessor.std).sum().item() * SIDE**2
    assert size(nearest - images, 'linf').item() == pytest.approx(1.02 * 2 / (0.1 * reach), rel=2e-2)
    assert size(likeliest - images, 'linf').item() == pytest.approx(1.02 * 1 / (0.01 * reach), rel=2e-2)
    assert logits_of(linear, nearest).argmax() == 2


@pytest.mark.parametrize('norm', ['l2', 'linf'])
def test_an_image_on_a_boundary_leaves_it(norm, linear, grey):
    images, samples = grey[0][:1], grey[1][:1]
    with torch.no_grad():
        linear.head.fc.bias.zero_()
        linear.head.fc.bias.copy_(torch.tensor([1.0, 1.0, 0.0]) - logits_of(linear, images)[0])
    adversarial = run('DeepFool', linear, images, samples, norm=norm).images
    assert logits_of(linear, adversarial).argmax() != 0
    assert 0 < size(adversarial - images, 'linf').item() < 0.1


@pytest.fixture
def mostly_right(tiny_classifier, make_images, make_samples):
    """Six images of 12 x 10 pixels, of which the model gets all but the first right."""
    images, samples = make_images(6, 3, 12, 10), make_samples(6)
    labels = logits_of(tiny_classifier, images).argmax(1)
    labels[0] = (labels[0] + 1) % 5
    for sample, label in zip(samples, labels):
        sample.set_gt_label(int(label))
    return images, samples


@pytest.mark.parametrize('norm, eps', [('linf', 1.0), ('l2', 15.0)])
def test_bounded_is_the_minimal_change_projected(norm, eps, tiny_classifier, mostly_right):
    images, samples = mostly_right
    minimal = run('DeepFool', tiny_classifier, images, samples, norm=norm).images
    bounded = run('DeepFool', tiny_classifier, images, samples, norm=norm, eps=eps).images
    assert size(minimal - images, norm).max() > eps >= size(bounded - images, norm).max() - 1e-3
    expected = DeepFool(eps=eps, norm=norm).ball.project(minimal, images)
    torch.testing.assert_close(bounded, expected)
    inside = size(minimal - images, norm) <= eps
    torch.testing.assert_close(bounded[inside], minimal[inside])


@pytest.mark.parametrize('norm, eps', [('linf', 6.0), ('l2', 60.0)])
def test_filling_the_ball_goes_on_in_the_direction_found(norm, eps, linear, grey):
    images, samples = grey
    minimal = run('DeepFool', linear, images, samples, norm=norm)
    filled = run('DeepFool', linear, images, samples, norm=norm, eps=eps, fill=True)
    found, delta = minimal.images - images, filled.images - images
    moved = size(found, norm) > 0
    assert moved.sum() >= 3 and size(found, norm).max() < eps, 'or nothing is made longer'
    torch.testing.assert_close(size(delta, norm), torch.where(moved, eps, 0.0), rtol=1e-4, atol=1e-3)
    factor = torch.where(moved, eps / size(found, norm), 0).view(-1, 1, 1, 1)
    torch.testing.assert_close(delta, factor * found, rtol=1e-3, atol=1e-2)
    assert torch.equal(filled.queries, minimal.queries)


def test_filling_leaves_what_is_too_long_to_the_projection(tiny_classifier, mostly_right):
    images, samples = mostly_right
    minimal = run('DeepFool', tiny_classifier, images, samples, norm='linf').images
    eps = size(minimal - images, 'linf').median().item()
    projected, filled = (
        run('DeepFool', tiny_classifier, images, samples, eps=eps, fill=fill).images for fill in (False, True)
    )
    outside = size(minimal - images, 'linf') >= eps
    assert 0 < outside.sum() < len(images)
    torch.testing.assert_close(filled[outside], projected[outside])
    assert size(filled - images, 'linf').max() <= eps + 1e-3


def rivals_of(model, images, target, norm):
    """How far a linear model's images are from where ``target`` beats each other class, ``(3, N)``; 0 where it does."""
    logits, rows = logits_of(model, images), torch.arange(len(images))
    normals = (model.head.fc.weight.detach().view(3, 3, -1) / model.data_preprocessor.std.view(3, 1)).flatten(1)
    lag = logits - logits[rows, target][:, None]
    reach = (normals[None] - normals[target][:, None]).norm(2 if norm == 'l2' else 1, dim=2)
    reach[rows, target] = 1
    return (lag / reach).clamp(min=0).T


@pytest.mark.parametrize('norm', ['l2', 'linf'])
@pytest.mark.parametrize('choice', ['top_wrong', 'top_wrong_2', 'least_likely'])
def test_distance_to_a_target_of_a_linear_model(choice, norm, linear, grey):
    images, samples = grey
    logits, labels = logits_of(linear, images), labels_of(samples)
    target = target_choice(choice)(logits, labels, Randomness(0))
    result = run('DeepFool', linear, images, samples, norm=norm, targeted=choice, steps=20)
    assert torch.equal(logits_of(linear, result.images).argmax(1), target)
    found, needed = size(result.images - images, norm), rivals_of(linear, images, target, norm)
    there = logits.argmax(1) == target
    assert torch.equal(result.images[there], images[there]) and (found[~there] > 0).all()
    # No shorter way can lead past every other class, and the first step goes to the best one's boundary.
    assert (found >= needed.amax(0) - 1e-3).all()
    one = result.queries == 2
    best = needed.gather(0, logits.argmax(1)[None])[0]
    torch.testing.assert_close(found[one], 1.02 * best[one], rtol=1e-3, atol=2e-3)
    assert one.sum() >= 2


def test_a_target_is_named_in_tables():
    attack = DeepFool(eps=8, targeted='top_wrong_3', fill=True)
    assert attack.describe() == 'DeepFool (L-inf 8, 50 steps, target class: top wrong 3, scaled to eps)'
    assert DeepFool(targeted='random').stochastic and not DeepFool(targeted='top_wrong').stochastic


def test_norms_are_those_of_the_form_and_tables_name_them():
    assert DeepFool().describe() == 'DeepFool (minimal L2, 50 steps)'
    assert DeepFool(norm='linf', steps=20).describe() == 'DeepFool (minimal L-inf, 20 steps)'
    assert DeepFool(eps=7.9).describe() == 'DeepFool (L-inf 7.9, 50 steps, projected)'
    assert DeepFool(eps=100, norm='l2').describe() == 'DeepFool (L2 100, 50 steps, projected)'


def test_as_near_as_torchattacks(tiny_classifier, mostly_right, as_library_model):
    torchattacks = pytest.importorskip('torchattacks')
    tiny_classifier.eval()
    images, samples = mostly_right
    labels = labels_of(samples)
    library = torchattacks.DeepFool(as_library_model(tiny_classifier), steps=50, overshoot=0.02)
    theirs = library(images / 255, labels) * 255
    ours = run('DeepFool', tiny_classifier, images, samples).images
    assert (logits_of(tiny_classifier, ours).argmax(1) != labels).all()
    torch.testing.assert_close(size(ours - images, 'l2'), size(theirs - images, 'l2'), rtol=0.03, atol=0.02)


def test_pixels_stay_in_their_range(tiny_classifier, mostly_right):
    images = mostly_right[0].div(255).round().mul(255)
    adversarial = run('DeepFool', tiny_classifier, images, mostly_right[1]).images
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    assert (adversarial != images).any()


@pytest.mark.parametrize('settings', [{}, dict(norm='linf'), dict(eps=4)], ids=str)
def test_an_image_does_not_depend_on_its_batch(settings, tiny_classifier, mostly_right):
    images, samples = mostly_right
    together = run('DeepFool', tiny_classifier, images, samples, **settings)
    assert len(together.queries.unique()) > 1
    for index in range(6):
        alone = run('DeepFool', tiny_classifier, images[index : index + 1], samples[index : index + 1], **settings)
        torch.testing.assert_close(alone.images[0], together.images[index], atol=1e-2, rtol=0)
        assert alone.queries[0] == together.queries[index]


@pytest.mark.parametrize('settings', [{}, dict(norm='linf'), dict(eps=4)], ids=str)
def test_images_of_different_sizes(settings, pointwise_classifier, make_images):
    from mmpretrain.structures import DataSample

    source = AttackSource(pointwise_classifier)
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4)])]
    with torch.no_grad(), source.undisturbed():
        samples = [DataSample().set_gt_label(source.logits([image]).argmax(1)) for image in images]
    together = run('DeepFool', pointwise_classifier, images, samples, **settings).images
    for image, sample, adversarial in zip(images, samples, together):
        assert adversarial.shape == image.shape and not torch.equal(adversarial, image)
        alone = run('DeepFool', pointwise_classifier, [image], [sample], **settings).images[0]
        torch.testing.assert_close(adversarial, alone, atol=5e-2, rtol=0)


def test_every_forward_pass_is_a_query(tiny_classifier, mostly_right):
    seen = []
    tiny_classifier.register_forward_pre_hook(lambda model, args: seen.append(len(args[0])))
    result = run('DeepFool', tiny_classifier, *mostly_right)
    assert result.queries.sum() == sum(seen) > 6
    assert result.queries.max() <= 50


def test_the_model_is_left_as_it_was(tiny_classifier, mostly_right):
    before = {name: value.clone() for name, value in tiny_classifier.state_dict().items()}
    run('DeepFool', tiny_classifier, *mostly_right)
    assert all(torch.equal(tiny_classifier.state_dict()[name], value) for name, value in before.items())
    assert all(module.training for module in tiny_classifier.modules())
    assert all(p.requires_grad and p.grad is None for p in tiny_classifier.parameters())


def test_the_mean_scores_of_an_ensemble_have_boundaries_too(make_classifier, mostly_right):
    images, samples = mostly_right
    models = [make_classifier(seed=seed).eval() for seed in (0, 3)]
    source = EnsembleSource([AttackSource(model) for model in models])
    labels = sum(logits_of(model, images) for model in models).argmax(1)
    for sample, label in zip(samples, labels):
        sample.set_gt_label(int(label))
    adversarial = DeepFool()(source, images, samples, Randomness(0))
    assert (sum(logits_of(model, adversarial) for model in models).argmax(1) != labels).all()


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(targeted='nearest'), "DeepFool: unknown choice of target 'nearest'"),
        (dict(fill=True), 'DeepFool: fill needs the radius eps of a ball'),
        (dict(steps=0), 'DeepFool: steps must be an integer >= 1, got 0'),
        (dict(steps=2.5), 'steps .* got 2.5'),
        (dict(num_candidates=0), 'num_candidates .* got 0'),
        (dict(overshoot=-0.1), 'overshoot .* >= 0, got -0.1'),
        (dict(success_threshold=0), r'success_threshold .* \(0, 1\], got 0'),
        (dict(norm='l1'), "unknown norm 'l1'"),
        (dict(eps=-1), 'eps .* got -1'),
        (dict(step_size=2), 'DeepFool: .*step_size'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack(dict(type='DeepFool', **settings))


def test_a_single_score_has_no_boundary(make_classifier, image_batch):
    model = make_classifier(num_classes=1)
    for sample in image_batch.samples:
        sample.set_gt_label(0)
    with pytest.raises(ValueError, match='single class score'):
        run('DeepFool', model, image_batch.images, image_batch.samples)


def test_who_may_only_ask_has_no_gradients(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier, gradients=False)
    with pytest.raises(ValueError, match='DeepFool needs gradients'):
        DeepFool()(source, image_batch.images, image_batch.samples, Randomness(0))
    with pytest.raises(ValueError, match='does not average'):
        DeepFool()(AttackSource(tiny_classifier, eot_samples=2), image_batch.images, image_batch.samples, Randomness(0))
