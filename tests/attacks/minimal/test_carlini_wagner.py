"""Carlini and Wagner's attack in both forms, against distances known by hand."""

import pytest
import torch
from fixtures.known_boundaries import labels_of, logits_of

from mmadvdefense.attacks import PGD, AttackSource, CarliniWagner, CarliniWagnerBounded, Randomness, build_attack
from mmadvdefense.attacks.objectives import margins
from mmadvdefense.attacks.targets import least_likely_target

SIDE = 4
QUICK = dict(type='CarliniWagner', steps=30, binary_search_steps=4, initial_const=0.1, learning_rate=0.02)
EXACT = dict(type='CarliniWagner', steps=100, binary_search_steps=6, initial_const=0.1, learning_rate=0.005)
BOUNDED = dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5)


@pytest.fixture
def grey(linear, make_images, make_samples):
    """Images far from black and white, of which the model gets all but the first right."""
    images = 128 + (make_images(5, 3, SIDE, SIDE) - 128) / 16
    return images, relabel(linear, images, make_samples(5, 3))


@pytest.fixture
def mostly_right(tiny_classifier, make_images, make_samples):
    """Six images of 12 x 10 pixels, of which the model gets all but the first right."""
    images = make_images(6, 3, 12, 10)
    return images, relabel(tiny_classifier, images, make_samples(6))


def relabel(model, images, samples):
    labels = logits_of(model, images).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    for sample, label in zip(samples, labels):
        sample.set_gt_label(int(label))
    return samples


def distance_to(model, images, labels, rival, margin=0.0):
    """How far a linear model's images are from where ``rival`` beats ``labels`` by a margin."""
    normals = (model.head.fc.weight.detach().view(3, 3, -1) / model.data_preprocessor.std.view(3, 1)).flatten(1)
    logits, rows = logits_of(model, images), torch.arange(len(images))
    lead = logits[rows, rival] - logits[rows, labels]
    return (margin - lead) / (normals[rival] - normals[labels]).norm(dim=1)


def run(config, model, images, samples, **source):
    randomness = Randomness(list(range(len(images))))
    return build_attack(config).run(AttackSource(model, **source), images, samples, randomness)


# --- the smallest L2 change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('confidence', [0.0, 0.5])
def test_distance_to_the_boundaries_of_a_linear_model(confidence, linear, grey):
    images, samples = grey
    labels = labels_of(samples)
    expected = torch.stack(
        [
            distance_to(linear, images, labels, rival, confidence).where(rival != labels, torch.inf)
            for rival in torch.arange(3)[:, None].expand(3, 5)
        ]
    ).amin(0)
    result = run({**EXACT, 'confidence': confidence}, linear, images, samples)
    found = (result.images - images).flatten(1).norm(dim=1)
    assert (margins(logits_of(linear, result.images), labels) >= confidence).all()
    # Nothing nearer can exist, and a descent of finitely many steps ends a little beyond.
    right = expected > 0
    assert (found[right] >= expected[right] - 1e-2).all() and (found[right] <= expected[right] * 1.05).all()
    assert right.tolist() == [False] + [True] * 4
    assert torch.equal(result.images[0], images[0]) and result.queries[0] == 1


def test_targeted(linear, grey):
    images, samples = grey
    labels = labels_of(samples)
    target = least_likely_target(logits_of(linear, images), labels, Randomness(0))
    result = run({**EXACT, 'targeted': 'least_likely'}, linear, images, samples)
    assert torch.equal(logits_of(linear, result.images).argmax(1), target)
    found = (result.images - images).flatten(1).norm(dim=1)
    # Far enough that the target beats every other class.
    others = [other.where(other != target, labels) for other in torch.arange(3)[:, None].expand(3, 5)]
    expected = torch.stack([distance_to(linear, images, other, target) for other in others]).amax(0)
    assert (found >= expected - 1e-2).all() and (found <= expected * 1.1).all()


def test_what_is_not_found_stays_clean(linear, grey):
    """One step from the clean image with a weight that gives no reason to move."""
    images, samples = grey
    config = dict(type='CarliniWagner', steps=1, binary_search_steps=1, initial_const=1e-9)
    result = run(config, linear, images, samples)
    assert torch.equal(result.images, images)
    assert result.queries.tolist() == [1, 2, 2, 2, 2]


def test_images_that_no_longer_improve_are_not_asked_about(tiny_classifier, mostly_right):
    seen = []
    tiny_classifier.register_forward_pre_hook(lambda model, args: seen.append(len(args[0])))
    early = run(QUICK, tiny_classifier, *mostly_right)
    assert early.queries.sum() == sum(seen)
    full = run({**QUICK, 'abort_early': False}, tiny_classifier, *mostly_right)
    assert full.queries.tolist() == [1] + [1 + 4 * 30] * 5
    assert (early.queries[1:] < full.queries[1:]).all() and len(early.queries.unique()) > 2
    assert (logits_of(tiny_classifier, early.images).argmax(1) != labels_of(mostly_right[1])).all()


def test_a_long_first_step_does_not_mislead_the_search(linear, grey):
    """Adam's first step is as long for a useless weight, and already beyond the boundary."""
    images, samples = grey
    config = dict(EXACT, steps=40, learning_rate=0.05, initial_const=1e-4)
    found = (run(config, linear, images, samples).images - images).flatten(1).norm(dim=1)
    first_step = 0.05 * 127.5 * (3 * SIDE**2) ** 0.5
    assert (found[1:] > 0).all() and (found[1:] < 0.75 * first_step).all()


def test_about_as_near_as_deepfool(tiny_classifier, mostly_right):
    images, samples = mostly_right
    configs = {**EXACT, 'learning_rate': 0.02}, dict(type='DeepFool')
    ours, theirs = (run(config, tiny_classifier, images, samples).images for config in configs)
    assert (logits_of(tiny_classifier, ours).argmax(1) != labels_of(samples)).all()
    lengths = [(adversarial - images).flatten(1).norm(dim=1) for adversarial in (ours, theirs)]
    assert (lengths[0] <= lengths[1] * 1.1).all()


def test_an_image_does_not_depend_on_its_batch(tiny_classifier, mostly_right):
    images, samples = mostly_right
    together = run(QUICK, tiny_classifier, images, samples)
    for index in (1, 4):
        alone = run(QUICK, tiny_classifier, images[index : index + 1], samples[index : index + 1])
        torch.testing.assert_close(alone.images[0], together.images[index], atol=5e-2, rtol=0)
        assert alone.queries[0] == together.queries[index]


def test_images_of_different_sizes(pointwise_classifier, make_images, make_samples):
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (5, 14), (4, 4)])]
    samples = make_samples(3)
    source = AttackSource(pointwise_classifier)
    with torch.no_grad(), source.undisturbed():
        for image, sample in zip(images, samples):
            sample.set_gt_label(source.logits([image]).argmax(1))
    together = run(QUICK, pointwise_classifier, images, samples).images
    for image, sample, adversarial in zip(images, samples, together):
        assert adversarial.shape == image.shape and not torch.equal(adversarial, image)
        alone = run(QUICK, pointwise_classifier, [image], [sample]).images[0]
        assert (adversarial - image).norm() == pytest.approx((alone - image).norm().item(), rel=0.02, abs=0.05)


def test_the_model_is_left_as_it_was(tiny_classifier, mostly_right):
    before = {name: value.clone() for name, value in tiny_classifier.state_dict().items()}
    given = mostly_right[0].clone()
    run({**QUICK, 'binary_search_steps': 2}, tiny_classifier, *mostly_right)
    assert all(torch.equal(tiny_classifier.state_dict()[name], value) for name, value in before.items())
    assert all(module.training for module in tiny_classifier.modules())
    assert all(p.requires_grad and p.grad is None for p in tiny_classifier.parameters())
    assert torch.equal(mostly_right[0], given)


@pytest.mark.parametrize('share', [0.4, 0.9, 1.5])
def test_clipped_is_the_smallest_change_projected(share, linear, grey):
    """As foolbox clips to its ``epsilons``: what is inside stays, what is outside ends at exactly that length."""
    images, samples = grey
    minimal = run(EXACT, linear, images, samples)
    lengths = (minimal.images - images).flatten(1).norm(dim=1)
    radius = share * lengths.median().item()
    clipped = run({**EXACT, 'clip_to': radius}, linear, images, samples)
    found = (clipped.images - images).flatten(1).norm(dim=1)
    torch.testing.assert_close(found, lengths.clamp(max=radius), rtol=1e-4, atol=1e-3)
    factor = (radius / lengths.clamp(min=1e-9)).clamp(max=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(clipped.images, images + factor * (minimal.images - images), rtol=0, atol=1e-3)
    assert torch.equal(clipped.queries, minimal.queries)
    assert (lengths > radius).any() or share > 1


# --- in a ball ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('norm, eps, step_size', [('linf', 8, 2), ('l2', 60, 20)])
def test_bounded_is_pgd_on_the_margin(norm, eps, step_size, tiny_classifier, mostly_right):
    images, samples = mostly_right
    config = {**BOUNDED, 'norm': norm, 'eps': eps, 'step_size': step_size}
    bounded = run(config, tiny_classifier, images, samples).images
    pgd = PGD(eps, step_size, 5, norm=norm, objective=dict(type='MarginObjective', confidence=50.0))
    expected = pgd(AttackSource(tiny_classifier), images, samples, Randomness(list(range(6))))
    assert torch.equal(bounded, expected)
    delta = bounded - images
    size = delta.flatten(1).norm(dim=1) if norm == 'l2' else delta.flatten(1).abs().amax(1)
    assert 0.5 * eps < size.min() and size.max() <= eps + 1e-3
    gain = [margins(logits_of(tiny_classifier, x), labels_of(samples)) for x in (images, bounded)]
    assert (gain[1] > gain[0]).all()


def test_confidence_is_where_the_bounded_form_stops(tiny_classifier, mostly_right):
    samples = mostly_right[1]
    config = {**BOUNDED, 'eps': 30, 'steps': 20, 'random_start': None}
    low, high = (
        margins(logits_of(tiny_classifier, run({**config, 'confidence': c}, tiny_classifier, *mostly_right).images),
                labels_of(samples))
        for c in (0.0, 50.0)
    )  # fmt: skip
    assert (low > 0).all() and (high > low).sum() >= 5


def test_bounded_targeted(tiny_classifier, mostly_right):
    images, samples = mostly_right
    clean = logits_of(tiny_classifier, images)
    target = least_likely_target(clean, labels_of(samples), Randomness(0))
    adversarial = run({**BOUNDED, 'targeted': 'least_likely'}, tiny_classifier, images, samples).images
    assert (margins(logits_of(tiny_classifier, adversarial), target) < margins(clean, target)).all()


# --- which is which -------------------------------------------------------------------------------------------------


def test_the_form_is_in_the_name_of_the_row():
    minimal, bounded = CarliniWagner(), CarliniWagnerBounded(eps=7.9, step_size=2, steps=8)
    assert (minimal.eps, minimal.norm, bounded.eps, bounded.norm) == (None, 'l2', 7.9, 'linf')
    assert minimal.describe() == 'CarliniWagner (minimal L2, 9 x 1000 steps)'
    assert bounded.describe() == 'CarliniWagner (L-inf 7.9, margin loss, 8 steps)'
    in_l2 = CarliniWagnerBounded(eps=128, step_size=9, steps=4, norm='l2')
    assert in_l2.describe().startswith('CarliniWagner (L2 128, margin')
    clipped = CarliniWagner(steps=10, clip_to=7.9)
    assert clipped.describe() == 'CarliniWagner (L2 7.9, 9 x 10 steps, projected)'
    assert not minimal.supports_eot and bounded.supports_eot
    assert not minimal.stochastic and CarliniWagner(targeted='random').stochastic


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(step_size=2), "takes no step_size; PGD on its margin .* is type='CarliniWagnerBounded'"),
        (dict(random_start=None, steps=5), 'takes no random_start; PGD on its margin'),
        (dict(eps=8, step_size=2, steps=5), "takes no eps, step_size; .* is type='CarliniWagnerBounded'"),
        (dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5, learning_rate=0.1), 'Bounded: .*learning_rate'),
        (dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5, binary_search_steps=9), 'binary_search_steps'),
        (dict(norm='linf'), "takes no norm='linf'; PGD on its margin"),
        (dict(type='CarliniWagnerBounded', eps=8, steps=5), 'CarliniWagnerBounded: give step_size'),
        (dict(steps=0), 'CarliniWagner: steps must be an integer >= 1, got 0'),
        (dict(binary_search_steps=0), 'binary_search_steps .* got 0'),
        (dict(initial_const=0), 'initial_const must be > 0, got 0'),
        (dict(confidence=-1), 'confidence .* got -1'),
        (dict(success_threshold=1.5), 'success_threshold .* got 1.5'),
        (dict(targeted='nearest'), "unknown choice of target 'nearest'"),
        (dict(clip_to=-1), 'clip_to .* got -1'),
        (dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5, clip_to=8), 'Bounded: .*clip_to'),
        (dict(kappa=1), 'CarliniWagner .*kappa'),
        (dict(type='CarliniWagnerBounded', eps=8, step_size=2, steps=5, kappa=1), 'CarliniWagnerBounded: .*kappa'),
    ],
)  # fmt: skip
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        build_attack({'type': 'CarliniWagner', **settings})


@pytest.mark.parametrize('config', [QUICK, BOUNDED])
def test_who_may_only_ask_has_no_gradients(config, tiny_classifier, mostly_right):
    with pytest.raises(ValueError, match='needs gradients'):
        run(config, tiny_classifier, *mostly_right, gradients=False)


def test_the_minimal_form_does_not_average_draws(tiny_classifier, mostly_right):
    with pytest.raises(ValueError, match='does not average'):
        run(QUICK, tiny_classifier, *mostly_right, eot_samples=2)
