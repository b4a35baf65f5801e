"""Image classification with one label per image (MMPretrain's classifiers)."""

from __future__ import annotations

import copy
import math
from typing import Any, Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .base import Task
from .sample_scores import NotScored, SampleScores
from .taps import FeatureTap


class ImageTask(Task):
    """Images as a whole; features are the input of the last linear layer (paper) or the logits (released code)."""

    dense = False
    noun = 'classifier'

    @property
    def classifier(self) -> str:
        """The name of the last linear (or 1x1 convolution) layer of the head.

        Heads such as VGG's have no weights: there the backbone ends in the linear layer. Models of timm and
        transformers have no separate head.
        """
        head = getattr(self.model, 'head', None)
        layers = [] if head is None else _classifying(head, 'head.')
        if layers:
            return layers[-1]
        weighted = [
            (name, module)
            for name, module in self.model.named_modules()
            if not name.startswith('data_preprocessor') and next(module.parameters(recurse=False), None) is not None
        ]
        if weighted and isinstance(weighted[-1][1], nn.Linear):
            return weighted[-1][0]
        what = f'the model {type(self.model).__name__}' if head is None else f'the head {type(head).__name__}'
        raise UsageError(
            f'{what} ends in no linear layer, nor does what comes before it; '
            "name the layer to align with PurifierTrainHook(feature_layer='backbone....')"
        )

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        if layer in (None, 'pre_logits'):
            return FeatureTap(self.model, self.classifier, 'input')
        if layer == 'logits':
            return FeatureTap(self.model, self.classifier, 'output')
        return FeatureTap(self.model, layer)

    @property
    def _outputs(self) -> int:
        # The first axis of the weight counts the outputs of linear layers and convolutions alike.
        return len(self.model.get_submodule(self.classifier).weight)


class ClassificationTask(ImageTask):
    """One label per image."""

    name = 'classification'
    one_label = True
    lends_features = True
    any_layout = True

    def logits(self, inputs: Tensor) -> Tensor:
        return class_scores_of(self.model(inputs, mode='tensor'))

    def decisions(self, inputs: Tensor) -> Tensor:
        return predicted_labels(self.model.forward(inputs, None, mode='predict'), type(self.model).__name__)

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
            # MMPretrain assumes that either all samples have labels or none.
            self._check_labelled(data_samples)
        # Not deep: labels are replaced, not changed, and copying those of a batch took a tenth of FGSM's time.
        data = {'inputs': images, 'data_samples': [sample.clone() for sample in data_samples]}
        with torch.no_grad():
            samples: list = preprocessor(data, training=False)['data_samples']
        return samples

    @staticmethod
    def _check_labelled(data_samples: Sequence) -> None:
        for index, sample in enumerate(data_samples):
            name = sample.get('img_path') or f'image {index} of the batch'
            if 'gt_label' not in sample:
                raise UsageError(f'{name} has no gt_label; the pipeline must pack labels')
            if len(sample.gt_label) != 1:
                raise UsageError(
                    f'{name} has {len(sample.gt_label)} labels, and the model puts an image in one class; use a '
                    'model whose head is for several labels, such as MultiLabelLinearClsHead'
                )

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

    def ground_truth(self, data_sample: Any) -> list:
        return [data_sample.get(name) for name in ('gt_label', 'gt_score') if name in data_sample]

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        try:
            predicted = predicted_labels(predictions, type(self.model).__name__).cpu()
            self._check_labelled([sample for sample in predictions if 'gt_label' in sample])
        except ValueError as error:
            raise NotScored(str(error)) from error
        unknown = torch.full((1,), math.nan)
        true = [sample.get('gt_label') for sample in predictions]
        labels = torch.cat([unknown if own is None else own.flatten().cpu().double() for own in true])
        score = (predicted == labels).double().masked_fill(labels.isnan(), math.nan)
        return SampleScores(score, predicted, labels)

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        vectors = features.flatten(2).mean(2) if features.ndim > 2 else features
        return vectors, self.labels(data_samples, features.device)

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        one_hot = F.one_hot(self.labels(data_samples, device), self.num_classes)
        return one_hot[:, :, None, None].expand(-1, -1, *size).float()

    @property
    def num_classes(self) -> int:
        return number_of_classes(getattr(self.model, 'head', None)) or self._inner_classes or self._outputs

    @property
    def _inner_classes(self) -> Optional[int]:
        """The number that models of timm and transformers, which MMPretrain wraps, give themselves."""
        inner = getattr(self.model, 'model', None)
        return getattr(inner, 'num_classes', None) or getattr(inner, 'num_labels', None)


def class_scores_of(output: Union[Tensor, Sequence[Tensor]]) -> Tensor:
    """What a classifier's prediction is made of, ``(N, K)``, from what it returns in mode ``tensor``.

    Two heads of one shape (Conformer's) are added up, as their host does.
    """
    if isinstance(output, Tensor):
        return output
    same = len({scores.shape for scores in output}) == 1
    return sum(output[1:], output[0]) if same else output[-1]


def predicted_labels(predictions: Sequence, name: str) -> Tensor:
    """``(N,)``, the class that the host puts each image in.

    Raises:
        ValueError: if it is not one class per image.
    """
    labels = [sample.get('pred_label') for sample in predictions]
    if any(label is None or label.numel() != 1 for label in labels):
        raise UsageError(
            f'{name} predicts no class or several classes for an image; images are scored and attacked one by one only '
            'where each has a single label'
        )
    return torch.cat(labels)


def number_of_classes(head: Optional[BaseModule]) -> Optional[int]:
    """How many classes a head distinguishes; None if it does not say."""
    if head is None:
        return None
    number = getattr(head, 'num_classes', None)
    layers = _classifying(head)
    return number or (len(head.get_submodule(layers[-1]).weight) if layers else None)


def _classifying(head: nn.Module, prefix: str = '') -> list[str]:
    """The names of a head's linear layers and convolutions."""
    names = [name for name, layer in head.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    return [f'{prefix}{name}'.rstrip('.') for name in names]
