import numpy as np
import pytest
import torch

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.evaluation.report.distributions import (
    FEATURE_STATES,
    Distributions,
    collect_distributions,
    distribution_element,
    proxy_a_distance,
    tsne,
)

RANDOM = np.random.default_rng(0)
GENERATOR = dict(type='GlobalGenerator', base_channels=4, num_downsamples=2, num_blocks=1)


def test_proxy_a_distance_of_equal_and_of_separate_sets():
    first = RANDOM.normal(size=(200, 5))
    assert proxy_a_distance(first, first.copy()) == 0
    apart = proxy_a_distance(first, first + 20)
    assert apart == 2
    near = proxy_a_distance(first, RANDOM.normal(size=(200, 5)) + 0.8)
    assert 0.2 < near < 1.8


def test_proxy_a_distance_is_two_minus_four_errors():
    # Right for 3 of 4 vectors, the same ones of each set: the best linear rule errs on a quarter.
    value = np.tile([1.0, 1.0, 1.0, -1.0], 50)[:, None]
    assert proxy_a_distance(value, -value) == pytest.approx(2 * (1 - 2 * 0.25), abs=0.05)


def test_tsne_keeps_clusters_apart_and_repeats_itself():
    centres = np.array([[0.0] * 60, [30.0] * 60])
    sets = [centre + RANDOM.normal(size=(40, 60)) for centre in centres]
    first, second = tsne(sets)
    assert first.shape == second.shape == (40, 2)
    gap = np.linalg.norm(first.mean(0) - second.mean(0))
    spread = max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (first, second))
    assert gap > 3 * spread
    np.testing.assert_array_equal(first, tsne(sets)[0])
    with pytest.raises(ValueError, match='at least 4'):
        tsne([np.zeros((1, 3)), np.zeros((2, 3))])


@pytest.mark.parametrize('count', [0, 4])
def test_a_page_says_that_there_are_too_few_vectors(count):
    features = {state: np.zeros((count, 3), np.float32) for state in FEATURE_STATES}
    element = distribution_element(Distributions(features, np.zeros(count, int)))
    assert element == f'<p>Only {count} feature vectors: at least 5 are needed to compare distributions.</p>'


class Dataset:
    pipeline = None


def test_features_are_those_of_the_target_in_each_state(make_classifier, image_batch):
    model = make_classifier(type='AlignPurifier', generator=GENERATOR)
    model.data_preprocessor.num_updates += 1
    attack = build_attack(dict(type='FGSM', eps=8))
    batches = [{'inputs': list(image_batch.images), 'data_samples': image_batch.samples}]
    found = collect_distributions(model, attack, Dataset(), batches, count=4)
    assert list(found.features) == list(FEATURE_STATES)
    source, purifier = AttackSource(model), model.data_preprocessor
    adversarial = torch.stack(list(attack(source, list(image_batch.images), image_batch.samples, Randomness(0))))
    model.eval()
    at = torch.linspace(0, len(image_batch.images) - 1, 4).round().long()
    purified = [purifier.clean(images) for images in (image_batch.images, adversarial)]
    for state, pixels in zip(FEATURE_STATES, (image_batch.images, adversarial, *purified)):
        native = purifier.native
        features = model.extract_feat((pixels - native.mean) / native.std)[-1].flatten(1)
        np.testing.assert_allclose(found.features[state], features[at].detach().numpy(), rtol=1e-4, atol=1e-5)
    assert found.labels.tolist() == image_batch.labels[at].tolist()
