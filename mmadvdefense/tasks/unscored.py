"""Models of the hosts that predict no classes: they can be tested as they are, but not attacked or defended."""

from __future__ import annotations

from typing import Any, NoReturn, Optional, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .base import Task
from .sample_scores import NotScored, SampleScores
from .taps import FeatureTap


class UnscoredTask(Task):
    """Refuses in one line, which says what the model is, whenever class scores or labels are needed.

    Args:
        model: a self-supervised model, an image-text model, a depth estimator, a tracker, ...
        reason: what it does, as the end of "the model ...".
    """

    name = 'unknown'
    noun = 'model without classes'
    has_class_scores = False
    has_decisions = False
    has_label_map = False

    def __init__(self, model: BaseModel, reason: str):
        super().__init__(model)
        self.reason = reason

    def _refuse(self) -> NoReturn:
        raise UsageError(
            f'{type(self.model).__name__} {self.reason}, so it has no class scores to attack or to defend; take a '
            'classifier, segmentor or detector that is made of it'
        )

    def require_class_scores(self, user: str, instead: str) -> None:
        self._refuse()

    def require_decisions(self, user: str, instead: str) -> None:
        self._refuse()

    def require_pixel_classes(self, user: str, instead: str) -> None:
        self._refuse()

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

    def ground_truth(self, data_sample: Any) -> list:
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
    """A classifier without its head: only attacks on features alone run on it."""

    name = 'classification'
    noun = 'classifier'
    dense = False
    lends_features = True

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        return Task.preprocess(self, preprocessor, images, training)

    def reference(self, inputs: Tensor) -> None:
        self.model(inputs, mode='tensor')

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        return FeatureTap(self.model, layer) if layer else self._refuse()
