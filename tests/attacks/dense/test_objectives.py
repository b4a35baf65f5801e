"""Objectives of pixels, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource
from mmadvdefense.attacks.dense.objectives import inverse_frequencies
from mmadvdefense.attacks.objectives import build_objective
from mmadvdefense.tasks import task_of

# Class scores of one image of 1 x 4 pixels whose true classes are 0, 1, 2 and none; the first and third are right.
SCORES = torch.tensor([[2.0, 0.0, -1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 3.0], [5.0, 0.0, 0.0]]).T[None, :, None]
LABELS = torch.tensor([[[0, 1, 2, 0]]])
KNOWN = torch.tensor([[[True, True, True, False]]])
CE = F.cross_entropy(SCORES, LABELS, reduction='none')[0, 0]
SOFTMAX = SCORES.softmax(1)
ALL = ['segpgd', 'cospgd', 'cosine', 'masked_cross_entropy', 'jensen_shannon', 'masked_spherical']
ALL.append('balanced_masked_cross_entropy')


def pixels(objective, targeted=False, progress=0.0, probabilities=None, scores=SCORES):
    task = SimpleNamespace(probabilities=probabilities or (lambda scores: scores.softmax(1)))
    target = LABELS if targeted else None
    batch = SimpleNamespace(target=target, progress=progress, source=SimpleNamespace(task=task))
    return build_objective(objective).pixels(scores, LABELS, KNOWN, batch)[0, 0]


@pytest.mark.parametrize('done, steps, share', [(0, 10, 0.0), (5, 10, 0.25), (9, 10, 0.45)])
def test_segpgd_moves_its_weight_to_wrong_pixels(done, steps, share):
    weights = torch.tensor([1 - share, share, 1 - share])
    torch.testing.assert_close(pixels('segpgd', progress=done / steps)[:3], weights * CE[:3])
    # Towards a target, the first and the third pixel are done.
    torch.testing.assert_close(pixels('segpgd', True, done / steps)[:3], (1 - weights) * CE[:3])


def test_cospgd_weighs_with_the_cosine():
    p = SOFTMAX[0, :, 0]
    cosine = torch.stack([p[label, at] / p[:, at].norm() for at, label in enumerate([0, 1, 2])])
    torch.testing.assert_close(pixels('cospgd')[:3], cosine * CE[:3])
    torch.testing.assert_close(pixels('cospgd', targeted=True)[:3], (1 - cosine) * CE[:3])
    sigmoid = SCORES.sigmoid()[0, :, 0]
    cosine = torch.stack([sigmoid[label, at] / sigmoid[:, at].norm() for at, label in enumerate([0, 1, 2])])
    torch.testing.assert_close(pixels('cospgd', probabilities=torch.sigmoid)[:3], cosine * CE[:3])


def test_the_cosine_of_cospgd_is_a_constant():
    scores = SCORES.clone().requires_grad_()
    weights = (pixels('cospgd') / CE).detach()
    (gradient,) = torch.autograd.grad(pixels('cospgd', scores=scores).sum(), scores)
    torch.testing.assert_close(gradient, (SOFTMAX - F.one_hot(LABELS, 3).movedim(-1, 1)) * weights)


def test_cosine_and_spherical_losses():
    length = SCORES[0, :, 0].norm(dim=0)
    own = torch.tensor([2.0, 0.5, 3.0])
    torch.testing.assert_close(pixels('cosine')[:3], 1 - own / length[:3])
    torch.testing.assert_close(pixels('masked_spherical')[:3], -own / length[:3] * torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(pixels('masked_spherical', True)[:3], -own / length[:3] * torch.tensor([0.0, 1.0, 0.0]))


def test_masked_cross_entropy_is_that_of_right_pixels():
    torch.testing.assert_close(pixels('masked_cross_entropy')[:3], CE[:3] * torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(pixels('masked_cross_entropy', True)[:3], CE[:3] * torch.tensor([0.0, 1.0, 0.0]))


def test_balanced_weights_by_hand():
    labels = torch.tensor([[[0, 0, 0, 1, 2]], [[1, 1, 1, 1, 2]]])
    known = torch.tensor([[[True] * 4 + [False]], [[True] * 5]])
    # Four labelled pixels in two classes: 4 / (2 * 3) and 4 / (2 * 1). Five in two: 5 / (2 * 4) and 5 / 2.
    weights = inverse_frequencies(labels, known, 3)
    torch.testing.assert_close(weights[0, 0, :4], torch.tensor([2 / 3] * 3 + [2.0]))
    torch.testing.assert_close(weights[1, 0], torch.tensor([0.625] * 4 + [2.5]))
    # Each of the three labelled classes has one pixel.
    torch.testing.assert_close(pixels('balanced_masked_cross_entropy')[:3], pixels('masked_cross_entropy')[:3])


def test_jensen_shannon_from_its_definition():
    one_hot = F.one_hot(LABELS, 3).movedim(-1, 1).float()
    middle = (SOFTMAX + one_hot) / 2
    both = [(p * (p / middle).log()).nan_to_num(0).sum(1) for p in (SOFTMAX, one_hot)]
    torch.testing.assert_close(pixels('jensen_shannon'), (sum(both) / 2)[0, 0])


def test_jensen_shannon_of_certain_pixels_is_a_number():
    # Class 1 everywhere: wrong in the first pixel, right in the second.
    scores = torch.tensor([[-500.0], [500.0], [0.0]]).repeat(1, 4)[None, :, None].requires_grad_()
    value = pixels('jensen_shannon', scores=scores)
    assert value[0].item() == pytest.approx(math.log(2))
    assert value[1].item() == pytest.approx(0, abs=1e-6)
    (gradient,) = torch.autograd.grad(value.sum(), scores)
    assert gradient.isfinite().all()


@pytest.mark.parametrize('objective', ALL)
def test_void_does_not_count_and_signs_turn(objective, segmentor, make_batch):
    batch = make_batch(segmentor.source, segmentor.images, segmentor.samples)
    segmentor.model.eval()
    images = (segmentor.images + 9).clamp(max=255)
    images.requires_grad_()
    built = build_objective(objective)
    scores = segmentor.source.logits(images)
    known = segmentor.masks != 255
    by_pixel = built.pixels(scores, segmentor.masks.where(known, 0), known, batch)
    torch.testing.assert_close(built.values(images, batch), (by_pixel * known).flatten(1).sum(1))
    assert batch.queries.tolist() == [1, 1, 1]
    batch.target = segmentor.masks
    as_target = built.pixels(scores, segmentor.masks.where(known, 0), known, batch)
    torch.testing.assert_close(built.values(images, batch), -(as_target * known).flatten(1).sum(1))
    # The share of pixels at the target and the share of wrong ones make one.
    share = built.strength(images, batch)
    batch.target = None
    torch.testing.assert_close(share + built.strength(images, batch), torch.ones(3))
    torch.testing.assert_close(share, segmentor.accuracy(images))


@pytest.mark.parametrize('objective', ALL)
def test_an_image_without_labels_has_no_gradient(objective, segmentor, make_batch):
    for sample in segmentor.samples:
        sample.gt_sem_seg.data.fill_(255)
    batch = make_batch(segmentor.source, segmentor.images, segmentor.samples)
    images = segmentor.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(build_objective(objective)(images, batch), images)
    assert not gradient.any()


@pytest.mark.parametrize('objective', ALL)
def test_one_channel_has_a_gradient(objective, make_segmentor, make_scenes, make_batch):
    """Two scores made of one channel: the sign alone is no objective."""
    binary = dict(type='CrossEntropyLoss', use_sigmoid=True)
    model = make_segmentor(2, out_channels=1, threshold=0.4, loss_decode=binary).eval()
    images, samples = make_scenes(model)
    batch = make_batch(AttackSource(model), images, samples)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(build_objective(objective)(images, batch), images)
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


def test_probabilities_are_those_of_the_head(make_segmentor):
    scores = torch.randn(2, 4, 3, 3)
    binary = dict(type='CrossEntropyLoss', use_sigmoid=True)
    softmax = dict(type='CrossEntropyLoss')
    assert torch.equal(task_of(make_segmentor()).probabilities(scores), scores.softmax(1))
    assert torch.equal(task_of(make_segmentor(loss_decode=binary)).probabilities(scores), scores.sigmoid())
    for losses, expected in (([binary, binary], scores.sigmoid()), ([binary, softmax], scores.softmax(1))):
        losses = [dict(loss, loss_name=f'loss_{index}') for index, loss in enumerate(losses)]
        assert torch.equal(task_of(make_segmentor(loss_decode=losses)).probabilities(scores), expected)
    one_channel = task_of(make_segmentor(2, out_channels=1, threshold=0.5, loss_decode=binary))
    two = torch.stack([torch.zeros(2, 3, 3), scores[:, 0]], 1)
    torch.testing.assert_close(one_channel.probabilities(two)[:, 1], scores[:, 0].sigmoid())
