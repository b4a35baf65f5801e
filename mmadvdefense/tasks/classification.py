"""Image classification (MMPretrain's classifiers)."""

from __future__ import annotations

import copy
import math
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pixels import Pixels
from .base import Task
from .sample_scores import NotScored, SampleScores
from .taps import FeatureTap


class ClassificationTask(Task):
    """One label an image; features are the input of the last linear layer (paper) or the logits (released code)."""

    name = 'classification'
    dense = False

    def logits(self, inputs: Tensor) -> Tensor:
        output = self.model(inputs, mode='tensor')
        return output[-1] if isinstance(output, (tuple, list)) else output

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        if 'gt_score' not in data_samples[0]:
            self._check_labelled(data_samples)
        return super().losses(inputs, data_samples)

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, reduction='none')

    def prepare_samples(
        self, preprocessor: nn.Module, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        if any('gt_label' in sample for sample in data_samples):
            # MMPretrain takes it that either all samples have labels or none.
            self._check_labelled(data_samples)
        return super().prepare_samples(preprocessor, images, data_samples, training)

    @staticmethod
    def _check_labelled(data_samples: Sequence) -> None:
        for index, sample in enumerate(data_samples):
            if 'gt_label' not in sample:
                name = sample.get('img_path') or f'image {index} of the batch'
                raise ValueError(f'{name} has no gt_label; the pipeline must pack labels')

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        self._check_labelled(data_samples)
        return torch.cat([sample.gt_label for sample in data_samples]).to(device, non_blocking=True)

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        for sample, label in zip(relabelled, target.unbind()):
            sample.set_gt_label(label[None])
            if 'gt_score' in sample:
                sample.set_gt_score(F.one_hot(label, self.num_classes).to(sample.gt_score))
        return relabelled

    def ground_truth(self, data_sample) -> list:
        return [data_sample.get(name) for name in ('gt_label', 'gt_score') if name in data_sample]

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        said = [sample.get('pred_label') for sample in predictions]
        true = [sample.get('gt_label') for sample in predictions]
        if any(labels is None for labels in said):
            raise NotScored(f'{type(self.model).__name__} names no class an image, so its images are not scored')
        if any(labels is not None and labels.numel() != 1 for labels in [*said, *true]):
            raise NotScored(
                f'{type(self.model).__name__} names several classes an image; images are scored one by one only where '
                'each has a single label'
            )
        predicted = torch.cat([labels.flatten() for labels in said]).cpu()
        unknown = torch.full((1,), math.nan)
        labels = torch.cat([unknown if own is None else own.flatten().cpu().double() for own in true])
        return SampleScores((predicted == labels).double().masked_fill(labels.isnan(), math.nan), predicted)

    @property
    def classifier(self) -> str:
        """The name of the last linear (or 1x1 convolution) layer of the head.

        The head of VGG and its like has no weights: there the backbone ends in the linear layer.
        """
        head = [
            (f'head.{name}', m) for name, m in self.model.head.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))
        ]
        if head:
            return head[-1][0]
        weighted = [
            (name, module)
            for name, module in self.model.named_modules()
            if not name.startswith('data_preprocessor') and next(module.parameters(recurse=False), None) is not None
        ]
        if weighted and isinstance(weighted[-1][1], nn.Linear):
            return weighted[-1][0]
        raise ValueError(
            f'the head {type(self.model.head).__name__} ends in no linear layer, nor does what comes before it; '
            "name the layer to align with PurifierTrainHook(feature_layer='backbone....')"
        )

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
        # The first axis of the weight counts the outputs of linear layers and convolutions alike.
        return getattr(self.model.head, 'num_classes', None) or len(self.model.get_submodule(self.classifier).weight)
