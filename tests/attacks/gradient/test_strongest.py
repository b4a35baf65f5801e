"""Restarts: what is kept, what is drawn, what is counted."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import PGD, AttackSource, GradientAttack, Randomness, build_attack
from mmadvdefense.attacks.gradient.strongest import Strongest
from mmadvdefense.attacks.objectives import Objective

SETTINGS = dict(type='PGD', eps=4, step_size=1, steps=3)


@pytest.fixture
def ascents(monkeypatch):
    """The result of each single run."""
    results = []
    ascend = GradientAttack._ascend

    def record(self, batch):
        results.append(ascend(self, batch))
        return results[-1]

    monkeypatch.setattr(GradientAttack, '_ascend', record)
    return results


def strength(model, images, labels):
    native = model.data_preprocessor
    with torch.no_grad():
        logits = model.eval()((images - native.mean) / native.std)
    fooled = logits.argmax(1) != labels
    return F.cross_entropy(logits, labels, reduction='none').double() + 1e3 * fooled, fooled


@pytest.mark.parametrize('norm, eps, step_size', [('linf', 4, 1), ('l2', 60, 20)])
@pytest.mark.parametrize('start', ['uniform', 'normal'])
def test_each_image_keeps_its_strongest_run(
    start, norm, eps, step_size, tiny_classifier, make_images, make_samples, ascents
):
    images, samples = make_images(40, 3, 8, 8), make_samples(40)
    labels = torch.cat([sample.gt_label for sample in samples])
    attack = PGD(eps, step_size, 3, norm=norm, random_start=start, start_std=3.0, restarts=5)
    result = attack.run(AttackSource(tiny_classifier), images, samples, Randomness(list(range(40))))
    assert len(ascents) == 5
    strengths = torch.stack([strength(tiny_classifier, run, labels)[0] for run in ascents])
    best = strengths.argmax(0)
    # Equal up to the last projection.
    torch.testing.assert_close(result.images, torch.stack(ascents)[best, torch.arange(40)], atol=1e-4, rtol=0)
    assert len(best.unique()) > 2
    kept, fooled = strength(tiny_classifier, result.images, labels)
    assert (kept >= strengths[0] - 1e-3).all() and (kept > strengths[0] + 1e-3).any()
    assert (fooled >= strength(tiny_classifier, ascents[0], labels)[1]).all()
    # Three gradients and two looks at the result, for each run.
    assert result.queries.tolist() == [5 * (3 + 2)] * 40


def test_the_first_run_is_the_attack_without_restarts(host, run_attack, ascents):
    samples = host.batch.samples
    plain = run_attack(SETTINGS, host.source, host.images, samples)
    run_attack({**SETTINGS, 'restarts': 4}, host.source, host.images, samples)
    alone, *restarts = ascents
    assert torch.equal(restarts[0], alone) and torch.equal(torch.stack(list(plain)), alone)
    starts = torch.stack(restarts)
    for first in range(4):
        for second in range(first):
            assert not torch.equal(starts[first], starts[second])


@pytest.mark.parametrize('seeds', [7, [7, 8, 9, 10, 11, 12]], ids=['one seed', 'a seed an image'])
def test_more_restarts_are_never_worse(seeds, tiny_classifier, image_batch, run_attack):
    source, last = AttackSource(tiny_classifier), None
    for restarts in (1, 2, 4, 8):
        config = {**SETTINGS, 'restarts': restarts}
        images = run_attack(config, source, image_batch.images, image_batch.samples, seeds)
        now, _ = strength(tiny_classifier, images, image_batch.labels)
        assert last is None or (now >= last - 1e-3).all()
        last = now


def test_runs_are_told():
    assert build_attack(SETTINGS).describe() == 'PGD (L-inf 4, 3 steps)'
    smoothed = build_attack({**SETTINGS, 'kernel_size': 3})
    assert smoothed.describe() == 'PGD (L-inf 4, 3 steps, gradient smoothed over 3 pixels)'
    assert build_attack({**SETTINGS, 'restarts': 4}).describe() == 'PGD (L-inf 4, 3 steps, 4 restarts)'
    many = {**SETTINGS, 'restarts': 2, 'targeted': 'top_wrong', 'num_targets': 9}
    assert build_attack(many).describe() == 'PGD (L-inf 4, 3 steps, target class: top wrong, 9 targets, 2 restarts)'


def test_a_random_target_is_the_same_in_all_restarts(tiny_classifier, image_batch, run_attack, monkeypatch):
    targets, offer = [], Strongest.offer
    monkeypatch.setattr(
        Strongest, 'offer', lambda self, x, batch: (targets.append(batch.target), offer(self, x, batch))
    )
    config = {**SETTINGS, 'restarts': 3, 'targeted': 'random'}
    run_attack(config, AttackSource(tiny_classifier), image_batch.images, image_batch.samples)
    assert len(targets) == 3 and torch.equal(targets[0], targets[1]) and torch.equal(targets[0], targets[2])


class Values(Objective):
    """An objective whose values are given, one batch after the other."""

    def __init__(self, *values):
        self.left = [torch.tensor(value) for value in values]

    def values(self, images, batch):
        return self.left.pop(0)


class Answers:
    """A classifier that answers with given classes."""

    eot_samples = 1
    task = SimpleNamespace(one_label=True, ignore_index=None, fit=lambda logits, labels: logits)

    def __init__(self, *classes):
        self.left = [F.one_hot(torch.tensor(row), 5).float() for row in classes]


def offered(source, objective, labels=None, target=None):
    batch = SimpleNamespace(
        source=source,
        labels=labels,
        target=target,
        pixels=lambda images: images,
        logits=lambda images: source.left.pop(0),
    )
    strongest = Strongest(objective)
    for number in range(len(objective.left) // source.eot_samples):
        strongest.offer(torch.full((len(objective.left[0]), 3, 2, 2), float(number)), batch)
    return strongest.images[:, 0, 0, 0].tolist()


def test_a_fooled_image_beats_a_higher_value():
    labels = torch.tensor([0, 0, 0, 0])
    source = Answers([0, 1, 1, 0], [1, 0, 1, 0], [2, 0, 2, 0])
    values = Values([9.0, 1.0, 3.0, 1.0], [1.0, 9.0, 2.0, 1.0], [2.0, 9.0, 4.0, 0.5])
    assert offered(source, values, labels) == [2, 0, 2, 0]
    # Towards class 2.
    source = Answers([0, 1, 2, 0], [1, 0, 1, 0], [2, 0, 2, 0])
    values = Values([9.0, 1.0, 3.0, 1.0], [1.0, 9.0, 5.0, 1.0], [2.0, 8.0, 2.0, 4.0])
    assert offered(source, values, target=torch.tensor([2, 2, 2, 2])) == [2, 1, 0, 2]


def test_a_random_defense_is_asked_as_often_as_it_draws():
    labels = torch.tensor([0, 0])
    source = Answers([1, 0], [0, 0], [1, 1], [1, 0])
    source.eot_samples = 2
    values = Values([9.0, 5.0], [9.0, 0.0], [1.0, 1.0], [1.0, 1.0])
    # The first image is fooled in one of two draws, then in two; the second in none, then in one.
    assert offered(source, values, labels) == [1, 1]


def test_dense_tasks_compare_values_alone():
    source = SimpleNamespace(eot_samples=1, task=SimpleNamespace(one_label=False))
    assert offered(source, Values([1.0, 3.0], [2.0, 2.0])) == [1, 0]


def test_a_drawn_objective_is_the_same_in_all_restarts(tiny_classifier, image_batch, monkeypatch):
    choices = []

    def one_of_two(images, batch):
        choices.append(batch.choose(('first', 'second')))
        return batch.logits(images).sum()

    for seed in range(8):
        attack = build_attack({**SETTINGS, 'restarts': 6})
        monkeypatch.setattr(
            attack.objective,
            '__class__',
            type('Drawn', (type(attack.objective),), {'__call__': staticmethod(one_of_two)}),
        )
        attack(AttackSource(tiny_classifier), image_batch.images, image_batch.samples, Randomness(seed))
        assert len(set(choices)) == 1
        choices.clear()
