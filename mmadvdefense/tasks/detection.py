"""Object detection (MMDetection's detectors)."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.logging import print_log
from mmengine.model import BaseDataPreprocessor, BaseModel, BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..pixels import Pixels
from .base import Task
from .boxes import as_tensor, box_features, is_annotated, is_visible, move_to_input_frame
from .detection_scores import detection_score
from .detections.candidates import Candidates, reader_of, score_threshold
from .detections.decisions import check_best, detections_of, f1_scores, fresh_samples
from .detections.error_types import ERROR_TYPES
from .detections.tables import BoxTable, objects_of
from .loss_groups import loss_group
from .sample_scores import NotScored, SampleScores
from .taps import FeatureTap, ScoreTap

# The label of boxes without an area, as the class terms see it.
NO_CLASS = -100


class DetectionTask(Task):
    """Boxes with labels; features are the last map of the backbone, averaged over each ground-truth box.

    The layer ``'logits'`` is the class scores of the dense head (in two-stage detectors: which proposals are objects).
    """

    name = 'detection'
    noun = 'detector'
    has_class_scores = False
    has_loss_parts = True
    has_label_map = False
    # The head that a tap reads, in addition to the features that are always computed.
    _tapped_head: Optional[str] = None

    def __init__(self, model: BaseModel):
        super().__init__(_predicting(model))
        # These depend on the model.
        self.has_decisions = not self._proposes
        self.has_candidates = reader_of(self.model) is not None
        self.score_threshold = score_threshold(self.model)

    # --- the model ------------------------------------------------------------------------------------------

    def logits(self, inputs: Tensor) -> Tensor:
        raise UsageError(
            "a detector has no one set of class scores; use an objective on its losses: 'cls', 'loc', 'cls+loc'"
        )

    def reference(self, inputs: Tensor) -> None:
        features = self.model.extract_feat(inputs)
        if self._tapped_head is not None:
            self.model.get_submodule(self._tapped_head)(features)

    @property
    def without_candidates(self) -> str:
        return f"those of {type(self.model).__name__} are not known: use objective='cls', 'loc' or 'cls+loc'"

    def candidates(self, inputs: Tensor, data_samples: Sequence) -> Candidates:
        read = reader_of(self.model)
        if read is None:
            raise UsageError(f'no candidate boxes: {self.without_candidates}')
        return read(self.model, inputs, fresh_samples(data_samples, inputs))

    def objects(self, data_samples: Sequence, device: torch.device) -> BoxTable:
        self._check_annotated(data_samples)
        return objects_of(data_samples, device)

    def check_candidates(self, found: Candidates, inputs: Tensor, data_samples: Sequence) -> None:
        check_best(self.model, found, inputs, data_samples)

    def prediction_scores(self, inputs: Tensor, data_samples: Sequence) -> Tensor:
        """F1 of the detections with a confidence of at least 0.3, found at an IoU of at least 0.5, ``(N,)``."""
        return f1_scores(detections_of(self.model, inputs, data_samples), self.objects(data_samples, inputs.device))

    def losses(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        self._check_annotated(data_samples)
        return super().losses(inputs, data_samples)

    def loss_modules(self) -> list[nn.Module]:
        """The detector and its heads decode boxes, add queries or leave out branches by their own training flag."""
        return [self.model, *(module for module in self.model.modules() if _belongs_to_head(module))]

    def select_losses(self, losses: dict, part: str) -> list:
        """The entries of a host's losses that belong to ``part``.

        Args:
            losses: what the host returns in mode ``loss``.
            part: ``'cls'``, ``'loc'`` or ``'cls+loc'``.

        Raises:
            ValueError: if there is none, naming all entries.
        """
        wanted = part.split('+')
        selected = [value for name, value in losses.items() if 'loss' in name and loss_group(name) in wanted]
        if not selected:
            raise UsageError(
                f'{type(self.model).__name__} has no loss of the group {part!r}; its entries are {", ".join(losses)}'
            )
        return selected

    # --- ground truth ---------------------------------------------------------------------------------------

    def prepare_samples(
        self, preprocessor: BaseDataPreprocessor, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        samples = super().prepare_samples(preprocessor, images, data_samples)
        samples = [sample.to(preprocessor.device) for sample in samples]
        # In its training mode the preprocessor would also apply batch augmentations.
        if getattr(preprocessor, 'pad_mask', False) and 'gt_instances' in samples[0]:
            preprocessor.pad_gt_masks(samples)
        if getattr(preprocessor, 'pad_seg', False):
            preprocessor.pad_gt_sem_seg(samples)
        return samples

    def in_input_frame(self, data_samples: Sequence, annotations_in_input_frame: bool) -> list:
        """Boxes and masks in the frame of the input; test pipelines load them after ``Resize`` and similar transforms.

        Boxes without an area inside the image are left out with a warning: there is nothing to attack, and the
        logarithm of such a width makes a loss infinite.

        Raises:
            ValueError: from :func:`~mmadvdefense.tasks.frames.input_matrix`.
        """
        moved = copy.deepcopy(list(data_samples))
        for sample in moved:
            if not annotations_in_input_frame:
                move_to_input_frame(sample)
            visible = is_visible(sample)
            if not visible.all():
                print_log(
                    f'{_name(sample)}: {int((~visible).sum())} of {len(visible)} boxes have no area inside the image; '
                    'the attack leaves them out',
                    'current',
                    logging.WARNING,
                )
                sample.gt_instances = sample.gt_instances[visible]
        return moved

    def check_samples(self, data_samples: Sequence) -> None:
        for sample in data_samples:
            visible = is_visible(sample)
            if not visible.all():
                box = as_tensor(sample.gt_instances.bboxes)[~visible][0].tolist()
                raise UsageError(
                    f'{_name(sample)}: the box {box} has no area inside the image; correct it, or leave such boxes out '
                    "with dict(type='FilterAnnotations') in the pipeline (VOC: filter_cfg=dict(bbox_min_size=1))"
                )

    def ground_truth(self, data_sample: Any) -> list:
        if not is_annotated(data_sample):
            return []
        instances = data_sample.gt_instances
        masks = [instances.masks.to_ndarray()] if 'masks' in instances else []
        return [as_tensor(instances.bboxes), instances.labels, *masks]

    @staticmethod
    def _check_annotated(data_samples: Sequence) -> None:
        for sample in data_samples:
            if not is_annotated(sample):
                raise UsageError(
                    f'{_name(sample)} has no ground truth (gt_instances); the pipeline needs LoadAnnotations'
                )

    def score_samples(
        self, predictions: Sequence, annotations_in_input_frame: bool = False, ignored_are_crowds: bool = True
    ) -> SampleScores:
        """Boxes that lie on an ignored box of their class (crowd, difficult object) and find no object are not counted.

        Proposals, which have no class, are scored as if all objects were of one.
        """
        if any('pred_instances' not in sample or 'bboxes' not in sample.pred_instances for sample in predictions):
            raise NotScored(f'{type(self.model).__name__} predicts no boxes, so its images are not scored one by one')
        options = annotations_in_input_frame, ignored_are_crowds, not self._proposes
        scores, errors = zip(*(detection_score(sample, *options) for sample in predictions))
        by_type = dict(zip(ERROR_TYPES, torch.stack(errors).unbind(1)))
        return SampleScores(torch.tensor(scores, dtype=torch.float64), errors=by_type)

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        """``(M,)`` classes of all boxes, image by image."""
        self._check_annotated(data_samples)
        return torch.cat([sample.gt_instances.labels for sample in data_samples]).to(device)

    def label_counts(self, data_samples: Sequence) -> list[int]:
        return [len(sample.gt_instances) for sample in data_samples]

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        for sample, labels in zip(relabelled, target.split(self.label_counts(relabelled))):
            sample.gt_instances.labels = labels
        return relabelled

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        raise UsageError("a detector has no cross-entropy; use an objective on its losses: 'cls', 'loc' or 'cls+loc'")

    # --- features -------------------------------------------------------------------------------------------

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        if layer == 'pre_logits':
            raise UsageError("a detector has no layer 'pre_logits'; leave it out for the last map of the backbone")
        if layer == 'logits':
            self._tapped_head = self._dense_head
            return ScoreTap(self.model, self._tapped_head)
        return FeatureTap(self.model, layer or 'backbone')

    @property
    def _dense_head(self) -> str:
        from mmdet.models.detectors import SingleStageDetector

        if getattr(self.model, 'rpn_head', None) is not None:
            return 'rpn_head'
        if isinstance(self.model, SingleStageDetector):
            return 'bbox_head'
        raise UsageError(f"{type(self.model).__name__} has no dense head, so no layer 'logits'; name a layer instead")

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        """Mean of the map inside each box, ``(M, L)``; the label of a box without area is ``NO_CLASS``."""
        if features.ndim != 4:
            raise UsageError(
                "class features of a detector are means over boxes; feature_layer='logits' has no map, name a layer"
            )
        vectors, has_area = box_features(features, data_samples)
        return vectors, self.labels(data_samples, features.device).where(has_area, NO_CLASS)

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        raise UsageError('a detector has no label map; leave condition_on_labels out')

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        for name in ('roi_head.bbox_head', 'bbox_head', 'mask_head', 'panoptic_head'):
            try:
                head: BaseModule = self.model.get_submodule(name)
            except AttributeError:
                continue
            head = head[-1] if isinstance(head, nn.ModuleList) else head
            if hasattr(head, 'num_classes'):
                return head.num_classes
        raise UsageError(f'{type(self.model).__name__} has no head with num_classes')

    @property
    def dataset_classes(self) -> Optional[int]:
        """None if objects have no classes (proposals) or are named in words; stuff counts if it is predicted."""
        if self._proposes or getattr(self.model, 'language_model', None) is not None:
            return None
        fusion = getattr(self.model, 'panoptic_fusion_head', None)
        if fusion is not None:
            return fusion.num_classes
        try:
            return self.num_classes
        except ValueError:
            return None

    @property
    def _proposes(self) -> bool:
        return any(base.__name__ == 'RPN' for base in type(self.model).__mro__)


def _predicting(model: BaseModel) -> BaseModel:
    """The detector itself; of the two that semi-supervised training keeps, the one that is run in tests."""
    if not hasattr(model, 'semi_test_cfg'):
        return model
    return getattr(model, (model.semi_test_cfg or {}).get('predict_on', 'teacher'))


def _belongs_to_head(module: nn.Module) -> bool:
    # Parts of heads with other names, such as YOLACT's prototypes, are in the same packages of the host.
    return type(module).__name__.endswith('Head') or '_heads.' in type(module).__module__


def _name(sample: Any) -> str:
    return sample.get('img_path') or 'an image of the batch'
