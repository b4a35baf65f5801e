"""Divide and conquer: a second classifier for pixels that an attack would change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS
from ..base import PurifierBatch
from .base import LearnedLoss


@MODELS.register_module()
class DivideAndConquerLoss(LearnedLoss):
    """DDC-AT (Xu, Zhao and Jia, "Dynamic Divide-and-Conquer Adversarial Training for Robust Semantic Segmentation",
    ICCV 2021) for segmentors whose decode head ends in ``conv_seg``.

    A mask branch sends each pixel to the host's own classifier or to a second one; both and the mask read the features
    before the logits. ``loss_ddc_at`` is the cross-entropy of what they decide together, ``loss_ddc_at_mask`` that of
    the mask, whose truth is 1 where the decision on the clean image changes under attack, and 0 on adversarial images.
    Only the host's own classifier is used, and saved with the model, after training.

    It replaces the host's loss of the decode head: ``replaced=['decode.']`` of the hook. Unlike in the authors' code,
    labels are taken at the resolution of the features, the branches are two 1 x 1 convolutions, and decisions are those
    of the training pass.

    Args:
        settings: of :class:`LearnedLoss`.
    """

    other_layers = ('logits',)

    second: nn.Sequential
    mask: nn.Sequential

    def build(self, num_features: int, num_classes: int) -> None:
        self.second, self.mask = (
            nn.Sequential(nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, outputs))
            for outputs in (num_classes, 2)
        )

    def forward(
        self, features: tuple[Tensor, Tensor], logits: tuple[Tensor, Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Both parts, unweighted.

        Args:
            features: of clean and of adversarial pixels, each ``(M, L)``.
            logits: the host's class scores of both, each ``(M, K)``.
            labels: ``(M,)``.
        """
        masks = [self.mask(half) for half in features]
        decided = [
            self.second(half).where(mask.argmax(1, keepdim=True) == 1, own)
            for half, mask, own in zip(features, masks, logits)
        ]
        changes = decided[0].argmax(1) != decided[1].argmax(1)
        truths = [changes.long(), torch.zeros_like(changes, dtype=torch.long)]
        return {
            'loss_ddc_at': _mean([self._cross_entropy(scores, labels) for scores in decided]),
            'loss_ddc_at_mask': _mean([F.cross_entropy(mask, truth) for mask, truth in zip(masks, truths)]),
        }

    def _cross_entropy(self, scores: Tensor, labels: Tensor) -> Tensor:
        known = labels != self.ignore_index
        losses = F.cross_entropy(scores, labels.long(), reduction='none', ignore_index=self.ignore_index)
        return losses.sum() / known.sum().clamp(min=1)

    def parts(self, batch: PurifierBatch) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self(_halves(batch), _halves(batch.at('logits')), batch.labels)
        return found


def _halves(batch: PurifierBatch) -> tuple[Tensor, Tensor]:
    clean, adversarial = batch.class_features('purified_clean'), batch.class_features('purified_adversarial')
    return clean.float(), adversarial.float()


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
