"""The oracle's answers by hand, and what it keeps."""

import pytest
import torch

from mmadvdefense.attacks import AttackBatch, CleanReference, Randomness
from mmadvdefense.attacks.balls import LinfBall
from mmadvdefense.attacks.objectives import build_objective, margins
from mmadvdefense.attacks.query.oracle import Oracle
from mmadvdefense.pixels import stack


@pytest.fixture
def batch(query_host):
    source, images = query_host.source, query_host.images
    samples = source.prepare_samples(images, query_host.samples)
    return AttackBatch(source, samples, CleanReference(source, images), Randomness(list(range(6))), *stack(images))


def make_oracle(batch, access='decisions', limit=10, eps=8.0, **options):
    objective = build_objective('margin') if access == 'scores' else None
    return Oracle(batch, LinfBall(eps), access, limit, objective, **options)


def towards(host, index, pixels):
    """Images moved so many pixels (L-infinity) in the direction in which their nearest wrong class gains most."""
    labels = host.labels[index]
    logits = host.logits(host.images[index])
    leads = (logits.gather(1, labels[:, None]) - logits).scatter(1, labels[:, None], torch.inf)
    lengths = (host.normals[labels][:, None] - host.normals).abs().flatten(2).sum(2)
    nearest = (leads / lengths).argmin(1)
    return host.images[index] + pixels * (host.normals[nearest] - host.normals[labels]).sign()


def test_decisions_are_those_of_the_model(query_host, batch):
    images = towards(query_host, [0, 1, 2, 3, 4, 5], 2.0)
    wrong = query_host.logits(images).argmax(1) != query_host.labels
    # Some are over the boundary, some not yet.
    assert 0 < wrong.sum() < 6
    assert make_oracle(batch).decisions(images, range(6)).tolist() == wrong.tolist()
    batch.target = (query_host.labels + 1) % 5
    hit = query_host.logits(images).argmax(1) == batch.target
    assert make_oracle(batch).decisions(images, range(6)).tolist() == hit.tolist()


def test_scores_are_margins_of_the_images_asked_about(query_host, batch):
    index = [4, 1]
    images = towards(query_host, index, 1.5)
    expected = margins(query_host.logits(images), query_host.labels[index])
    torch.testing.assert_close(make_oracle(batch, 'scores').scores(images, index), expected)


def test_only_images_asked_about_are_counted_and_shown(query_host, batch):
    oracle = make_oracle(batch)
    for index in ([0, 1, 2, 3, 4, 5], [2, 0], [2], [2]):
        oracle.decisions(query_host.images[index], index)
    assert batch.queries.tolist() == [2, 1, 4, 1, 1, 1]
    assert [len(inputs) for inputs, _ in query_host.shown] == [6, 2, 1, 1]
    torch.testing.assert_close(query_host.pixels(query_host.shown[1][0]), query_host.images[[2, 0]])


def test_nobody_asks_more_than_allowed(query_host, batch):
    oracle = make_oracle(batch, limit=2)
    for _ in range(2):
        oracle.decisions(query_host.images[[3, 5]], [3, 5])
    assert oracle.affordable() == oracle.active() == [0, 1, 2, 4]
    with pytest.raises(RuntimeError, match='image 5 .* 2 times'):
        oracle.decisions(query_host.images[[0, 5]], [0, 5])
    assert batch.queries.tolist() == [0, 0, 0, 2, 0, 2]


def test_who_sees_decisions_sees_no_scores(query_host, batch):
    with pytest.raises(RuntimeError, match='access to decisions, not to scores'):
        make_oracle(batch).scores(query_host.images, range(6))
    assert not query_host.shown


def test_the_best_lies_inside_and_fools_and_is_the_nearest(query_host, batch):
    oracle = make_oracle(batch, eps=5.0)
    index = [0, 1]
    far, near, nearer = (towards(query_host, index, pixels) for pixels in (20.0, 5.0, 4.5))
    assert oracle.decisions(far, index).all()
    assert not any(oracle.found) and torch.equal(oracle.best, query_host.images)
    assert oracle.decisions(near, index).all()
    assert oracle.found == [True, True, False, False, False, False] and oracle.active() == [2, 3, 4, 5]
    oracle.decisions(nearer[:1], [0])
    assert torch.equal(oracle.best[:2], torch.stack([nearer[0], near[1]]))
    # Neither a longer way nor one that does not fool the model takes its place.
    oracle.decisions(near[:1], [0])
    oracle.decisions(query_host.images[:1], [0])
    assert torch.equal(oracle.best[0], nearer[0]) and oracle.found[0]


def test_of_images_that_do_not_fool_the_highest_score_is_best(query_host, batch):
    oracle = make_oracle(batch, 'scores')
    assert oracle.best_scores().tolist() == [-torch.inf] * 6
    index = [0, 1]
    small, smaller, away = (towards(query_host, index, pixels) for pixels in (0.4, 0.2, -1.0))
    for images in (query_host.images[index], small, smaller, away):
        scores = oracle.scores(images, index)
    assert torch.equal(oracle.best[index], small)
    expected = margins(query_host.logits(small), query_host.labels[index])
    torch.testing.assert_close(oracle.best_scores()[index], expected)
    assert (oracle.best_scores()[index] > scores).all() and not any(oracle.found)
