"""Feature maps of a source model's layers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Iterator, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...pixels import Pixels
from ...randomness import Randomness
from ..batch import AttackBatch
from ..source import AttackSource


@dataclass
class FeatureMap:
    """One layer's features of a batch.

    Attributes:
        values: ``(N, C, P)``: C channels at P positions; the tokens of a transformer are positions.
        mask: ``(N, 1, P)`` bool, false on padding; None without padding, and for tokens.
    """

    values: Tensor
    mask: Optional[Tensor] = None

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of ``(N, C, P)`` over channels and positions, excluding padding, ``(N,)``."""
        return (numbers if self.mask is None else numbers.where(self.mask, 0)).sum((1, 2))

    @property
    def count(self) -> Tensor:
        """The number of values per image, excluding padding, ``(N,)``, or one number for all."""
        channels = self.values.shape[1]
        if self.mask is None:
            return self.values.new_tensor(channels * self.values.shape[2])
        return channels * self.mask.sum((1, 2))

    def mean(self, numbers: Tensor) -> Tensor:
        """The mean of ``(N, C, P)`` over channels and positions, excluding padding, ``(N,)``."""
        return self.total(numbers) / self.count


def read_feature_maps(
    images: Pixels, layers: Sequence[str], batch: AttackBatch, randomness: Optional[Randomness] = None
) -> list[FeatureMap]:
    """The features returned by :func:`read_features_and_scores`."""
    return read_features_and_scores(images, layers, batch, randomness)[0]


def read_features_and_scores(
    images: Pixels, layers: Sequence[str], batch: AttackBatch, randomness: Optional[Randomness] = None
) -> tuple[list[FeatureMap], Optional[Tensor]]:
    """Features of images at the given layers of the batch's source, and its class scores; one query per image.

    Args:
        images: pixels 0-255; gradients flow through.
        layers: names as in ``model.named_modules()``, or names defined by the task.
        batch: the batch of these images.
        randomness: random numbers of a random defense, by default the batch's.

    Returns:
        The features at each layer, and the scores; None if the model has no single set of class scores.

    Raises:
        ValueError: for a layer that the model does not have, or that does not return features per image.
    """
    source = batch.source
    batch.count()
    inputs = source.preprocess(batch.guarded(images), batch.randomness if randomness is None else randomness)
    taps = [source.task.feature_tap(layer) for layer in layers]
    with ExitStack() as entered:
        for tap in taps:
            entered.enter_context(tap)
        scores = source.task.reference(inputs)
    return [_feature_map(tap.take(), layer, inputs, batch.mask) for tap, layer in zip(taps, layers)], scores


def _feature_map(features: Tensor, layer: str, inputs: Tensor, mask: Optional[Tensor]) -> FeatureMap:
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(inputs):
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UsageError(f'layer {layer!r} returns {shape} instead of features per image; choose another layer')
    if features.ndim == 3:
        return FeatureMap(features.transpose(1, 2))
    if features.ndim == 2:
        return FeatureMap(features.unsqueeze(2))
    if mask is not None:
        # Native preprocessors pad at the bottom and on the right, like stack().
        beyond = [full - own for full, own in zip(inputs.shape[-2:], mask.shape[-2:])]
        mask = F.interpolate(F.pad(mask, (0, beyond[1], 0, beyond[0])), features.shape[-2:], mode='nearest') > 0
    return FeatureMap(features.flatten(2), None if mask is None else mask.flatten(2))


@torch.no_grad()
def resolution_layers(source: AttackSource, images: Pixels) -> list[str]:
    """The last layer of the backbone at each resolution, in order of execution.

    For ResNets these are the stem and the stages, for VGG the layers before each pooling, for plain vision
    transformers, which keep one resolution, the patch embedding and the last layer. Only layers with parameters that
    return one tensor with an entry per image are considered, and only the outermost of nested ones.

    Args:
        source: the model.
        images: run through the model to find its layers.

    Raises:
        ValueError: if the model has no backbone, or the backbone has no such layer.
    """
    backbone = getattr(source.model, 'backbone', None)
    layers = [] if backbone is None else backbone.named_modules(prefix='backbone')
    names = {
        module: name
        for name, module in layers
        if module is not backbone and next(module.parameters(), None) is not None
    }
    positions: dict[str, int] = {}

    def record(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim in (3, 4) and len(output) == len(images):
            positions[names[module]] = output[0, 0].numel() if output.ndim == 4 else output.shape[1]

    with ExitStack() as hooks:
        for module in names:
            hooks.callback(module.register_forward_hook(record).remove)
        if names:
            source.task.reference(source.preprocess(images))
    outermost = [name for name in positions if not any(outer in positions for outer in _ancestors(name))]
    last = {positions[name]: name for name in outermost}
    if not last:
        raise UsageError(f'{type(source.model).__name__} has no backbone with feature maps; set layers=[...]')
    return list(last.values())


def _ancestors(name: str) -> Iterator[str]:
    """The names of all parents of a module."""
    return accumulate(name.split('.')[:-1], '{}.{}'.format)
