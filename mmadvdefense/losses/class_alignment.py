"""Class-aware alignment of feature distributions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

from ..errors import UsageError
from ..registry import MODELS
from .base import ImageName, PurifierBatch, PurifierLoss, check_image_name


@MODELS.register_module()
class ClassAlignmentLoss(PurifierLoss):
    """Equations 6-8 of the Align paper (arXiv 2212.05387), by default in the form of its released code for classifiers.

    The terms are ``loss_align``, ``loss_inter`` and ``loss_intra``. Distances are mean L1 over the feature length.

    Args:
        margin: M, the desired distance between the centers of two classes.
        hinge: whether pairs further apart than ``margin`` contribute 0; in the paper they contribute less than 0.
        align_weight: weight of the distance between adversarial and guide centers (lambda 1).
        inter_weight: weight of the closeness of adversarial centers (lambda 2; the paper swaps it with the next one).
        intra_weight: weight of the distance of adversarial features to their own center (lambda 3).
        loss_weight: weight of all three.
        pair_reduction: ``'sum'`` over the ordered pairs of classes (the paper), which grows with the square of the
            number of classes, or ``'mean'``.
        intra_reduction: ``'class'``, the sum over classes of the mean over each one's vectors (equation 7), or
            ``'vector'``, the mean over all vectors that have a class (the released code for segmentation), which is
            smaller by a factor of about the number of classes.
        guide: the images to whose class centers the adversarial ones are pulled.
        num_classes: the largest number of classes in a batch. It does not change any value, but without it the number
            is derived from the labels, which waits for the device.
        ignore_index: label of vectors without a class. None makes them a class of their own (the released code for
            segmentation).

    Raises:
        ValueError: if ``guide`` is not an :data:`ImageName`, or a reduction is unknown.
    """

    def __init__(
        self,
        margin: float = 5.0,
        hinge: bool = True,
        align_weight: float = 0.1,
        inter_weight: float = 0.005,
        intra_weight: float = 1.0,
        loss_weight: float = 1.0,
        guide: ImageName = 'clean',
        num_classes: int | None = None,
        ignore_index: int | None = -100,
        pair_reduction: Literal['sum', 'mean'] = 'sum',
        intra_reduction: Literal['class', 'vector'] = 'class',
    ) -> None:
        super().__init__(loss_weight)
        check_image_name('guide', guide)
        if pair_reduction not in ('sum', 'mean'):
            raise UsageError(f"pair_reduction is 'sum' or 'mean', not {pair_reduction!r}")
        if intra_reduction not in ('class', 'vector'):
            raise UsageError(f"intra_reduction is 'class' or 'vector', not {intra_reduction!r}")
        self.margin = margin
        self.hinge = hinge
        self.weights = dict(loss_align=align_weight, loss_inter=inter_weight, loss_intra=intra_weight)
        self.guide = guide
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.pair_reduction = pair_reduction
        self.intra_reduction = intra_reduction

    def forward(self, clean_feats: Tensor, adv_feats: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """All three parts, unweighted, over the classes (or pairs of classes) present; 0 if there are none.

        Args:
            clean_feats: features of the guide, ``(N, L)``; N may be 0.
            adv_feats: features of the purified adversarial images, ``(N, L)``.
            labels: class of each row, ``(N,)`` integers.
        """
        return self._parts(clean_feats, adv_feats, labels, self.weights)

    def terms(self, batch: PurifierBatch) -> dict[str, Tensor]:
        weights = {
            name: self.loss_weight * weight for name, weight in self.weights.items() if self.loss_weight * weight
        }
        if not weights:
            return {}
        clean = batch.class_features(self.guide) if 'loss_align' in weights else None
        parts = self._parts(clean, batch.class_features('purified_adversarial'), batch.labels, weights)
        return {name: weights[name] * part for name, part in parts.items()}

    def _parts(self, clean: Tensor | None, adv: Tensor, labels: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        rows, present = self._rows(labels)
        # Half precision would lose the sum over the many pixels of a class.
        adv = adv.to(torch.promote_types(adv.dtype, torch.get_default_dtype()))
        centers = _row_means(adv, rows, len(present))
        parts = {}
        if 'loss_align' in names and clean is not None:
            distances = (_row_means(clean.to(adv.dtype), rows, len(present)) - centers).abs().mean(1)
            parts['loss_align'] = distances.where(present, 0).sum()
        if 'loss_inter' in names:
            closeness = self.margin - torch.cdist(centers, centers, p=1) / adv.shape[1]
            pairs = (present[:, None] & present).fill_diagonal_(False)
            inter = (closeness.relu() if self.hinge else closeness).where(pairs, 0).sum()
            parts['loss_inter'] = inter if self.pair_reduction == 'sum' else inter / pairs.sum().clamp(min=1)
        if 'loss_intra' in names:
            parts['loss_intra'] = self._spread((adv - centers[rows]).abs().mean(1), rows, present)
        return parts

    def _spread(self, distances: Tensor, rows: Tensor, present: Tensor) -> Tensor:
        if self.intra_reduction == 'class':
            return _row_means(distances, rows, len(present)).where(present, 0).sum()
        has_class = present[rows]
        return distances.where(has_class, 0).sum() / has_class.sum().clamp(min=1)

    def _rows(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The rank of each label among those of the batch, ``(N,)``, and whether each rank is a class, ``(R,)``.

        Ranks instead of labels keep R small if few of many classes are present: pairs take R x R x L memory.
        """
        ordered, order = labels.long().sort()
        ranks = torch.zeros_like(ordered)
        ranks[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
        if self.num_classes is None:
            num_rows = int(ranks[-1]) + 1 if len(labels) else 0
        else:
            num_rows = min(len(labels), self.num_classes + 1)
        is_class = torch.ones_like(ordered, dtype=torch.bool)
        if self.ignore_index is not None:
            is_class = ordered != self.ignore_index
        present = is_class.new_zeros(num_rows).scatter(0, ranks, is_class)
        return torch.empty_like(ranks).scatter(0, order, ranks), present


def _row_means(values: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """Means of the ``(N, ...)`` values of each row, ``(num_rows, ...)``; 0 for rows without values."""
    counts = values.new_zeros(num_rows).index_add(0, rows, values.new_ones(len(rows))).clamp(min=1)
    sums = values.new_zeros(num_rows, *values.shape[1:]).index_add(0, rows, values)
    return sums / counts.view(-1, *[1] * (values.ndim - 1))
