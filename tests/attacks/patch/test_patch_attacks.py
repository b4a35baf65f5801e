"""A patch for each image: where it is, what it does, and that the rest of the image stays as it was."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource, FirstSuccess, PatchAttack, Randomness, WorstOf, build_attack
from mmadvdefense.attacks.patch.placement import Boxes
from mmadvdefense.attacks.patch.poses import Pose, paste
from mmadvdefense.pixels import round_to_8bit

PATCH = dict(type='AdversarialPatch', area=0.25, steps=6, step_size=30)
FIXED = dict(type='DPatch', area=0.25, steps=6, step_size=30)
BOTH = pytest.mark.parametrize('config', [PATCH, FIXED], ids=['moving', 'fixed'])


def test_one_step_by_hand(linear, make_images, make_samples, run_attack):
    """2 x 2 of 4 x 4 pixels, from what the image shows there."""
    images, samples = make_images(2, 3, 4, 4), make_samples(2, 3)
    config = dict(type='DPatch', area=0.25, steps=1, step_size=20, random_start=None, place='bottom_right')
    adversarial = run_attack(config, AttackSource(linear.eval()), images, samples)
    native, weight = linear.data_preprocessor, linear.head.fc.weight
    labels = torch.tensor([0, 1])
    scores = F.linear(((images - native.mean) / native.std).flatten(1), weight, linear.head.fc.bias)
    gradient = ((scores.softmax(1) - F.one_hot(labels, 3)) @ weight).view(2, 3, 4, 4) / native.std
    expected = images.clone()
    expected[..., 2:, 2:] = (images + 20 * gradient.sign())[..., 2:, 2:].clamp(0, 255)
    torch.testing.assert_close(adversarial, expected.detach())


@BOTH
def test_only_a_rectangle_of_that_area_changes(config, host, run_attack):
    """At most 5 x 5 of 12 x 10 pixels, before and after rounding; in the corner, or wherever the image's seed says."""
    clean = torch.stack(list(host.images))
    adversarial = torch.stack(list(run_attack(config, host.source, host.images, host.batch.samples)))
    places = set()
    for image, own in zip(adversarial, clean):
        for seen in (image, round_to_8bit(image)):
            changed = (seen != own).any(0)
            assert 20 <= changed.sum() <= 25 <= 0.25 * changed.numel()
            rows, columns = changed.nonzero().T
            assert rows.max() - rows.min() < 5 and columns.max() - columns.min() < 5
        places.add((rows.min().item(), columns.min().item()))
    assert places == {(0, 0)} if config is FIXED else len(places) > 2
    assert adversarial.min() >= 0 and adversarial.max() <= 255


@BOTH
def test_it_raises_the_loss_more_than_noise_in_its_place(config, host, run_attack):
    config = {**config, 'steps': 15}
    adversarial = run_attack(config, host.source, host.images, host.batch.samples)
    before, after = (
        F.cross_entropy(host.logits(images), host.labels, reduction='none') for images in (host.images, adversarial)
    )
    clean, patched = torch.stack(list(host.images)), torch.stack(list(adversarial))
    noise = 255 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
    noise = noise.where((patched != clean).any(1, keepdim=True), clean)
    by_noise = F.cross_entropy(host.logits(noise), host.labels, reduction='none')
    # One that moves is made for all places, and may do little in its own.
    assert (after > before).all() if config['type'] == 'DPatch' else after.sum() > before.sum()
    assert (after - before).sum() > 2 * (by_noise - before).sum().abs()


def test_what_moves_works_in_all_places(linear, make_images, make_samples):
    """Averaged over all nine places of 2 x 2 in 4 x 4 pixels, it is stronger than a patch made for one of them."""
    source, images, samples = AttackSource(linear.eval()), make_images(3, 3, 4, 4), make_samples(3, 3)
    box, losses = Boxes(torch.zeros(3, 2), torch.full((3, 2), 2.0)), {}
    for moves in (False, True):
        attack = PatchAttack(area=0.25, steps=40, step_size=20, place='top_left', moves=moves, momentum=1.0)
        patched = attack(source, images, samples, Randomness([0, 1, 2]))
        with torch.no_grad():
            places = (
                Boxes(torch.tensor([[row, column]] * 3).float(), box.sides) for row in range(3) for column in range(3)
            )
            seen = [paste(patched, box, Pose.upright(place), images) for place in places]
            losses[moves] = sum(F.cross_entropy(source.logits(image), torch.arange(3)).item() for image in seen)
    assert losses[True] > 1.1 * losses[False]


def test_queries_and_samples(host, run_attack):
    for samples, expected in ((1, 6), (3, 18)):
        attack = build_attack({**PATCH, 'samples': samples})
        result = attack.run(host.source, host.images, host.batch.samples, Randomness(list(range(6))))
        assert result.queries.tolist() == [expected] * 6
    # Each sample of a random defense sees another pose.
    source = AttackSource(host.model, eot_samples=4)
    result = build_attack(PATCH).run(source, host.images, host.batch.samples, Randomness(0))
    assert result.queries.tolist() == [24] * 6


def test_restarts_and_targets(host, run_attack):
    target = dict(targeted='top_wrong', num_targets=2, restarts=2)
    clean = torch.stack(list(host.images))
    one, best = (
        torch.stack(list(run_attack({**FIXED, **more}, host.source, host.images, host.batch.samples)))
        for more in ({}, target)
    )
    assert not torch.equal(one, best)
    assert torch.equal(one[..., 5:, :], clean[..., 5:, :]) and torch.equal(best[..., 5:, :], clean[..., 5:, :])


@pytest.mark.parametrize('objective', ['cross_entropy', 'margin', 'task_loss'])
@BOTH
def test_images_of_different_sizes(config, objective, pointwise_classifier, make_images, make_samples, run_attack):
    """Each has its own patch, inside it, the same as alone."""
    sizes = [(12, 10), (5, 14), (6, 6), (9, 9)]
    images, samples = [make_images(3, *size, seed=index) for index, size in enumerate(sizes)], make_samples(4)
    source = AttackSource(pointwise_classifier)
    config = {**config, 'objective': objective, 'steps': 4, 'place': (1.0, 1.0) if config is FIXED else 'random'}
    together = run_attack(config, source, images, samples)
    for index, (adversarial, image) in enumerate(zip(together, images)):
        alone = run_attack(config, source, [image], samples[index : index + 1], [index])[0]
        assert adversarial.shape == image.shape
        changed = (adversarial != image).any(0)
        side = int((0.25 * changed.numel()) ** 0.5)
        assert changed.sum() == pytest.approx(side**2, abs=2)
        # A host's loss is a mean over the batch, which only scales the gradient.
        assert ((adversarial - alone).abs() < 1e-2).float().mean() >= 0.99, index


def test_descriptions():
    assert build_attack(dict(type='AdversarialPatch')).describe() == 'AdversarialPatch (5 % of the image, 100 steps)'
    config = dict(type='DPatch', area=0.125, steps=20, targeted='random')
    assert build_attack(config).describe() == ('DPatch (12.5 % of the image, top left, 20 steps, target class: random)')
    assert 'at (0.5, 1)' in build_attack(dict(type='DPatch', place=(0.5, 1))).describe()


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(area=5), r'AdversarialPatch: area is the share of the image .* got 5'),
        (dict(steps=0), r'AdversarialPatch: steps must be an integer >= 1, got 0'),
        (dict(step_size=0), r'AdversarialPatch: step_size .* > 0, got 0'),
        (dict(samples=0), r'AdversarialPatch: samples must be an integer >= 1, got 0'),
        (dict(scales=(2, 1)), r'AdversarialPatch: scales'),
        (dict(place='here'), r"AdversarialPatch: unknown place 'here'"),
        (dict(eps=8), r'AdversarialPatch: .*eps'),
        (dict(norm='l2'), r'AdversarialPatch: .*norm'),
        (dict(objective='kl', targeted='random'), r'has no targeted form'),
        (dict(random_start='normal'), r"random_start must be 'uniform' or None, got 'normal'"),
    ],
    ids=str,
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        build_attack({**PATCH, **change})


def test_a_patch_that_does_not_fit_names_the_image_size(tiny_classifier, make_images, make_samples, run_attack):
    with pytest.raises(ValueError, match=r'DPatch: a patch of 50 % does not fit into an image of 4x40: a square'):
        run_attack(
            dict(type='DPatch', area=0.5, steps=1),
            AttackSource(tiny_classifier),
            make_images(1, 3, 4, 40),
            make_samples(1),
        )


def test_an_objective_that_the_task_lacks(host, run_attack):
    with pytest.raises(ValueError, match=r"DPatch: the losses of a classification model have no part 'cls\+loc'"):
        run_attack({**FIXED, 'objective': 'cls+loc'}, host.source, host.images, host.batch.samples)


def test_among_other_attacks(host, run_attack):
    """Budgets of one kind only are compared."""
    pgd = dict(type='PGD', eps=8, step_size=2, steps=2)
    for several in (WorstOf, FirstSuccess):
        with pytest.raises(ValueError, match=r'its attacks must have one norm, got .*area'):
            several([FIXED, pgd])
    assert WorstOf([PATCH], restarts=3).describe().startswith('worst of AdversarialPatch (25 % of the image')
    first = build_attack(dict(type='FirstSuccess', attacks=[dict(FIXED, area=0.1, steps=1), FIXED]))
    adversarial = torch.stack(list(first(host.source, host.images, host.batch.samples, Randomness([0] * 6))))
    assert torch.equal(adversarial[..., 5:, :], torch.stack(list(host.images))[..., 5:, :])
