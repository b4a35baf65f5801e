"""Adversarial weight perturbation: the gradient is that of other weights, and nothing else is changed."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmadvdefense.hooks import AdversarialTrainingHook
from mmadvdefense.training.weight_perturbation import WeightPerturbation

pytest.importorskip('mmpretrain')
NATIVE = dict(num_classes=10, mean=[79.8] * 3, std=[90.9] * 3, to_rgb=False)
FGSM = dict(type='FGSM', eps=8)
DECAYING = dict(_delete_=True, optimizer=dict(type='SGD', lr=0.05, weight_decay=0.1))
DROPOUT = dict(_delete_=True, type='WideResNet', depth=10, widen_factor=1, dropout=0.3)


@pytest.fixture
def perturbed(train):
    """Train with a perturbation of the weights; returns the runner and a spy."""

    def run(gamma: float, prepare=None, hook=(), **settings):
        hook = dict(type='AdversarialTrainingHook', attack=FGSM, weight_perturbation=gamma, **dict(hook))
        return train(
            prepare,
            data_preprocessor=dict(_delete_=True, type='ClsDataPreprocessor', **NATIVE),
            **{'custom_hooks': [hook], 'optim_wrapper': DECAYING, **settings},
        )

    return run


def test_a_layer_by_hand():
    model = nn.ModuleDict(dict(used=nn.Linear(2, 1), other=nn.Linear(2, 2), norm=nn.BatchNorm1d(2)))
    model['used'].weight.data = torch.tensor([[3.0, 4.0]])
    before = copy.deepcopy(model.state_dict())
    model['used'].weight.grad = torch.tensor([[7.0, 7.0]])
    perturbation = WeightPerturbation(0.1)
    perturbation.apply(model, lambda: (model['used'](torch.tensor([[0.0, 2.0]])) + model['norm'].weight.sum()).sum())
    # The norm of the weights is 5, and the gradient points along the second.
    assert torch.allclose(model['used'].weight, torch.tensor([[3.0, 4.5]]))
    assert torch.equal(model['used'].weight.grad, torch.tensor([[7.0, 7.0]]))
    same = [name for name, value in model.state_dict().items() if torch.equal(value, before[name])]
    assert set(before) - set(same) == {'used.weight'}
    perturbation.take_back()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def loss_of(model, batch):
    labels = torch.cat([sample.gt_label for sample in batch['data_samples']])
    return F.cross_entropy(model.head.fc(model.backbone((batch['inputs'] - 79.8) / 90.9)[-1].mean((2, 3))), labels)


def at_higher_loss(model, batch, gamma):
    """The loss at the perturbed weights, its gradients there by name, and the statistics of BatchNorm after that."""
    ascent, model = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    loss_of(ascent, batch).backward()
    with torch.no_grad():
        for parameter, other in zip(model.parameters(), ascent.parameters()):
            if parameter.ndim > 1:
                parameter += gamma * parameter.norm() / other.grad.norm() * other.grad
    loss = loss_of(model, batch)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}, dict(model.named_buffers())


def start(runner_model, checkpoint):
    model = copy.deepcopy(runner_model)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    return model


def test_one_iteration_by_hand(perturbed, target_checkpoint, tmp_path, saving):
    """A step along the gradient at the perturbed weights, from the weights as they were, which is saved."""
    runner, spy = perturbed(0.02, images=4, checkpoint=saving)
    model, (batch,) = start(runner.model, target_checkpoint), spy.batches
    loss, gradients, statistics = at_higher_loss(model, batch, 0.02)
    assert spy.outputs[0]['loss'] == pytest.approx(loss, rel=1e-4)
    assert loss > 1.1 * loss_of(copy.deepcopy(model).train(), batch).item()
    old = dict(model.named_parameters())
    expected = {name: weight - 0.05 * (gradients[name] + 0.1 * weight) for name, weight in old.items()}
    saved = torch.load(tmp_path / 'work' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert all(torch.equal(saved[name], value) for name, value in runner.model.state_dict().items())
    for name, value in {**expected, **statistics}.items():
        if name in saved:
            torch.testing.assert_close(saved[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_accumulated_gradients(perturbed, target_checkpoint):
    """Each iteration perturbs the same weights, and what has been accumulated is kept."""
    runner, spy = perturbed(0.02, optim_wrapper=dict(DECAYING, accumulative_counts=2))
    model = start(runner.model, target_checkpoint)
    steps = []
    for batch in spy.batches:
        _, gradients, statistics = at_higher_loss(model, batch, 0.02)
        steps.append(gradients)
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
    for name, weight in runner.model.named_parameters():
        old = dict(model.named_parameters())[name]
        expected = old - 0.05 * (sum(step[name] for step in steps) / 2 + 0.1 * old)
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-5, msg=name)


def test_averages_do_not_see_perturbed_weights(perturbed):
    hooks = [dict(type='EMAHook'), dict(type='AdversarialTrainingHook', attack=FGSM, weight_perturbation=0.02)]
    accumulating = dict(DECAYING, accumulative_counts=2)
    with pytest.raises(ValueError, match='list it after AdversarialTrainingHook'):
        perturbed(0.02, custom_hooks=hooks, optim_wrapper=accumulating)
    perturbed(0.02, custom_hooks=hooks[::-1], optim_wrapper=accumulating)


@pytest.mark.parametrize('gamma, warmup', [(1e-12, 0), (0.5, 1)], ids=['too small', 'later'])
def test_nothing_else_is_touched(perturbed, gamma, warmup):
    """Statistics, random numbers and what terms learn, bit for bit those of a training without perturbation."""
    losses = [
        dict(type='DomainAdaptationLoss', feature_layer='logits'),
        dict(type='DomainDiscriminatorLoss', feature_layer='pre_logits'),
    ]
    settings = dict(model=dict(backbone=DROPOUT), load_from=None)
    states = []
    for size in (gamma, 0.0):
        hook = dict(train_on='both', losses=losses, weight_warmup=warmup if size else 0)
        runner, spy = perturbed(size, hook=hook, **settings)
        (own,) = (item for item in runner.hooks if isinstance(item, AdversarialTrainingHook))
        states.append((runner.model.state_dict(), own.objective.losses.state_dict(), spy.outputs))
    (ours, learned, outputs), (theirs, others, expected) = states
    assert outputs == expected and learned.keys() == others.keys() and learned
    assert all(torch.equal(learned[name], value) for name, value in others.items())
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet'])
def test_dense_hosts(scope, make_task_runner):
    attack = dict(FGSM, objective='task_loss')
    losses = {}
    for gamma in (0.05, 0.0):
        hook = dict(type='AdversarialTrainingHook', attack=attack, train_on='half', weight_perturbation=gamma)
        runner, spy = make_task_runner(scope, [hook])
        runner.train()
        losses[gamma] = spy.outputs[0]['loss']
        norms = [layer for layer in runner.model.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert norms and all(layer.num_batches_tracked == 1 for layer in norms)
    assert losses[0.05] > losses[0.0] > 0


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(weight_perturbation=-0.1), 'weight perturbation must be > 0, got -0.1'),
        (dict(weight_warmup=2), 'weight_warmup=2 does nothing without weight_perturbation'),
    ],
)
def test_bad_settings(given, message):
    with pytest.raises(ValueError, match=message):
        AdversarialTrainingHook(FGSM, **given)
