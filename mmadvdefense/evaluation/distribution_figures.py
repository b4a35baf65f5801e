"""What a report's page shows of :class:`~mmadvdefense.evaluation.distributions.Distributions`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence, Union

import numpy as np

from ..checkpoints import save_file_atomically
from .distributions import PAIRS, STATES, Distributions, proxy_a_distance, tsne
from .figures import png_data_url, scatter_figure


def distribution_element(distributions: Distributions, classes: Optional[Sequence[str]] = None, seed: int = 0) -> str:
    """An ``<img>`` of the four states in one t-SNE embedding (Align, Fig. 6), and their Proxy-A distances (Fig. 4).

    Args:
        distributions: of one defence.
        classes: their names.
        seed: of the embedding and of the folds.
    """
    places = tsne([distributions.features[state] for state in STATES], seed)
    figure = scatter_figure(dict(zip(STATES, places)), distributions.labels, classes)
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
    arrays = {'labels': distributions.labels, **distributions.features}
    save_file_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def load_distributions(path: Union[str, Path]) -> Distributions:
    """The inverse of :func:`save_distributions`."""
    with np.load(path) as arrays:
        return Distributions({state: arrays[state] for state in STATES}, arrays['labels'])
