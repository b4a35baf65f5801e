"""Which classes targeted attacks move towards, for images and for pixels."""

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import BIM, PGD, AttackSource, Randomness, build_attack
from mmadvdefense.attacks.targets import TARGETS, random_target, target_choice, top_wrong_target, top_wrong_targets

LOGITS = torch.tensor([[5.0, 1.0, 3.0, 2.0], [5.0, 1.0, 3.0, 2.0], [0.0, -1.0, -2.0, -3.0]])
LABELS = torch.tensor([0, 2, 3])


def test_top_wrong_targets_by_hand():
    assert top_wrong_targets(LOGITS, LABELS, 2).tolist() == [[2, 0, 0], [3, 3, 1]]
    assert top_wrong_targets(LOGITS, LABELS, 3).tolist() == [[2, 0, 0], [3, 3, 1], [1, 1, 2]]
    # There are three wrong classes.
    assert torch.equal(top_wrong_targets(LOGITS, LABELS, 9), top_wrong_targets(LOGITS, LABELS, 3))
    assert top_wrong_target(LOGITS, LABELS, Randomness(0)).tolist() == [2, 0, 0]


def test_one_rank_by_hand():
    for rank, expected in enumerate([[2, 0, 0], [3, 3, 1], [1, 1, 2]], start=1):
        assert target_choice(f'top_wrong_{rank}')(LOGITS, LABELS, Randomness(0)).tolist() == expected
    with pytest.raises(ValueError, match='top_wrong_4: the model has 3 wrong classes'):
        target_choice('top_wrong_4')(LOGITS, LABELS, Randomness(0))


@pytest.mark.parametrize('name', ['top_wrong_0', 'top_wrong_', 'top_wrong_1.5', 'nearest'])
def test_unknown_choices(name):
    with pytest.raises(ValueError, match=f"PGD: unknown choice of target '{name}'; known: random, .*top_wrong_2"):
        build_attack(dict(type='PGD', eps=8, step_size=2, steps=4, targeted=name))


@pytest.mark.parametrize('name', TARGETS)
def test_pixels_have_targets_like_images(name):
    """A row of three pixels has the targets of three images; what is void stays void."""
    logits = LOGITS.T[None, :, None].repeat(2, 1, 2, 1)
    labels = LABELS.repeat(2, 2, 1)
    labels[0, 0, 1] = 255
    target = TARGETS[name](logits, labels, Randomness([3, 4]))
    assert target.shape == labels.shape
    assert target[0, 0, 1] == 255 and (target[labels == 255] == 255).all()
    known = labels != 255
    assert (target[known] != labels[known]).all() and target[known].max() < 4
    if name == 'random':
        # One step through the classes for each image.
        shift = (target - labels) % 4
        assert len(shift[0][known[0]].unique()) == len(shift[1].unique()) == 1
        alone = [random_target(logits[[i]], labels[[i]], Randomness([seed])) for i, seed in enumerate([3, 4])]
        assert torch.equal(target, torch.cat(alone))
    else:
        expected = TARGETS[name](LOGITS, LABELS, Randomness(0))
        assert torch.equal(target[1], expected.repeat(2, 1))


@pytest.mark.parametrize('name', TARGETS)
@pytest.mark.parametrize('ignored', [0, 1, 3])
def test_an_ignored_class_is_no_target_and_has_none(name, ignored):
    """Class 0 and 3 are the most and the least likely ones: without the mask most targets would be there."""
    classes = (torch.arange(4) != ignored).view(1, 4, 1, 1)
    logits = torch.tensor([5.0, 1.0, 3.0, -2.0]).view(1, 4, 1, 1).repeat(40, 1, 2, 4)
    labels = torch.arange(4).repeat(40, 2, 1)
    target = TARGETS[name](logits, labels, Randomness(list(range(40))), classes)
    assert target.shape == labels.shape
    assert (target[labels == ignored] == ignored).all()
    known = labels != ignored
    assert (target[known] != ignored).all() and (target[known] != labels[known]).all()
    if name == 'random':
        # Both other classes of every class, equally often.
        for label in set(range(4)) - {ignored}:
            drawn = target[:, 0, label].bincount(minlength=4)
            assert drawn[label] == drawn[ignored] == 0 and drawn.sum() == 40 and drawn[drawn > 0].min() > 8
    else:
        order = [0, 2, 1, 3] if name == 'top_wrong' else [3, 1, 2, 0]
        for label in set(range(4)) - {ignored}:
            best = next(k for k in order if k not in (label, ignored))
            assert (target[:, :, label] == best).all()


def test_two_classes_of_which_one_is_ignored_leave_no_target():
    labels = torch.tensor([[0, 1]])
    classes = torch.tensor([False, True]).view(1, 2, 1)
    logits = torch.zeros(1, 2, 2)
    for name in TARGETS:
        if name == 'random':
            assert TARGETS[name](logits, labels, Randomness([0]), classes).tolist() == [[0, 1]]


def test_decisions_of_different_numbers_of_classes():
    """The first knows three classes, the second two: there the better one stands in for a second wrong one."""
    classes = torch.tensor([[True, True], [True, True], [True, False]])[None]
    logits = torch.tensor([[3.0, 1.0], [2.0, 0.5], [1.0, -1e4]])[None]
    labels = torch.tensor([[0, 0]])
    assert top_wrong_targets(logits, labels, 9, classes).tolist() == [[[1, 1]], [[2, 1]]]
    drawn = torch.cat([random_target(logits, labels, Randomness([seed]), classes) for seed in range(30)])
    assert set(drawn[:, 0].tolist()) == {1, 2} and set(drawn[:, 1].tolist()) == {1}


def log_probability(model, images, target):
    native = model.data_preprocessor
    with torch.no_grad():
        logits = model.eval()((images - native.mean) / native.std)
    return -F.cross_entropy(logits, target, reduction='none'), logits


@pytest.mark.parametrize('eps', [40, 120])
def test_the_best_of_many_targets_by_hand(eps, tiny_classifier, make_images, make_samples):
    source, images, samples = AttackSource(tiny_classifier), make_images(60, 3, 4, 4), make_samples(60)
    labels = torch.cat([sample.gt_label for sample in samples])
    _, clean_logits = log_probability(tiny_classifier, images, labels)
    targets = top_wrong_targets(clean_logits, labels, 3)
    runs, values, reached = [], [], []
    for target in targets:
        attack = BIM(eps, eps / 4, 5, targeted='top_wrong')
        attack.choose_targets = lambda batch, target=target: target
        runs.append(attack(source, images, samples, Randomness(0)))
        value, logits = log_probability(tiny_classifier, runs[-1], target)
        values.append(value)
        reached.append(logits.argmax(1) == target)
    strength = torch.stack(values).double() + 1e3 * torch.stack(reached)
    expected = torch.stack(runs)[strength.argmax(0), torch.arange(len(images))]
    result = BIM(eps, eps / 4, 5, targeted='top_wrong', num_targets=3).run(source, images, samples, Randomness(0))
    assert torch.equal(result.images, expected)
    assert len(strength.argmax(0).unique()) > 1, 'no one target is the best for all'
    # Five gradients for each target, and two looks at the result.
    assert result.queries.tolist() == [3 * (5 + 2)] * 60


def test_one_target_is_the_most_likely_wrong_class(tiny_classifier, image_batch):
    source, images, samples = AttackSource(tiny_classifier), image_batch.images, image_batch.samples
    one = PGD(8, 2, 4, targeted='top_wrong')(source, images, samples, Randomness(1))
    _, clean_logits = log_probability(tiny_classifier, images, image_batch.labels)
    target = top_wrong_targets(clean_logits, image_batch.labels, 1)[0]
    before, _ = log_probability(tiny_classifier, images, target)
    after, _ = log_probability(tiny_classifier, one, target)
    assert (after > before).all()


def test_titles_say_how_the_target_is_chosen():
    settings = dict(type='PGD', eps=8, step_size=2, steps=10)
    assert build_attack({**settings, 'targeted': True}).describe() == 'PGD (L-inf 8, 10 steps, target class: random)'
    nine = build_attack({**settings, 'targeted': 'top_wrong', 'num_targets': 9})
    assert nine.describe() == 'PGD (L-inf 8, 10 steps, target class: top wrong, 9 targets)'
    assert build_attack(settings).describe() == 'PGD (L-inf 8, 10 steps)'
