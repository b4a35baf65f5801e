"""When a purifier that is fitted to each image should stop, chosen on Gaussian noise and never on an attack."""

from __future__ import annotations

import copy
from typing import Any, Mapping, Optional, Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from ..errors import UsageError
from ..noise import add_gaussian_noise
from ..purifiers import OnlinePurifier, switched
from ..randomness import Randomness, image_seeds
from .results import MAIN_METRICS


@torch.no_grad()
def metric_by_step(
    model: BaseModel,
    loader: DataLoader,
    evaluator: Any,
    steps: Sequence[int],
    sigma: float,
    seed: int = 0,
) -> tuple[str, dict[int, float]]:
    """The task's metric on noisy images, purified for each of these numbers of steps in one run.

    Args:
        model: a host in eval mode, with an :class:`OnlinePurifier`, which is left enabled.
        loader: of images without augmentation.
        evaluator: config of the metrics.
        steps: in ascending order.
        sigma: of the noise, in pixels (0-255).
        seed: of the noise; the noise of an image depends on the seed and the image's name alone.

    Returns:
        The metric's name, and its value after each number of steps; after 0 steps that of the noisy images.

    Raises:
        UsageError: if the model has no such purifier.
    """
    purifier = model.data_preprocessor
    if not isinstance(purifier, OnlinePurifier):
        raise UsageError(f'{type(purifier).__name__} is not fitted to each image, so there are no steps to stop at')
    evaluators = {step: Evaluator(copy.deepcopy(evaluator)) for step in (0, *steps)}
    for each in evaluators.values():
        each.dataset_meta = getattr(loader.dataset, 'metainfo', None)
    size = 0
    for data in loader:
        samples = data['data_samples']
        size += len(samples)
        randomness = Randomness(image_seeds(seed, 'gaussian', data['inputs'], samples))
        noisy = add_gaussian_noise(purifier.load_pixels(data['inputs'], samples), sigma, randomness)
        noisy_data = {**data, 'inputs': noisy}
        stages = [noisy, *purifier.snapshots(noisy_data, steps)]
        with switched(purifier, False):
            for each, images in zip(evaluators.values(), stages):
                # Hosts change the samples that they are given.
                outputs = model.test_step({**data, 'inputs': images, 'data_samples': copy.deepcopy(samples)})
                each.process(outputs, noisy_data)
    results = {step: each.evaluate(size) for step, each in evaluators.items()}
    metric = _main_metric(results[0])
    return metric, {step: float(result[metric]) for step, result in results.items()}


def _main_metric(result: Mapping[str, Any]) -> str:
    return next((name for name in MAIN_METRICS if name in result), next(iter(result)))


def stopping_step(curve: Mapping[int, float], tolerance: float = 0.01) -> Optional[int]:
    """The first step from which more steps gain next to nothing.

    Args:
        curve: a metric, higher is better, by number of steps.
        tolerance: share of the curve's highest value that may be missing there. Where the curve falls again, because
            the network has begun to reproduce the noise, this is the step before the top or the top itself.

    Returns:
        None if no step does better than 0.
    """
    highest = max(curve.values())
    if highest <= 0:
        return None
    return next(step for step, value in sorted(curve.items()) if value >= (1 - tolerance) * highest)
