"""SEA, the standard set, and the worst of their parts."""

import pytest
import torch

from mmadvdefense.attacks import SEA, AdaptiveAscent, EachPart, Randomness, SegAutoAttack, build_attack
from mmadvdefense.attacks.dense import seg_autoattack
from mmadvdefense.attacks.dense.sea import LOSSES, StepsByCrossEntropy
from mmadvdefense.attacks.objectives import build_objective

ATTACK = dict(type='SEA', eps=8, steps=10)


@pytest.fixture
def shorter(monkeypatch):
    monkeypatch.setattr(seg_autoattack, '_PGD_STEPS', 5)
    monkeypatch.setattr(seg_autoattack, '_SEA_STEPS', 6)


def test_radii_and_steps(segmentor, monkeypatch):
    seen, ascend = [], AdaptiveAscent.__call__

    def record(self, batch, start, ball):
        result = ascend(self, batch, start, ball)
        seen.append((ball.eps, self.steps, start, result.images))
        return result

    monkeypatch.setattr(AdaptiveAscent, '__call__', record)
    attack = build_attack({**ATTACK, 'losses': ['jensen_shannon']})
    result = attack.run(segmentor.source, segmentor.images, segmentor.samples, Randomness(0))
    assert [(eps, steps) for eps, steps, _, _ in seen] == [(16, 3), (12, 3), (8, 4)]
    assert torch.equal(seen[0][2], segmentor.images)
    assert torch.equal(seen[1][2], seen[0][3]) and torch.equal(seen[2][2], seen[1][3])
    assert torch.equal(result.images, seen[2][3])
    # One more in each ball.
    assert result.queries.tolist() == [13] * 3
    assert build_attack(dict(type='SEA', eps=4))._lengths == (90, 90, 120)


def test_the_best_iterate_has_the_fewest_right_pixels(segmentor, monkeypatch):
    """Also where a later one has a higher loss."""
    visited, evaluate = [], AdaptiveAscent._evaluate
    monkeypatch.setattr(AdaptiveAscent, '_evaluate', lambda *args: visited.append(args[1]) or evaluate(*args))
    attack = build_attack({**ATTACK, 'losses': ['masked_cross_entropy']})
    found = attack(segmentor.source, segmentor.images, segmentor.samples, Randomness(0))
    in_last_ball = torch.stack([segmentor.accuracy(images) for images in visited[8:]])
    assert len(in_last_ball) == 5
    torch.testing.assert_close(segmentor.accuracy(found), in_last_ball.amin(0))


@pytest.mark.parametrize('attack', [SEA(8, 10), SEA(8, 10, targeted='top_wrong')], ids=['untargeted', 'targeted'])
def test_the_worst_loss_of_each_image_counts(attack, segmentor):
    given = (segmentor.source, segmentor.images, segmentor.samples, Randomness(0))
    parts = [build_attack(part) for part in attack.parts()]
    assert [part.losses for part in parts] == [[loss] for loss in LOSSES]
    images = [part(*given) for part in parts]
    target = segmentor.masks
    if attack.targeted:
        scores = segmentor.logits(segmentor.images).scatter(1, target.where(target < 4, 0)[:, None], -torch.inf)
        target = scores.argmax(1).where(target < 4, 255)
    known = target != 255
    hits = torch.stack([((segmentor.logits(own).argmax(1) == target) & known).flatten(1).sum(1) for own in images])
    wanted = hits if attack.targeted else -hits
    chosen = wanted.argmax(0).tolist()
    result = attack.run(*given)
    assert torch.equal(result.images, torch.stack([images[which][index] for index, which in enumerate(chosen)]))
    assert result.queries.tolist() == [4 * 13] * 3


def test_steps_by_cross_entropy(segmentor, make_batch):
    """The value is the cross-entropy of all pixels, the gradient that of the loss."""
    segmentor.model.eval()
    batch = make_batch(segmentor.source, segmentor.images, segmentor.samples)
    masked = build_objective('masked_cross_entropy')
    images = segmentor.images.clone().requires_grad_()
    value = StepsByCrossEntropy(masked).values(images, batch)
    torch.testing.assert_close(value, build_objective('cross_entropy').values(images, batch))
    (gradient,) = torch.autograd.grad(value.sum(), images)
    (expected,) = torch.autograd.grad(masked(images, batch), images)
    torch.testing.assert_close(gradient, expected)


def test_settings():
    for steps in (0, 3, 2.5):
        with pytest.raises(ValueError, match='SEA: .*steps'):
            SEA(8, steps)
    for losses in ([], ['cross_entropy', 'segpgd'], ['vanish!']):
        with pytest.raises(ValueError, match='losses are objectives of pixels|unknown attack objective'):
            SEA(8, losses=losses)
    assert SEA(8, losses='segpgd').losses == ['segpgd']
    assert SEA(8).describe() == 'SEA (L-inf 8, 300 steps, 4 losses)'
    assert SEA(8, 20, losses=['jensen_shannon']).describe() == 'SEA (L-inf 8, 20 steps, jensen shannon)'


def test_standard_settings():
    kinds = [(attack.title, attack.steps) for attack in SegAutoAttack(8).attacks]
    assert kinds == [('SegPGD', 100), ('CosPGD', 100), *[('SEA', 300)] * 4]
    assert [attack.losses[0] for attack in SegAutoAttack(8).attacks[2:]] == list(LOSSES)
    assert SegAutoAttack(8).attacks[0].step_size == 2
    with pytest.raises(ValueError, match='SegAutoAttack: .*steps'):
        build_attack(dict(type='SegAutoAttack', eps=8, steps=10))


def test_the_standard_set_is_as_strong_as_its_parts(segmentor, shorter, run_attack):
    attack = SegAutoAttack(8)
    each = [run_attack(part, segmentor.source, segmentor.images, segmentor.samples) for part in attack.parts()]
    lowest = torch.stack([segmentor.accuracy(images) for images in each]).amin(0)
    result = attack.run(segmentor.source, segmentor.images, segmentor.samples, Randomness([0, 1, 2]))
    torch.testing.assert_close(segmentor.accuracy(result.images), lowest)
    # SegPGD and CosPGD, SEA with each of four losses, and a look at each result.
    assert result.queries.tolist() == [2 * 5 + 4 * 9 + 6] * 3
    assert (result.images - segmentor.images).abs().max() <= 8 + 1e-3
    alone = run_attack(
        dict(type='SegAutoAttack', eps=8), segmentor.source, segmentor.images[1:2], segmentor.samples[1:2], [1]
    )
    assert ((alone[0] - result.images[1]).abs() < 1e-2).float().mean() >= 0.99


@pytest.mark.parametrize('kind', ['SEA', 'SegAutoAttack'])
@pytest.mark.parametrize('norm', ['linf', 'l2'])
def test_no_budget_no_change(kind, norm, segmentor, shorter, run_attack):
    config = dict(type=kind, eps=0, norm=norm)
    if kind == 'SEA':
        config['steps'] = 4
    assert torch.equal(run_attack(config, segmentor.source, segmentor.images, segmentor.samples), segmentor.images)


def test_parts_that_are_run_one_by_one():
    attack = EachPart(ATTACK, worst_by='miou')
    losses = [candidate.attack.losses for candidate in attack.candidates(4)]
    assert losses == [[loss] for loss in LOSSES]
    assert attack.describe() == 'SEA, worst part by mIoU (L-inf 8, 10 steps, 4 losses)'
    assert build_attack(dict(type='EachPart', attack=ATTACK)).worst_by == 'accuracy'
    assert len(EachPart(dict(type='SegAutoAttack'), eps=4).candidates(4)) == 6
    with pytest.raises(ValueError, match='EachPart: PGD has no parts; it takes SEA or SegAutoAttack'):
        EachPart(dict(type='PGD', eps=8, step_size=2, steps=4))
    with pytest.raises(ValueError, match="EachPart: unknown worst_by='iou'; known: score, accuracy, miou"):
        EachPart(ATTACK, worst_by='iou')
