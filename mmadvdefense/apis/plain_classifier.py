"""A PyTorch classifier as a model of MMPretrain; imported only when one is made."""

from __future__ import annotations

from typing import Any, Optional, Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmpretrain.models import BaseClassifier
from mmpretrain.structures import DataSample
from torch import Tensor, nn


class _Classes(nn.Module):
    """Stands for a head: it says how many classes there are."""

    def __init__(self, num_classes: Optional[int]):
        super().__init__()
        self.num_classes = num_classes


class PlainClassifier(BaseClassifier):
    """Takes raw pixels through its data preprocessor, and returns data samples, as classifiers of MMPretrain do.

    Args:
        model: maps normalized images ``(N, 3, H, W)`` to class scores ``(N, K)``.
        num_classes: K; None to read it off the last linear layer.
        data_preprocessor: normalizes images.
    """

    def __init__(self, model: nn.Module, num_classes: Optional[int], data_preprocessor: BaseDataPreprocessor):
        super().__init__(data_preprocessor=data_preprocessor)
        self.model = model
        self.head = _Classes(num_classes)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """The class scores: where features are, nobody knows."""
        return self.model(inputs)

    def forward(self, inputs: Tensor, data_samples: Optional[Sequence[Any]] = None, mode: str = 'tensor') -> Any:
        """Class scores (``mode='tensor'``), data samples (``'predict'``) or losses (``'loss'``)."""
        if mode == 'tensor':
            return self.model(inputs)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        raise RuntimeError(f'mode must be tensor, predict or loss, got {mode!r}')

    def loss(self, inputs: Tensor, data_samples: Any) -> dict[str, Tensor]:
        """Cross-entropy with the labels, or with soft labels if the samples have them."""
        soft = 'gt_score' in data_samples[0]
        target = (torch.stack if soft else torch.cat)([s.gt_score if soft else s.gt_label for s in data_samples])
        return {'loss': F.cross_entropy(self.model(inputs), target)}

    def predict(self, inputs: Tensor, data_samples: Optional[Sequence[Any]] = None) -> list:
        """Data samples with ``pred_score`` ``(K,)``, which sums to 1, and ``pred_label``."""
        scores = self.model(inputs).softmax(1)
        samples = [DataSample() for _ in scores] if data_samples is None else data_samples
        return [
            sample.set_pred_score(score).set_pred_label(label)
            for sample, score, label in zip(samples, scores, scores.argmax(1, keepdim=True))
        ]
