"""The two-class model of one image: an adversarial image exists by construction, at every position at once."""

from __future__ import annotations

import pytest
import torch

from mmadvdefense.attacks import AttackSource
from mmadvdefense.attacks.balls import L2Ball, LinfBall
from mmadvdefense.randomness import Randomness
from mmadvdefense.threats.binarization import Binarized, BinarizedTask, fit_logistic


def test_logistic_regression_of_two_points():
    """Of points at -1 and 1, each with half of the weight: ``r f(1) = 0.5 (1 - sigmoid(f(1)))`` with r = 0.001."""
    weight, bias = fit_logistic(torch.tensor([[[-1.0], [1.0]], [[3.0], [7.0]]]), torch.tensor([False, True]))
    value = float(weight[0, 0] + bias[0])
    assert 0.001 * value == pytest.approx(0.5 / (1 + torch.tensor(value).exp()).item(), rel=1e-4)
    assert float(bias[0]) == pytest.approx(0, abs=1e-6)
    # The second one is the first, twice as wide and around 5.
    assert float(weight[1, 0]) == pytest.approx(value / 2) and float(bias[1]) == pytest.approx(-2.5 * value)


def test_features_that_are_the_same_everywhere_count_for_nothing():
    weight, _ = fit_logistic(torch.tensor([[[-1.0, 5.0], [1.0, 5.0]]]), torch.tensor([False, True]))
    assert weight[0, 1] == 0 and weight[0, 0] > 0


@pytest.mark.parametrize('ball', [LinfBall(8.0), L2Ball(60.0)], ids=['linf', 'l2'])
def test_an_adversarial_image_exists(tiny_classifier, image_batch, ball):
    source = AttackSource(tiny_classifier)
    own, image = source.task, image_batch.images[:1]
    with source.undisturbed():
        binarized = Binarized(source, own, image, ball, seed=1)
        assert source.task is binarized.task and binarized.exists
        inner, corner = binarized._points(image, ball)
        assert (
            ball.size(corner - image) <= ball.eps + 1e-3 and (ball.size(inner - image) <= 0.9 * ball.eps + 1e-3).all()
        )
        assert binarized.found(image) == 0 and not any(binarized.found(point[None]) for point in inner)
        # Far beyond half of the way, where the boundary is.
        deepest = binarized._search(corner, image, ball)
        assert binarized.found(deepest) == 1 and ball.size(deepest - image) <= ball.eps + 1e-3
        # The margin on the clean image is the model's own.
        inputs = source.preprocess(image)
        best = own.logits(inputs).topk(2, 1).values
        clean = source.logits(image)
    assert clean.shape == (1, 2)
    assert float(clean[0, 0] - clean[0, 1]) == pytest.approx(float(best[0, 0] - best[0, 1]), rel=1e-4)


def test_without_a_gradient_the_boundary_is_before_the_corner(tiny_classifier, image_batch):
    source = AttackSource(tiny_classifier, defense=lambda images, _: (images / 4).round() * 4)
    image, ball = image_batch.images[:1], LinfBall(8.0)
    with source.undisturbed():
        binarized = Binarized(source, source.task, image, ball, seed=1)
        inner, corner = binarized._points(image, ball)
        assert torch.equal(binarized._search(corner, image, ball), corner)
        assert binarized.found(corner) == 1 and binarized.found(image) == 0
        scores = binarized._scores(torch.cat([corner, inner]))[:, 0]
    # 0.1 % of the way from the corner to the highest score of class 0.
    assert float(scores[0] / (scores[0] - scores[1:].max())) == pytest.approx(0.001, abs=2e-4)


def test_truth_and_targets(tiny_classifier, make_samples):
    source = AttackSource(tiny_classifier)
    task = BinarizedTask(source.task)
    samples = task.prepare_samples(source.preprocessor, torch.zeros(2, 3, 4, 4), make_samples(2))
    assert task.labels(samples, source.device).tolist() == [0, 0] and task.num_classes == 2
    relabelled = task.relabel(samples, torch.tensor([1, 0]))
    assert task.labels(relabelled, source.device).tolist() == [1, 0]
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    assert task.cross_entropy(logits, torch.tensor([0, 0])).tolist() == pytest.approx([0.6931, 0.1269], abs=1e-4)


def test_a_random_defense_is_judged_by_a_draw_that_does_not_change(tiny_classifier, image_batch):
    def defense(images, randomness: Randomness):
        return images + 4 * randomness.normal_like(images)

    source = AttackSource(tiny_classifier, defense=defense)
    with source.undisturbed():
        binarized = Binarized(source, source.task, image_batch.images[:1], LinfBall(16.0), seed=1)
        first, second = (binarized._scores(image_batch.images[:1]) for _ in range(2))
    assert torch.equal(first, second) and (first < 0).all() == binarized.exists
