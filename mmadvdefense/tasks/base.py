"""All that differs between classification, segmentation and detection, behind one interface."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Optional, Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .detections.candidates import Candidates
from .detections.tables import BoxTable
from .sample_scores import SampleScores
from .taps import FeatureTap


class Task(ABC):
    """What attacks, losses and hooks need to know about a host's ``model``, such as an ``ImageClassifier``."""

    name: str
    # What its models are called in messages.
    noun: str

    # --- what models for it can do ---------------------------------------------------------------------------

    # Whether ground truth says where things are (masks, boxes), so that an image must not be moved under it.
    dense: bool = True
    # Whether an image as a whole is in one class.
    one_label: bool = False
    # Whether :meth:`logits` gives the class scores that decide on the prediction.
    has_class_scores: bool = True
    # Whether an image either fools the model or not.
    has_decisions: bool = True
    # Whether only one of the classes is right for what a vector of class scores describes, as a softmax assumes.
    exclusive_classes: bool = True
    # Whether :meth:`candidates` gives boxes with class scores, from before non-maximum suppression.
    has_candidates: bool = False
    # The score in 0-1 above which a box reaches non-maximum suppression; None without boxes or without a threshold.
    score_threshold: Optional[float] = None
    # Whether the prediction is one class for every pixel.
    has_pixel_classes: bool = False
    # Whether class scores were trained by binary losses, each for itself.
    has_binary_scores: bool = False
    # Whether :meth:`select_losses` finds the parts 'cls' and 'loc' in the host's losses.
    has_loss_parts: bool = False
    # Whether :meth:`label_map` gives ground truth as a map of classes.
    has_label_map: bool = True
    # Whether attacks on features alone may take them from such a model, whatever the task of the attacked model.
    lends_features: bool = False
    any_layout: bool = False  # whether its models take images in any memory layout, or end in an error

    def __init__(self, model: BaseModel):
        self.model = model

    def require_class_scores(self, user: str, instead: str) -> None:
        """Raise a ``ValueError`` if there are no class scores.

        Args:
            user: what needs them; the message begins with it.
            instead: what can be used instead; the message ends with it.
        """
        if not self.has_class_scores:
            raise UsageError(f'{user}: a {self.noun} has no one set of class scores; {instead}')

    def require_decisions(self, user: str, instead: str) -> None:
        """Raise a ``ValueError`` if there are no decisions; the arguments are those of :meth:`require_class_scores`."""
        if not self.has_decisions:
            raise UsageError(f'{user}: a {self.noun} makes no one decision on an image; {instead}')

    def require_candidates(self, user: str) -> None:
        """Raise a ``ValueError``, which begins with ``user``, if there are no candidate boxes with class scores."""
        if not self.has_candidates:
            raise UsageError(f'{user} is for detectors that score the classes of each box; {self.without_candidates}')

    @property
    def without_candidates(self) -> str:
        """Why there are no candidates and what can be used instead, as the end of a message."""
        return f"a {self.noun} has no boxes: use objective='cross_entropy', 'margin' or 'task_loss'"

    def require_pixel_classes(self, user: str, instead: str) -> None:
        """Raise a ``ValueError`` if pixels have no classes; the arguments are those of :meth:`require_class_scores`."""
        if not self.has_pixel_classes:
            raise UsageError(f'{user} is for segmentors: a {self.noun} predicts no class for every pixel; {instead}')

    def is_like(self, other: Task) -> bool:
        """Whether another model is for the same task, so that their predictions mean the same."""
        return self.name == other.name

    # --- the model seen from its native preprocessor's output -------------------------------------------------

    def preprocess(self, preprocessor: nn.Module, images: Pixels, training: bool = False) -> Tensor:
        """Raw pixels as the model takes them in training (padded alike, but never augmented) or in tests."""
        return preprocessor({'inputs': images, 'data_samples': None}, training=False)['inputs']

    @abstractmethod
    def logits(self, inputs: Tensor) -> Tensor:
        """Class scores before the softmax, ``(N, K)`` or ``(N, K, h, w)``, of preprocessed images.

        The model decides on the largest of them, which :meth:`check_scores` verifies with its own prediction.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities as the model was trained to have them: a softmax, or the sigmoid of each class score."""
        return logits.sigmoid() if self.has_binary_scores else logits.softmax(1)

    def reference(self, inputs: Tensor) -> Optional[Tensor]:
        """Run the layers that features are read from; returns the class scores, if there are any, as in training."""
        return self.logits(inputs)

    @property
    def reference_has_logits(self) -> bool:
        """Whether what :meth:`reference` returns is what :meth:`logits` would."""
        return True

    def decisions(self, inputs: Tensor) -> Optional[Tensor]:
        """What the host itself predicts for preprocessed images, in the form of ``logits(inputs).argmax(1)``.

        None for a task in which class scores alone do not decide.
        """
        return None

    def check_scores(self, inputs: Tensor, logits: Optional[Tensor] = None) -> None:
        """Check that the class scores of preprocessed images lead to what the host itself predicts for them.

        Costs one forward pass, two without ``logits``, and waits for the device.

        Raises:
            ValueError: if the host decides by something else: an attack on these scores would miss it.
        """
        decided = self.decisions(inputs)
        if decided is None:
            return
        name = type(self.model).__name__
        logits = self.logits(inputs) if logits is None else logits
        if logits.ndim < 2 or decided.shape != logits[:, 0].shape:
            raise UsageError(
                f'{name} gives scores {tuple(logits.shape)} and predicts {tuple(decided.shape)}: these are not class '
                f'scores of what it predicts; {_USE_LOSS}'
            )
        best = logits.amax(1)
        behind = best - logits.gather(1, decided.to(logits.device).unsqueeze(1)).squeeze(1)
        # Two classes may be equal up to rounding, which for probabilities is coarser than for scores near 0.
        slack = (_TIE * best.abs().mean()).clamp(min=8 * torch.finfo(best.dtype).eps)
        different = (behind > slack).double().mean().item()
        if different:
            raise UsageError(
                f'the prediction of {name} is not the largest of its class scores in {different:.1%} of the '
                f'cases: it decides by something other than these scores; {_USE_LOSS}'
            )

    def candidates(self, inputs: Tensor, data_samples: Sequence) -> Candidates:
        """The boxes that a detector considers on preprocessed images, with scores that have gradients."""
        raise UsageError(f'no candidate boxes: {self.without_candidates}')

    def check_candidates(self, found: Candidates, inputs: Tensor, data_samples: Sequence) -> None:
        """Raise a ``ValueError`` if the model's prediction is not one of its candidates on preprocessed images."""
        raise UsageError(f'no candidate boxes: {self.without_candidates}')

    def objects(self, data_samples: Sequence, device: torch.device) -> BoxTable:
        """The ground-truth boxes of prepared samples."""
        raise UsageError(f'no ground-truth boxes: {self.without_candidates}')

    def prediction_scores(self, inputs: Tensor, data_samples: Sequence) -> Tensor:
        """How right the model's own prediction is on each preprocessed image, ``(N,)`` in 0-1; NaN without truth.

        For tasks without class scores; the others decide by them.
        """
        raise UsageError(f'a {self.noun} is fooled by its class scores')

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        """The host's own losses on preprocessed images."""
        return self.model(inputs, data_samples, mode='loss')

    def loss_modules(self) -> list[nn.Module]:
        """Modules whose ``training`` flag must be set for :meth:`losses`, because it decides what they return.

        The flag changes nothing else in them: normalisation and dropout stay in eval mode.
        """
        return []

    def select_losses(self, losses: dict, part: str) -> list:
        """The entries of the host's losses that belong to one part of the task, such as localisation."""
        raise UsageError(f'the losses of a {self.name} model have no part {part!r}')

    # --- ground truth ---------------------------------------------------------------------------------------

    def prepare_samples(
        self, preprocessor: nn.Module, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        """Copies of data samples as the model takes them; native preprocessors would change the originals."""
        data = {'inputs': images, 'data_samples': copy.deepcopy(list(data_samples))}
        with torch.no_grad():
            return preprocessor(data, training=False)['data_samples']

    def in_input_frame(self, data_samples: Sequence, annotations_in_input_frame: bool) -> list:
        """Samples whose ground truth is in the frame of the resized image.

        Args:
            data_samples: as the pipeline makes them; not changed.
            annotations_in_input_frame: whether the pipeline resized the annotations with the image.
        """
        return list(data_samples)

    def check_samples(self, data_samples: Sequence) -> None:  # noqa: B027  most tasks have nothing to check
        """Raise a ``ValueError`` that names the file if its ground truth is not what the model can have learned."""

    @abstractmethod
    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy between ``logits`` and class indices of each image, summed over its pixels, ``(N,)``."""

    def fit(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Class scores at the resolution of the labels."""
        return logits

    @abstractmethod
    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        """Ground-truth class indices in the input frame."""

    def label_counts(self, data_samples: Sequence) -> list[int]:
        """How many of the entries of :meth:`labels` belong to each image."""
        return [1] * len(data_samples)

    @abstractmethod
    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        """Copies of prepared samples whose ground truth is ``target``."""

    def relabel_as_predicted(self, data_samples: Sequence, logits: Tensor) -> list:
        """Copies of samples of the pipeline whose ground truth is what the model predicts."""
        return self.relabel(data_samples, logits.argmax(1))

    @abstractmethod
    def ground_truth(self, data_sample: Any) -> list:
        """The tensors and arrays that an attack may look at besides the image."""

    @abstractmethod
    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        """How correct the model is on each image.

        Args:
            predictions: the data samples that the host's ``test_step`` returns, with their ground truth.
            annotations_in_input_frame: as for :meth:`in_input_frame`.
            ignored_are_crowds: what :func:`mmadvdefense.tasks.ignored_are_crowds` says of the data set.

        Raises:
            NotScored: if predictions of this kind are not scored image by image.
        """

    @property
    def dataset_classes(self) -> Optional[int]:
        """How many classes a data set for this model has; None if the model does not say."""
        return self.num_classes

    # --- features ---------------------------------------------------------------------------------------------

    @abstractmethod
    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        """Where the alignment terms read features: a tap on ``layer``, by default the task's own choice."""

    @abstractmethod
    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        """Feature vectors ``(M, L)`` that carry a class, and their classes ``(M,)``."""

    @abstractmethod
    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        """One-hot ground truth ``(N, K, h, w)`` at ``size``: the condition of a conditional discriminator."""

    # --- facts ------------------------------------------------------------------------------------------------

    @property
    def ignore_index(self) -> Optional[int]:
        """The label of what belongs to no class and is not counted; None if all labels are classes."""
        return None

    def target_classes(self, logits: Tensor) -> Optional[Tensor]:
        """Which of the K scores belong to classes that can occur; None if all do.

        Returns:
            bool, ``(1, K, ...)``, which broadcasts to the shape of ``logits``.
        """
        return None

    @property
    @abstractmethod
    def num_classes(self) -> Optional[int]:
        """How many classes the model predicts; None if it predicts none."""


_USE_LOSS = "attack the model's own loss, objective='task_loss'"
_TIE = 1e-3  # relative to the largest scores
