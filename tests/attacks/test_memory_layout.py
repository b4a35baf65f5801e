"""Classifiers see large batches in channels-last layout on a CPU: what changes with it, and for which it does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks import source as module
from mmadvdefense.attacks.finite import with_finite_gradient

pytest.importorskip('mmpretrain')
LAST = torch.channels_last


class Viewed(nn.Module):
    """Flattens feature maps as VGG does, which channels-last layout does not allow."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        x = self.conv(x)
        return (x.view(len(x), -1),)


@pytest.fixture
def seen(monkeypatch):
    """Whether the convolutions of a model see channels-last images, one entry per pass."""
    monkeypatch.setattr(module, '_SMALL', 0)

    def watch(model):
        layouts = []
        conv = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
        conv.register_forward_pre_hook(lambda _, args: layouts.append(args[0].is_contiguous(memory_format=LAST)))
        return layouts

    return watch


def test_images_are_the_same_up_to_rounding(make_classifier, image_batch, seen):
    attack = build_attack(dict(type='PGD', eps=8, step_size=2, steps=3))
    model, usual = make_classifier(), make_classifier()
    layouts = seen(model)
    source, plain = AttackSource(model), AttackSource(usual)
    plain._takes_channels_last = False
    ours, theirs, again = (
        attack(own, image_batch.images, image_batch.samples, Randomness(0)) for own in (source, plain, source)
    )
    # One image in each layout to see whether it can be; the class scores' check and the attack.
    assert layouts[:2] == [False, True] and all(layouts[2:]) and len(layouts) == 2 + 1 + 3 + 3
    assert ours.equal(again) and ours.is_contiguous() and ((ours - image_batch.images).abs() <= 8).all()
    # Where a gradient is zero up to rounding, its sign is open, so images are compared by what they are made of.
    assert (ours != theirs).float().mean() < 0.2
    images = image_batch.images.clone().requires_grad_()
    with source.undisturbed(), plain.undisturbed():
        scores = [own.logits(images) for own in (source, plain)]
        gradients = [torch.autograd.grad(own.softmax(1)[:, 0].sum(), images)[0] for own in scores]
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5 * float(gradients[1].abs().max()))


def test_models_that_need_the_usual_layout_have_it(make_classifier, image_batch, seen):
    head = dict(type='LinearClsHead', num_classes=5, in_channels=4 * 10 * 8)
    model = make_classifier(Viewed(), nn.Identity(), head=head)
    layouts = seen(model)
    attack = build_attack(dict(type='FGSM', eps=8))
    images = attack(AttackSource(model), image_batch.images, image_batch.samples, Randomness(0))
    assert (images != image_batch.images).any() and layouts == [False, True, False, False]


def test_small_batches_training_and_models_without_convolutions(make_classifier, image_batch, monkeypatch):
    inputs = AttackSource(make_classifier()).preprocess(image_batch.images)
    assert inputs.is_contiguous() and inputs.numel() < module._SMALL
    monkeypatch.setattr(module, '_SMALL', 0)
    assert AttackSource(make_classifier(), training=True).preprocess(image_batch.images).is_contiguous()
    flat = make_classifier(nn.Sequential(nn.Flatten(), nn.Linear(360, 7)), nn.Identity())
    assert AttackSource(flat).preprocess(image_batch.images).is_contiguous()


def test_gradients_are_in_the_usual_layout():
    images = torch.rand(2, 3, 4, 5, requires_grad=True)
    guarded = with_finite_gradient(images, torch.zeros(2, dtype=torch.long)).contiguous(memory_format=LAST)
    (gradient,) = torch.autograd.grad(guarded.square().sum(), images)
    assert gradient.is_contiguous() and gradient.equal(2 * images.detach())
