"""Objectives on features; they use no labels by default."""

from __future__ import annotations

from functools import reduce
from typing import ClassVar, Optional, Sequence, Union
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UsageError
from ...pixels import Pixels, stack
from ...registry import OBJECTIVES
from ..batch import AttackBatch
from ..objectives import Objective
from ..source import CleanReference
from .feature_maps import FeatureMap, read_feature_maps, read_features_and_scores, resolution_layers


class FeatureObjective(Objective):
    """A per-layer function of features, summed over layers.

    Args:
        layers: names as in ``model.named_modules()``. By default, the last layers of the backbone at each resolution
            (:func:`resolution_layers`), found on the first batch: all of them or the middle one, depending on the
            objective.
    """

    targetable = False
    needs_labels = False
    of_scores = False
    middle_only: ClassVar[bool] = False
    compares_with_clean: ClassVar[bool] = True

    def __init__(self, layers: Union[None, str, Sequence[str]] = None):
        self.layers = [layers] if isinstance(layers, str) else layers
        self._default_layers: WeakKeyDictionary[nn.Module, Sequence[str]] = WeakKeyDictionary()
        self._clean_maps: WeakKeyDictionary[CleanReference, list[FeatureMap]] = WeakKeyDictionary()

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        return self._values_and_scores(images, batch)[0]

    def _values_and_scores(self, images: Pixels, batch: AttackBatch) -> tuple[Tensor, Optional[Tensor]]:
        """The sum over layers, and the class scores of the same forward pass."""
        clean = [one.values for one in self._clean(batch)] if self.compares_with_clean else None
        maps, scores = read_features_and_scores(images, self._layers(batch), batch)
        clean = clean or [one.values.new_empty(0) for one in maps]
        return reduce(torch.add, map(self.layer_values, maps, clean)), scores

    def layer_values(self, features: FeatureMap, clean: Tensor) -> Tensor:
        """The value of one layer, ``(N,)``; ``clean`` holds the features ``(N, C, P)`` of the clean images.

        ``clean`` is empty for objectives with ``compares_with_clean = False``.
        """
        raise NotImplementedError

    def _layers(self, batch: AttackBatch) -> Sequence[str]:
        if self.layers is not None:
            return self.layers
        model = batch.source.model
        if model not in self._default_layers:
            found = resolution_layers(batch.source, batch.pixels(batch.clean))
            self._default_layers[model] = [found[len(found) // 2]] if self.middle_only else found
        return self._default_layers[model]

    @torch.no_grad()
    def _clean(self, batch: AttackBatch) -> list[FeatureMap]:
        # All runs on a batch share its reference.
        if batch.reference not in self._clean_maps:
            images, randomness = batch.pixels(batch.clean), batch.randomness.derive('reference')
            self._clean_maps[batch.reference] = read_feature_maps(images, self._layers(batch), batch, randomness)
        return self._clean_maps[batch.reference]


@OBJECTIVES.register_module()
class FeatureDistanceObjective(FeatureObjective):
    """Mean squared distance from the clean features (SSP, Naseer et al., CVPR 2020, equation 1).

    By default at the backbone's middle resolution, which for VGG-16 is relu3_3 as in the paper. Its gradient vanishes
    at the clean image.
    """

    middle_only = True

    def layer_values(self, features: FeatureMap, clean: Tensor) -> Tensor:
        return features.mean((features.values - clean).square())


@OBJECTIVES.register_module()
class FeatureDisruptionObjective(FeatureObjective):
    """``log ||f at weak|| - log ||f at strong||`` summed over layers (FDA, Ganeshan et al., ICCV 2019, equation 4).

    Features above the mean over channels at their position in the clean image are strong, the others weak.
    """

    def layer_values(self, features: FeatureMap, clean: Tensor) -> Tensor:
        weak = clean < clean.mean(1, keepdim=True)
        squares = features.values.square()
        return _half_log(features.total(squares.where(weak, 0))) - _half_log(features.total(squares.where(~weak, 0)))


@OBJECTIVES.register_module()
class TransferablePerturbationObjective(FeatureObjective):
    """Distance of power-normalised features plus smoothness of the perturbation (TAP, Zhou et al., ECCV 2018).

    ``label_weight * CE + feature_weight * sum_l ||T(f_l) - T(f_l clean)||^2 + smooth_weight * sum |box * (x - x_c)|``
    with ``T(f) = sign(f) |f|^power`` and a mean filter ``box``. The paper's ``label_weight`` is 1. With 0 no labels are
    needed, and the gradient vanishes at the clean image.

    Args:
        layers: as in :class:`FeatureObjective`.
        feature_weight: lambda in the paper.
        smooth_weight: eta in the paper, for pixels in 0-255.
        power: alpha in the paper, in (0, 1].
        box_size: side of the box filter, odd.
        label_weight: weight of the cross-entropy with the true class (for segmentors summed over pixels).

    Raises:
        ValueError: for a value out of range; with a ``label_weight``, on a model without a single set of class scores.
    """

    def __init__(
        self,
        layers: Union[None, str, Sequence[str]] = None,
        feature_weight: float = 0.05,
        smooth_weight: float = 0.005,
        power: float = 0.5,
        box_size: int = 3,
        label_weight: float = 0.0,
    ):
        super().__init__(layers)
        if not 0 < power <= 1:
            raise UsageError(f'power must be in (0, 1], got {power}')
        if box_size < 1 or box_size % 2 == 0:
            raise UsageError(f'box_size must be odd, got {box_size}')
        if not label_weight >= 0:
            raise UsageError(f'label_weight must be >= 0, got {label_weight}')
        self.feature_weight = feature_weight
        self.smooth_weight = smooth_weight
        self.power = power
        self.box_size = box_size
        self.label_weight = label_weight
        self.needs_labels = label_weight > 0

    def values(self, images: Pixels, batch: AttackBatch) -> Tensor:
        change = stack(images)[0] - batch.clean
        smooth = F.avg_pool2d(change, self.box_size, stride=1, padding=self.box_size // 2).abs()
        smooth = smooth if batch.mask is None else smooth * batch.mask
        distance, scores = self._values_and_scores(images, batch)
        value = self.feature_weight * distance + self.smooth_weight * smooth.flatten(1).sum(1)
        if not self.label_weight:
            return value
        # If there are none, the task raises an error with the reason.
        scores = batch.logits(images) if scores is None else scores
        return value + self.label_weight * batch.source.task.cross_entropy(scores, batch.labels)

    def layer_values(self, features: FeatureMap, clean: Tensor) -> Tensor:
        return features.total((self._normalise(features.values) - self._normalise(clean)).square())

    def _normalise(self, features: Tensor) -> Tensor:
        # The derivative of the power is infinite at 0.
        tiny = torch.finfo(features.dtype).tiny
        return features.sign() * features.abs().clamp(min=tiny).pow(self.power)


@OBJECTIVES.register_module()
class DispersionObjective(FeatureObjective):
    """Negative standard deviation of all values of a feature map (DR, Lu et al., CVPR 2020, algorithm 1).

    By default at the backbone's middle resolution.
    """

    middle_only = True
    compares_with_clean = False

    def layer_values(self, features: FeatureMap, clean: Tensor) -> Tensor:
        centred = features.values - features.mean(features.values)[:, None, None]
        variance = features.total(centred.square()) / (features.count - 1).clamp(min=1)
        return -variance.clamp(min=torch.finfo(variance.dtype).tiny).sqrt()


def _half_log(squares: Tensor) -> Tensor:
    """The logarithm of a norm, computed from its square and finite at 0."""
    return squares.clamp(min=torch.finfo(squares.dtype).tiny).log() / 2
