"""Models of the hosts that say nothing of classes: they can be tested as they are, but not attacked or defended."""

from __future__ import annotations

from typing import NoReturn, Optional, Sequence

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .base import Task
from .sample_scores import NotScored, SampleScores
from .taps import FeatureTap


class UnscoredTask(Task):
    """Says in one line what the model is whenever class scores or ground truth of classes are asked for.

    Args:
        model: a self-supervised model, an image-text model, a depth estimator, a tracker, ...
        reason: what it is, as the end of "it ...".
    """

    name = 'unknown'

    def __init__(self, model: nn.Module, reason: str):
        super().__init__(model)
        self.reason = reason

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f'{type(self.model).__name__} {self.reason}, so it has no class scores to attack or to defend; take a '
            'classifier, segmentor or detector that is made of it'
        )

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        self._refuse()

    def logits(self, inputs: Tensor) -> Tensor:
        self._refuse()

    def decisions(self, inputs: Tensor) -> Tensor:
        self._refuse()

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        self._refuse()

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        self._refuse()

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        self._refuse()

    def ground_truth(self, data_sample) -> list:
        return []

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        raise NotScored(f'{type(self.model).__name__} {self.reason}, so its images are not scored')

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        self._refuse()

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        self._refuse()

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        self._refuse()

    @property
    def num_classes(self) -> None:
        return None


class HeadlessTask(UnscoredTask):
    """A classifier without its head: attacks on features alone run on it, and no others."""

    name = 'classification'
    dense = False

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        return Task.preprocess(self, preprocessor, images, training)

    def reference(self, inputs: Tensor) -> None:
        self.model(inputs, mode='tensor')

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        return FeatureTap(self.model, layer) if layer else self._refuse()
