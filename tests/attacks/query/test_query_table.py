"""What must hold for every attack that asks for scores or decisions."""

import random

import numpy as np
import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack

ATTACKS = {
    'square': dict(type='Square', eps=8, queries=150),
    'square_cross_entropy': dict(type='Square', eps=8, queries=150, objective='cross_entropy'),
    'square_targeted': dict(type='Square', eps=16, queries=150, targeted='random'),
    'square_l2': dict(type='Square', eps=250, queries=200, norm='l2'),
    'ppda': dict(type='PPDA', eps=8, queries=150, dimensions=300),
    'ppda_targeted': dict(type='PPDA', eps=16, queries=150, dimensions=300, targeted='least_likely'),
    'ppda_l2': dict(type='PPDA', eps=200, queries=200, norm='l2', dimensions=300),
    'sign_flip': dict(type='SignFlip', eps=10, queries=500),
    'sign_flip_reduced': dict(type='SignFlip', eps=10, queries=500, reduction=2.0),
    # Far from the boundary, where another batch's rounding does not turn an answer.
    'geoda': dict(type='GeoDA', eps=8, queries=200, sigma=5.0),
    'geoda_l2': dict(type='GeoDA', eps=150, queries=300, norm='l2', subspace=8, sigma=5.0),
    'curls_whey': dict(type='CurlsWhey', eps=8, queries=100, steps=10, rounds=2),
    'curls_whey_targeted': dict(type='CurlsWhey', eps=16, queries=60, steps=10, rounds=1, targeted='random'),
    'curls_whey_l2': dict(type='CurlsWhey', eps=100, step_size=25, queries=60, steps=10, rounds=1, norm='l2'),
}
# These stop at the first image that fools the model; Curls & Whey goes on to a smaller change.
STOPPING = [name for name in ATTACKS if 'curls' not in name]


@pytest.fixture(params=ATTACKS)
def config(request):
    return ATTACKS[request.param]


def run(config, host, index=None, seeds=None, source=None):
    index = list(range(len(host.images))) if index is None else index
    randomness = Randomness(index if seeds is None else seeds)
    samples = [host.samples[i] for i in index]
    return build_attack(config).run(source or host.source, host.images[index], samples, randomness)


RUNS = {}


def run_all(config, host):
    """All images with seeds 0 to 5, once for all tests: the images, the queries, and how many the model was shown."""
    key = str(config)
    if key not in RUNS:
        before = len(host.shown)
        result = run(config, host)
        RUNS[key] = result.images, result.queries, sum(len(inputs) for inputs, _ in host.shown[before:])
    return RUNS[key]


def wanted(config, host):
    """The classes that a targeted attack moves towards, drawn as it says."""
    from mmadvdefense.attacks.targets import TARGETS

    logits = host.logits(host.images)
    return TARGETS[config['targeted']](logits, host.labels, Randomness(list(range(len(host.images)))))


def fools(config, host, images):
    predicted = host.logits(images).argmax(1)
    return predicted == wanted(config, host) if config.get('targeted') else predicted != host.labels


def size(config, delta):
    return delta.flatten(1).norm(dim=1) if config.get('norm') == 'l2' else delta.flatten(1).abs().amax(1)


def noise_rate(config, host, tries):
    """How many images are fooled by one of so many random changes of the whole budget."""
    generator = torch.Generator().manual_seed(0)
    fooled = torch.zeros(len(host.images), dtype=torch.bool)
    for _ in range(tries):
        noise = torch.randn(host.images.shape, generator=generator)
        noise = noise.sign() if config.get('norm') != 'l2' else noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        fooled |= fools(config, host, (host.images + config['eps'] * noise).clamp(0, 255))
    return fooled.float().mean()


def test_keeps_its_budget_and_beats_noise_of_as_many_queries(config, query_host):
    adversarial, _, _ = run_all(config, query_host)
    delta = adversarial - query_host.images
    assert size(config, delta).max() <= config['eps'] + 1e-3
    assert adversarial.min() >= 0 and adversarial.max() <= 255
    rate = fools(config, query_host, adversarial).float().mean()
    assert rate >= noise_rate(config, query_host, config['queries']) + 0.3


def test_counts_what_the_model_was_shown(config, query_host):
    _, queries, shown = run_all(config, query_host)
    # The choice of a target looks at the clean images once.
    assert queries.sum() == shown - len(query_host.images) * bool(config.get('targeted'))
    if config['type'] != 'CurlsWhey':
        assert queries.max() <= config['queries']


@pytest.mark.parametrize('name', STOPPING)
def test_asks_no_more_once_it_has_succeeded(name, query_host):
    config = ATTACKS[name]
    succeeded = 0
    for index in range(3):
        query_host.shown.clear()
        result = run(config, query_host, [index])
        shown = query_host.shown[1:] if config.get('targeted') else query_host.shown
        label = query_host.labels[index]
        if config.get('targeted'):
            label = wanted(config, query_host)[index]
        done = []
        for inputs, logits in shown[: result.queries[0]]:
            change = query_host.pixels(inputs) - query_host.images[index]
            hit = (logits.argmax(1) == label) == bool(config.get('targeted'))
            done.append(bool(hit & (size(config, change) <= config['eps'] + 1e-3)))
        assert not any(done[:-1])
        succeeded += done[-1]
    assert succeeded >= 1


def test_an_image_does_not_depend_on_its_batch(config, query_host):
    images, queries, _ = run_all(config, query_host)
    for index in ([2], [5, 1]):
        part = run(config, query_host, index)
        assert part.queries.tolist() == queries[index].tolist()
        torch.testing.assert_close(part.images, images[index], atol=1e-2, rtol=0)


def test_same_seeds_same_images(config, query_host):
    images, queries, _ = run_all(config, query_host)
    again = run(config, query_host, [0, 1, 2, 3, 4, 5])
    assert torch.equal(images, again.images) and torch.equal(queries, again.queries)
    assert not torch.equal(images[:2], run(config, query_host, [0, 1], seeds=[50, 51]).images)
    one_seed = [run(config, query_host, [0, 1], seeds=5).images for _ in range(2)]
    assert torch.equal(*one_seed)


def test_global_random_states_are_left_alone(config, query_host):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    run({**config, 'queries': 20}, query_host, [0, 1])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1] and (np.random.get_state()[1] == before[2]).all()


@pytest.mark.parametrize('name', STOPPING)
def test_needs_no_gradients(name, query_host):
    source = AttackSource(query_host.model, gradients=False)
    images = run(ATTACKS[name], query_host, [0, 1], source=source).images
    assert torch.equal(images, run_all(ATTACKS[name], query_host)[0][:2])
    assert fools(ATTACKS[name], query_host, run_all(ATTACKS[name], query_host)[0]).any()


@pytest.mark.parametrize('name', [name for name in ATTACKS if 'targeted' not in name])
def test_what_is_wrong_anyway_is_left_alone(name, query_host):
    config = {**ATTACKS[name], 'queries': 30}
    query_host.samples[4].set_gt_label((int(query_host.labels[4]) + 1) % 5)
    result = run(config, query_host)
    assert torch.equal(result.images[4], query_host.images[4])
    assert result.queries[4] == 1 and result.queries[5] > 1


def test_no_budget_no_change(config, query_host):
    result = run({**config, 'eps': 0, 'queries': 20}, query_host)
    assert torch.equal(result.images, query_host.images)


def test_one_query_is_the_one_about_the_clean_image(config, query_host):
    result = run({**config, 'queries': 1}, query_host)
    assert torch.equal(result.images, query_host.images)


@pytest.mark.parametrize('name', ['square', 'square_l2', 'ppda', 'sign_flip', 'geoda', 'curls_whey'])
def test_images_of_different_sizes(name, pointwise_classifier, make_images, make_samples):
    """Neither padding nor neighbours matter, and what lies beyond an image stays black."""
    config = {**ATTACKS[name], 'queries': 60}
    images = [make_images(3, *side, seed=i) for i, side in enumerate([(12, 10), (9, 14), (12, 10)])]
    samples, source = make_samples(3), AttackSource(pointwise_classifier)
    for sample, label in zip(samples, source.logits(images).argmax(1).tolist()):
        sample.set_gt_label(label)
    attack = build_attack(config)
    together = attack.run(source, images, samples, Randomness([0, 1, 2]))
    assert [image.shape for image in together.images] == [image.shape for image in images]
    for index, image in enumerate(images):
        alone = attack.run(source, [image], samples[index : index + 1], Randomness([index]))
        assert alone.queries[0] == together.queries[index]
        torch.testing.assert_close(alone.images[0], together.images[index], atol=1e-2, rtol=0)


def test_asks_through_a_random_defense(query_host):
    """Each question meets the defense, with numbers of its own for each image."""
    seen = []

    def defense(images, randomness):
        seen.append(len(images))
        return images + 2 * randomness.normal_like(images)

    source = AttackSource(query_host.model, defense=defense, gradients=False)
    for name in ('square', 'sign_flip', 'geoda'):
        seen.clear()
        config = {**ATTACKS[name], 'queries': 50}
        whole = run(config, query_host, source=source)
        assert sum(seen) == whole.queries.sum()
        part = run(config, query_host, [4, 2], source=source)
        torch.testing.assert_close(part.images, whole.images[[4, 2]], atol=1e-2, rtol=0)
