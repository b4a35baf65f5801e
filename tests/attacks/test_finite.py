"""Models whose gradients or scores are not finite in places: what attacks do there, what they count and return."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmadvdefense.attacks import Attack, AttackBatch, AttackSource, CleanReference, EnsembleSource, Randomness
from mmadvdefense.attacks.balls import LinfBall
from mmadvdefense.attacks.base import build_attack
from mmadvdefense.attacks.finite import with_finite_gradient
from mmadvdefense.attacks.gradient.strongest import Strongest
from mmadvdefense.attacks.objectives import Objective
from mmadvdefense.attacks.query.oracle import Oracle
from mmadvdefense.pixels import stack
from mmadvdefense.registry import ATTACKS


class FlatPatch(nn.Module):
    """Pixel values as features, and a standard deviation that no score depends on.

    The gradient of the deviation of a flat patch is NaN; that of anything else is the pixel values'.
    """

    def __init__(self):
        super().__init__()
        self.values = nn.Flatten(1)

    def forward(self, images):
        deviation = images[:, :, :2, :2].flatten(2).var(2, unbiased=False).sqrt().sum(1)
        return (self.values(images) + 0 * deviation[:, None],)


SIZE, FLAT, TEXTURED = 8, [0, 2], [1, 3]


@pytest.fixture
def host(make_classifier, make_images, make_samples):
    """A linear classifier that has four images right, two of which are flat in one corner."""
    head = dict(type='LinearClsHead', num_classes=3, in_channels=3 * SIZE**2)
    model = make_classifier(FlatPatch(), nn.Identity(), head=head, num_classes=3).eval()
    images = make_images(4, 3, SIZE, SIZE)
    images[FLAT, :, :2, :2] = 100
    source = AttackSource(model)
    samples = make_samples(4)
    for sample, label in zip(samples, source.logits(images).argmax(1).tolist()):
        sample.set_gt_label(label)
    return source, images, samples


ATTACKS_RUN = {
    'PGD': dict(type='PGD', eps=8, step_size=3, steps=3, random_start=None),
    'PGD L2': dict(type='PGD', eps=300, step_size=100, steps=3, norm='l2', random_start=None),
    'FGSM': dict(type='FGSM', eps=8),
    'momentum': dict(type='MIFGSM', eps=8, step_size=3, steps=3),
    'momentum L2': dict(type='MIFGSM', eps=300, step_size=100, steps=3, norm='l2'),
    'smoothing': dict(type='TIFGSM', eps=8, step_size=3, steps=3, kernel_size=3),
    'margin': dict(type='CarliniWagnerBounded', eps=8, step_size=3, steps=3, random_start=None),
    'budget': dict(type='RandomBudget', attack=dict(type='BIM', steps=2), eps=(8, 9)),
    'first success': dict(type='FirstSuccess', attacks=[dict(type='FGSM', eps=1), dict(type='FGSM', eps=8)]),
    'DeepFool': dict(type='DeepFool', steps=10),
    'FAB': dict(type='FAB', norm='l2', steps=10),
    'APGD': dict(type='APGD', eps=8, steps=3, random_start=None),
    'minimal C&W': dict(type='CarliniWagner', steps=30, binary_search_steps=2, initial_const=10.0, learning_rate=0.1),
    'features': dict(type='FDA', eps=8, step_size=3, steps=2, layers='backbone', random_start=None),
    'curls': dict(type='CurlsWhey', eps=8, queries=30, step_size=3, steps=2, rounds=0, noise_std=0.0),
}


@pytest.mark.parametrize('name', ATTACKS_RUN)
def test_what_is_left_of_the_gradient_is_followed(name, host):
    source, images, samples = host
    attack = build_attack(ATTACKS_RUN[name])
    result = attack.run(source, images, samples, Randomness(list(range(4))))
    assert result.images.isfinite().all()
    assert result.images.min() >= 0 and result.images.max() <= 255
    assert (result.nonfinite[FLAT] > 0).all() and not result.nonfinite[TEXTURED].any()
    change = (result.images - images).abs().amax(1)
    # No number is known for the flat corner while it is flat; the rest is attacked like any other image.
    assert (change.flatten(1).amax(1) > 0.9).all() or name == 'curls', 'it asks for decisions, and no image was fooled'
    # (Smoothing brings gradients from beside it; Adam moves by as much as rounding says.)
    assert not change[FLAT, :2, :2].any() or name in ('smoothing', 'minimal C&W')
    whole = attack.run(source, images[TEXTURED], [samples[i] for i in TEXTURED], Randomness(TEXTURED))
    torch.testing.assert_close(result.images[TEXTURED], whole.images, rtol=0, atol=1e-3)


@pytest.mark.parametrize('name', ['DeepFool', 'FAB', 'minimal C&W'])
def test_minimal_attacks_find_what_is_there(name, host):
    """They used to leave such images as they were, which counted as robust."""
    source, images, samples = host
    adversarial = build_attack(ATTACKS_RUN[name])(source, images, samples, Randomness([0, 1, 2, 3]))
    labels = torch.cat([sample.gt_label for sample in samples])
    assert (source.logits(adversarial).argmax(1) != labels).all()


@pytest.mark.parametrize('combine', ['logits', 'losses'])
def test_ensembles_count_for_all_their_models(combine, host, make_classifier):
    source, images, samples = host
    ensemble = EnsembleSource([source, AttackSource(source.model)], combine)
    result = build_attack(ATTACKS_RUN['PGD']).run(ensemble, images, samples, Randomness(0))
    # The gradient of the mean score is one, those of two losses are two.
    times = 3 if combine == 'logits' else 6
    assert result.nonfinite.tolist() == [times, 0, times, 0] and result.images.isfinite().all()


def test_restarts_count_each_run(host):
    source, images, samples = host
    attack = build_attack(
        dict(type='PGD', eps=8, step_size=3, steps=2, start_std=1e-9, random_start='normal', restarts=3)
    )
    # A start that is no change at all in single precision.
    result = attack.run(source, images, samples, Randomness([0, 1, 2, 3]))
    assert result.nonfinite.tolist() == [6, 0, 6, 0]


def test_the_gradient_by_hand():
    images = torch.tensor([[1.0, 0.0, 4.0], [1.0, 9.0, 4.0]]).view(2, 3, 1, 1).requires_grad_()
    counts = torch.zeros(2, dtype=torch.int64)
    # The slope of the square root is infinite at 0.
    (gradient,) = torch.autograd.grad(with_finite_gradient(images, counts).sqrt().sum(), images)
    assert gradient.flatten(1).tolist() == [[0.5, 0.0, 0.25], [0.5, 1 / 6, 0.25]] or torch.allclose(
        gradient.flatten(1), torch.tensor([[0.5, 0.0, 0.25], [0.5, 1 / 6, 0.25]])
    )
    assert counts.tolist() == [1, 0]
    single = list(images.detach())
    single[0].requires_grad_()
    torch.autograd.grad(with_finite_gradient(single, counts)[0].sqrt().sum(), single[0])
    assert counts.tolist() == [2, 0]
    # Two versions of each image; and nothing is kept of whom nobody asks for a gradient.
    torch.autograd.grad(with_finite_gradient(images.repeat(2, 1, 1, 1), counts).sqrt().sum(), images)
    assert counts.tolist() == [4, 0]
    assert with_finite_gradient(images.detach(), counts).grad_fn is None


def test_a_gradient_whose_sum_overflows_is_left_alone():
    images, counts = torch.ones(2, 3, 1, 1, requires_grad=True), torch.zeros(2, dtype=torch.int64)
    (gradient,) = torch.autograd.grad((3e38 * with_finite_gradient(images, counts)).sum(), images)
    assert gradient.eq(3e38).all() and not gradient.sum().isfinite()
    assert counts.tolist() == [0, 0]


@ATTACKS.register_module(force=True)
class GivesNaN(Attack):
    """Returns what no attack should."""

    def perturb(self, batch: AttackBatch) -> torch.Tensor:
        images = batch.clean + 5
        images[1, :, 0, 0] = torch.nan
        images[2, 0] = torch.inf
        return images


@pytest.mark.parametrize('budget', [dict(eps=8.0), dict(eps=8.0, norm='l2'), dict(eps=None)])
def test_no_attack_returns_what_is_no_number(budget, host):
    source, images, samples = host
    result = GivesNaN(**budget).run(source, images, samples, Randomness(0))
    assert result.images.isfinite().all() and result.nonfinite.tolist() == [0, 1, 1, 0]
    assert torch.equal(result.images[1, :, 0, 0], images[1, :, 0, 0])
    assert torch.equal(result.images[2, 0], images[2, 0])
    assert (result.images[1:3] != images[1:3]).flatten(1).any(1).all()


class Undefined(Objective):
    """NaN for the images whose first pixel is odd, else that pixel."""

    def values(self, images, batch):
        first = images[:, 0, 0, 0]
        return first.where(first % 2 == 0, torch.nan)


@pytest.fixture
def batch(host):
    source, images, samples = host
    prepared = source.prepare_samples(images, samples)
    return AttackBatch(source, prepared, CleanReference(source, images), Randomness([0, 1, 2, 3]), *stack(images))


def test_scores_that_are_no_numbers_are_the_lowest(batch):
    batch.clean[:, 0, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    oracle = Oracle(batch, LinfBall(8.0), 'scores', 10, Undefined())
    assert oracle.scores(batch.clean, [0, 1, 2, 3]).tolist() == [-torch.inf, 2, -torch.inf, 4]
    assert batch.nonfinite.tolist() == [1, 0, 1, 0]
    better = batch.clean[[0, 1]].clone()
    better[:, 0, 0, 0] = torch.tensor([6.0, 7.0])
    oracle.scores(better, [0, 1])
    assert oracle.best_scores().tolist() == [6, 2, -torch.inf, 4]
    assert batch.nonfinite.tolist() == [1, 1, 1, 0]


def test_the_strongest_is_a_number(batch):
    strongest = Strongest(Undefined())
    for first in ([1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 5.0, 8.0]):
        images = batch.clean.clone()
        images[:, 0, 0, 0] = torch.tensor(first)
        # All of them fool the model equally little.
        strongest.offer(images, batch)
    assert strongest.images[:, 0, 0, 0].tolist() == [2, 2, 3, 8]
