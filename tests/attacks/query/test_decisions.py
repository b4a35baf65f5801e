"""Attacks that see decisions, where the decision boundary is known."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from mmadvdefense.attacks import AttackBatch, CleanReference, Randomness, build_attack
from mmadvdefense.attacks.balls import LinfBall
from mmadvdefense.attacks.query.boundary import bisect, noisy_starts
from mmadvdefense.attacks.query.geoda import query_plan
from mmadvdefense.attacks.query.oracle import Oracle
from mmadvdefense.pixels import stack

LINF = [
    dict(type='SignFlip', queries=1500, reduction=2.0),
    dict(type='GeoDA', queries=600),
    dict(type='CurlsWhey', queries=200, steps=20, step_size=1.0, rounds=3),
]
L2 = [
    dict(type='GeoDA', queries=600, norm='l2', subspace=8),
    dict(type='CurlsWhey', queries=200, steps=20, step_size=10.0, rounds=3, norm='l2'),
]


def run(config, host, eps):
    attack = build_attack({**config, 'eps': eps})
    result = attack.run(host.source, host.images, host.samples, Randomness(list(range(6))))
    return result, host.logits(result.images).argmax(1) != host.labels


def distances(host, norm):
    """Of each image to its nearest boundary, by the geometry of a linear model."""
    logits, labels = host.logits(host.images), host.labels
    leads = (logits.gather(1, labels[:, None]) - logits).scatter(1, labels[:, None], torch.inf)
    normals = (host.normals[labels][:, None] - host.normals).flatten(2)
    return (leads / normals.norm(2 if norm == 'l2' else 1, dim=2)).amin(1)


@pytest.mark.parametrize('config', LINF + L2, ids=lambda config: f'{config["type"]}-{config.get("norm", "linf")}')
def test_the_boundary_is_found_where_it_is_and_not_before(config, query_host):
    nearest = distances(query_host, config.get('norm', 'linf'))
    few = {**config, 'queries': 200}
    result, fooled = run(few, query_host, 0.95 * nearest.min().item())
    assert not fooled.any() and torch.equal(result.images, query_host.images)
    within = {'SignFlip': 6, 'GeoDA': 4, 'CurlsWhey': 1.1}[config['type']]
    result, fooled = run(config, query_host, within * nearest.max().item())
    assert fooled.all()


@pytest.mark.parametrize('norm', ['linf', 'l2'])
def test_curls_and_whey_end_near_the_boundary(norm, query_host):
    """Which a first success at the edge of the ball does not."""
    config = dict(type='CurlsWhey', queries=300, steps=40, step_size=0.5 if norm == 'linf' else 8.0, norm=norm)
    nearest = distances(query_host, norm)
    eps = 3 * nearest.max().item()
    first, _ = run({**config, 'rounds': 0, 'squeeze': False}, query_host, eps)
    last, fooled = run(config, query_host, eps)
    assert fooled.all()

    def length(images):
        return (images - query_host.images).flatten(1).norm(dim=1)

    assert (length(last.images) <= length(first.images)).all()
    assert length(last.images).mean() < 0.99 * length(first.images).mean()
    if norm == 'l2':
        assert (length(last.images) < 1.15 * nearest).all()


def test_curls_and_whey_counts_gradients_of_the_attacked_model(query_host):
    config = dict(type='CurlsWhey', queries=1000, steps=5, rounds=0, squeeze=False)
    result, fooled = run(config, query_host, 0.01)
    assert not fooled.any()
    # The clean image, and in each step two gradients and two questions.
    assert result.queries.tolist() == [1 + 5 * 4] * 6


@pytest.fixture
def oracle(query_host):
    source, images = query_host.source, query_host.images
    samples = source.prepare_samples(images, query_host.samples)
    batch = AttackBatch(source, samples, CleanReference(source, images), Randomness(list(range(6))), *stack(images))
    return Oracle(batch, LinfBall(8.0), 'decisions', 60)


def test_whey_halves_what_is_not_needed(query_host, oracle):
    """Twenty pixels that hardly matter, in a change that the model needs for the rest."""
    logits = query_host.logits(query_host.images[:1])
    target = logits.scatter(1, query_host.labels[:1, None], -torch.inf).argmax(1)
    normal = (query_host.normals[target] - query_host.normals[query_host.labels[:1]])[0]
    lead = (logits[0, query_host.labels[0]] - logits[0, target[0]]).item()
    change = 1.1 * lead / normal.abs().sum() * normal.sign()
    idle = normal.abs().flatten().argsort()[:20]
    change.view(-1)[idle] = 7.0
    assert oracle.decisions(query_host.images[:1] + change, [0]).all()
    build_attack(dict(type='CurlsWhey', eps=8))._squeeze(oracle)
    squeezed = (oracle.best - query_host.images)[0]
    # 7, 3.5 and 1.75, which is as large as the changes that are needed.
    assert change.abs().median().round() == 2
    assert squeezed.view(-1)[idle].tolist() == pytest.approx([1.75] * 20, abs=1e-4)
    assert query_host.logits(oracle.best[:1]).argmax(1) != query_host.labels[0]


def test_starts_fool_the_model(query_host, oracle):
    starts = noisy_starts(oracle)
    found = [i for i in range(6) if i in oracle.active()]
    assert len(found) >= 4
    assert (query_host.logits(starts[found]).argmax(1) != query_host.labels[found]).all()
    assert starts.min() >= 0 and starts.max() <= 255


def test_a_model_that_noise_does_not_fool_is_asked_to_the_end(query_host, oracle):
    query_host.model.head.fc.bias.data = F.one_hot(query_host.labels[:1], 5)[0] * 1e4
    attack = build_attack(dict(type='SignFlip', eps=8, queries=30))
    result = attack.run(query_host.source, query_host.images[:1], query_host.samples[:1], Randomness([0]))
    assert result.queries.tolist() == [30] and torch.equal(result.images, query_host.images[:1])


def test_bisection_ends_on_the_far_side_of_the_boundary(query_host, oracle):
    starts = noisy_starts(oracle)
    index = oracle.active()
    points = bisect(oracle, query_host.images, starts, index, 0.1)
    index = [i for i in index if i in oracle.active()]
    assert index
    for i in index:
        towards_clean = (query_host.images[i] - points[i]) / (query_host.images[i] - points[i]).norm()
        assert query_host.logits(points[[i]]).argmax() != query_host.labels[i]
        assert query_host.logits(points[[i]] + 0.1 * towards_clean).argmax() == query_host.labels[i]


def test_query_plan():
    # 0.6^(-2/3) = 1.4057; the first of 9 gets (4000 - 225) * 0.4057 / (1.4057^9 - 1) = 75 queries.
    plan = query_plan(4000, 0.6)
    assert len(plan) == 9 and plan[0] == 75 and sum(plan) == pytest.approx(4000 - 9 * 25, abs=5)
    assert [later / earlier for earlier, later in pairwise(plan)] == pytest.approx([1.4057] * 8, abs=0.02)
    assert query_plan(1000, 1.0) == [75] * 10
    assert query_plan(10, 0.6) == [1]


def test_the_estimate_of_the_normal_points_over_the_boundary(query_host, oracle):
    from mmadvdefense.attacks.query.low_frequency import LowFrequencies

    oracle.limit = 2000
    starts = noisy_starts(oracle)
    attack = build_attack(dict(type='GeoDA', eps=8, subspace=8, sigma=1.0))
    index = oracle.active()
    boundary = bisect(oracle, query_host.images, starts, index, 0.01)
    predicted = query_host.logits(boundary).argmax(1)
    oracle.ball.eps = -1.0  # nothing is a success, so that all are asked about to the end
    estimate = attack._estimate(oracle, boundary, LowFrequencies(8, 8, boundary), 800)
    normal = query_host.normals[predicted] - query_host.normals[query_host.labels]
    cosine = F.cosine_similarity(estimate.flatten(1), normal.flatten(1))
    # 192 dimensions: sqrt(2 n / (pi d + 2 n)) is expected of n signs, times the share of the normal in the subspace.
    assert (cosine[index] > 0.7).all()
