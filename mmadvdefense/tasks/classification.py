"""Image classification (MMPretrain's classifiers)."""

from __future__ import annotations

import copy
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Task
from .taps import FeatureTap


class ClassificationTask(Task):
    """One label an image; features are the input of the last linear layer (paper) or the logits (released code)."""

    name = 'classification'

    def logits(self, inputs: Tensor) -> Tensor:
        output = self.model(inputs, mode='tensor')
        return output[-1] if isinstance(output, (tuple, list)) else output

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, reduction='sum')

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        missing = [
            sample.get('img_path', index) for index, sample in enumerate(data_samples) if 'gt_label' not in sample
        ]
        if missing:
            raise ValueError(f'{missing[0]} has no gt_label; the pipeline must pack labels')
        return torch.cat([sample.gt_label for sample in data_samples]).to(device, non_blocking=True)

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        for sample, label in zip(relabelled, target.unbind()):
            sample.set_gt_label(label[None])
            if 'gt_score' in sample:
                sample.set_gt_score(F.one_hot(label, self.num_classes).to(sample.gt_score))
        return relabelled

    @property
    def classifier(self) -> str:
        """The name of the last linear (or 1x1 convolution) layer of the head."""
        head = [
            (f'head.{name}', m) for name, m in self.model.head.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))
        ]
        if not head:
            raise ValueError(
                f'the head {type(self.model.head).__name__} ends in no linear layer; '
                "name the layer to align with PurifierTrainHook(feature_layer='backbone....')"
            )
        return head[-1][0]

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        if layer in (None, 'pre_logits'):
            return FeatureTap(self.model, self.classifier, 'input')
        if layer == 'logits':
            return FeatureTap(self.model, self.classifier, 'output')
        return FeatureTap(self.model, layer)

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        vectors = features.flatten(2).mean(2) if features.ndim > 2 else features
        return vectors, self.labels(data_samples, features.device)

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        one_hot = F.one_hot(self.labels(data_samples, device), self.num_classes)
        return one_hot[:, :, None, None].expand(-1, -1, *size).float()

    @property
    def num_classes(self) -> int:
        head = self.model.head
        return getattr(head, 'num_classes', None) or self.model.get_submodule(self.classifier).out_features
