"""Whether the purifier brings the distributions of clean and adversarial images together (Align, Fig. 1, 4 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Optional, Sequence, Union

import numpy as np
import torch
from torch import Tensor, nn

from ...attacks import Attack, AttackSource, Randomness
from ...checkpoints import save_file_atomically
from ...errors import UsageError
from ...models import unwrap
from ...pixels import Pixels
from ...purifiers import Purifier
from ...randomness import image_seeds
from ...tasks import annotations_in_input_frame
from .charts import png_data_url, scatter_figure

# x_c, x_a, G(x_c) and G(x_a): besides the states of examples.py, clean images are purified.
FEATURE_STATES = ('clean', 'adversarial', 'purified clean', 'purified adversarial')
PAIRS = (
    ('adversarial', 'clean'),
    ('purified adversarial', 'clean'),
    ('purified adversarial', 'purified clean'),
)

# Of the cross-validation behind a Proxy-A distance.
FOLDS = 5


@dataclass
class Distributions:
    """Features of the target model in the four states.

    Attributes:
        features: ``(M, L)`` for each of :data:`FEATURE_STATES`.
        labels: ``(M,)`` classes.
    """

    features: dict[str, np.ndarray]
    labels: np.ndarray


def collect_distributions(
    model: nn.Module,
    attack: Attack,
    dataset,
    batches: Iterable[dict],
    count: int = 500,
    source: Optional[AttackSource] = None,
    layer: Optional[str] = None,
    seed: int = 0,
) -> Distributions:
    """Features by class of the first images, clean, attacked, and both purified.

    Args:
        model: a host model with a trained purifier; left as it was.
        attack: of :func:`mmadvdefense.attacks.build_attack`.
        dataset: the data set of ``batches``, whose pipeline tells in which frame the ground truth is.
        batches: a test data loader.
        count: the largest number of feature vectors: images, boxes or pixels with a class.
        source: whose gradients are used; the model's own (gray-box on O) by default.
        layer: as for :meth:`mmadvdefense.tasks.Task.feature_tap`.
        seed: of the attack.

    Raises:
        UsageError: if the model has no purifier.
    """
    model = unwrap(model)
    purifier = model.data_preprocessor
    if not isinstance(purifier, Purifier):
        raise UsageError(f'{type(model).__name__} has no purifier whose effect could be shown')
    target = AttackSource(model)
    task, tap = target.task, target.task.feature_tap(layer)
    in_input_frame = annotations_in_input_frame(dataset)
    found: dict[str, list[Tensor]] = {state: [] for state in FEATURE_STATES}
    labels: list[Tensor] = []
    for batch in batches:
        clean = purifier.load_pixels(batch['inputs'], batch['data_samples'])
        samples = task.in_input_frame(batch['data_samples'], in_input_frame)
        randomness = Randomness(image_seeds(seed, 'test', batch['inputs'], samples))
        adversarial = attack(source or target, clean, samples, randomness)
        prepared = target.prepare_samples(clean, samples)
        with torch.no_grad(), target.undisturbed():
            images = (clean, adversarial, purifier.clean(clean), purifier.clean(adversarial))
            for state, pixels in zip(FEATURE_STATES, images):
                vectors, classes = task.class_features(_features(target, tap, pixels), prepared)
                known = classes >= 0
                found[state].append(vectors[known].cpu())
        labels.append(classes[known].cpu())
        if sum(map(len, labels)) >= count:
            break
    keep = _spread(sum(map(len, labels)), count)
    features = {state: torch.cat(parts)[keep].float().numpy() for state, parts in found.items()}
    return Distributions(features, torch.cat(labels)[keep].numpy())


def _features(target: AttackSource, tap, pixels: Pixels) -> Tensor:
    inputs = target.preprocess(pixels)
    with tap:
        target.task.reference(inputs)
    return tap.take()


def _spread(total: int, count: int) -> Tensor:
    """Up to ``count`` positions, evenly spread: a segmentation has many pixels, and neighbours are alike."""
    return torch.linspace(0, total - 1, min(total, count)).round().long()


def tsne(features: Sequence[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """Several sets of vectors in one embedding in the plane, ``(M, 2)`` each (van der Maaten and Hinton, JMLR 2008)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    joint = np.concatenate(features)
    if len(joint) < 4:
        raise UsageError(f't-SNE needs at least 4 vectors, got {len(joint)}')
    # As its authors recommend, to suppress noise in many dimensions.
    components = min(50, *joint.shape)
    reduced = PCA(components, random_state=seed).fit_transform(joint) if components < joint.shape[1] else joint
    perplexity = min(30.0, (len(joint) - 1) / 3)
    places = TSNE(perplexity=perplexity, init='pca', random_state=seed).fit_transform(reduced)
    return np.split(places, np.cumsum([len(part) for part in features])[:-1])


def proxy_a_distance(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """How well a linear classifier separates two sets of vectors: ``2 (1 - 2 error)``, from 0 (alike) to 2 (apart).

    Ben-David et al., Machine Learning 2010; the error is that of 5-fold cross-validation of a linear SVM, and a
    classifier that does worse than chance counts as 0.

    Args:
        first, second: ``(M, L)``; row ``i`` of both may come from the same image, which is then never split between
            training and validation.
        seed: of the folds.
    """
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    vectors = np.concatenate([first.reshape(len(first), -1), second.reshape(len(second), -1)])
    domain = np.repeat([0, 1], [len(first), len(second)])
    groups = np.concatenate([np.arange(len(first)), np.arange(len(second))])
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LinearSVC(C=0.01, dual=True, random_state=seed, max_iter=5000))
    error = 1 - cross_val_score(classifier, vectors, domain, groups=groups, cv=folds).mean()
    return max(0.0, 2 * (1 - 2 * float(error)))


def distribution_element(distributions: Distributions, classes: Optional[Sequence[str]] = None, seed: int = 0) -> str:
    """An ``<img>`` of the four states in one t-SNE embedding (Align, Fig. 6), and their Proxy-A distances (Fig. 4).

    Args:
        distributions: of one defense.
        classes: their names.
        seed: of the embedding and of the folds.

    Returns:
        A sentence instead, if there are too few vectors to be compared.
    """
    count = len(distributions.labels)
    if count < FOLDS:
        return f'<p>Only {count} feature vectors: at least {FOLDS} are needed to compare distributions.</p>'
    places = tsne([distributions.features[state] for state in FEATURE_STATES], seed)
    figure = scatter_figure(dict(zip(FEATURE_STATES, places)), distributions.labels, classes)
    rows = ''.join(f'<tr><td>{first} to {second}</td><td>{value:.2f}</td></tr>' for first, second, value in
                   proxy_a_distances(distributions, seed))  # fmt: skip
    table = f'<table><tr><th>Proxy-A distance, 0 (alike) to 2 (apart)</th><th></th></tr>{rows}</table>'
    return f'<img alt="t-SNE of the features" src="{png_data_url(figure)}">{table}'


def proxy_a_distances(distributions: Distributions, seed: int = 0) -> list[tuple[str, str, float]]:
    """For the pairs of states that the paper compares."""
    features = distributions.features
    return [(a, b, proxy_a_distance(features[a], features[b], seed)) for a, b in PAIRS]


def save_distributions(path: Union[str, Path], distributions: Distributions) -> None:
    """Write them as a compressed ``.npz``."""
    arrays: dict[str, Any] = {'labels': distributions.labels, **distributions.features}
    save_file_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def load_distributions(path: Union[str, Path]) -> Distributions:
    """The inverse of :func:`save_distributions`."""
    with np.load(path) as arrays:
        return Distributions({state: arrays[state] for state in FEATURE_STATES}, arrays['labels'])
