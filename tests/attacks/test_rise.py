"""By how much an attack raises its objective, noted on the way."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackSource, EnsembleSource, GradientAttack, Randomness, build_attack
from mmadvdefense.attacks.gradient.apgd import AdaptiveAscent

STEPS = dict(eps=8, step_size=2, steps=5)


@pytest.fixture
def run(host):
    def attack(config, source=host.source, count=6):
        return build_attack(config).run(
            source, host.images[:count], host.batch.samples[:count], Randomness(list(range(count)))
        )

    return attack


@pytest.fixture
def visited(monkeypatch):
    """The images at which a gradient was taken."""
    seen = []
    gradient = GradientAttack.gradient
    monkeypatch.setattr(
        GradientAttack, 'gradient', lambda self, images, batch: seen.append(images) or gradient(self, images, batch)
    )
    return seen


def entropies(host, images):
    return F.cross_entropy(host.logits(images), host.labels, reduction='none').detach()


@pytest.mark.parametrize('name', ['BIM', 'PGD', 'PAdam'])
def test_the_highest_value_minus_the_first(name, run, host, visited):
    rise = run(dict(type=name, **STEPS)).rise
    values = torch.stack([entropies(host, images) for images in visited])
    assert len(values) == 5
    torch.testing.assert_close(rise, values[1:].amax(0) - values[0], rtol=1e-4, atol=1e-5)


def test_auto_pgd(run, host, monkeypatch):
    seen, evaluate = [], AdaptiveAscent._evaluate
    monkeypatch.setattr(AdaptiveAscent, '_evaluate', lambda *args: seen.append(args[1]) or evaluate(*args))
    rise = run(dict(type='APGD', eps=8, steps=5)).rise
    values = torch.stack([entropies(host, images) for images in seen])
    torch.testing.assert_close(rise, values.amax(0) - values[0], rtol=1e-4, atol=1e-5)


def test_the_best_of_several_runs(run):
    one, three = (run(dict(type='PGD', restarts=number, **STEPS)).rise for number in (1, 3))
    assert (three >= one).all() and (three > one).any()


def test_samples_and_models_are_summed(run, host):
    one = run(dict(type='BIM', **STEPS)).rise
    both = run(dict(type='BIM', **STEPS), EnsembleSource([AttackSource(host.model)] * 2, 'losses')).rise
    torch.testing.assert_close(both, 2 * one, rtol=1e-3, atol=1e-4)
    sampled = AttackSource(host.model, defense=lambda images, randomness: images, eot_samples=3)
    torch.testing.assert_close(run(dict(type='BIM', **STEPS), sampled).rise, 3 * one, rtol=1e-3, atol=1e-4)


def test_the_hosts_own_loss_of_one_image(run, host):
    config = dict(type='BIM', objective='task_loss', **STEPS)
    assert run(config).rise.isnan().all(), 'a mean over the batch tells nothing of its images'
    assert (run(config, count=1).rise > 0).all()


@pytest.mark.parametrize(
    'config', [dict(type='FGSM', eps=8), dict(type='DeepFool'), dict(type='RandomSign', eps=8)], ids=lambda c: c['type']
)
def test_where_it_is_unknown(config, run):
    assert run(config).rise.isnan().all()


def test_a_gradient_that_leads_nowhere(run, host):
    """The objective of the pixels is that of a step function."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(context, images):
            return images.div(256).round() * 128

        @staticmethod
        def backward(context, gradient):
            return torch.ones_like(gradient)

    def step(images, randomness):
        return Step.apply(images) if isinstance(images, torch.Tensor) else [Step.apply(image) for image in images]

    rise = run(dict(type='BIM', eps=0.1, step_size=0.1, steps=3), AttackSource(host.model, defense=step)).rise
    assert (rise <= 0).float().mean() > 0.8


def test_a_loss_of_right_pixels_says_nothing(run):
    from mmadvdefense.attacks.objectives import WORDS, build_objective

    falling = {word for word in WORDS if not build_objective(word).rises}
    assert falling == {'segpgd', 'cospgd', 'masked_cross_entropy', 'balanced_masked_cross_entropy'}
