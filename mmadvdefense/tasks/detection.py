"""Object detection (MMDetection's detectors)."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from ..pixels import Pixels
from .base import Task
from .taps import FeatureTap

# Label of boxes without an area, in the vectors that the class terms are given.
NO_CLASS = -100
# Words in the names of loss entries. Classification first: 'loss_center_heatmap' says what is where, not how far.
_CLASSIFICATION = {'cls', 'conf', 'obj', 'objectness', 'heatmap', 'det', 'pos', 'neg', 'bag', 'class', 'ce', 'focal'}
_LOCALISATION = set(
    'bbox box iou giou loc xy wh offset off center centerness dfl l1 pts reg corner shape pull push mask dice'.split()
)


def loss_group(name: str) -> Optional[str]:
    """``'cls'`` or ``'loc'`` for the name of a detector's loss entry, None if it is neither."""
    words = set(re.split(r'[._\d]+', name.lower()))
    if words & _CLASSIFICATION:
        return 'cls'
    return 'loc' if words & _LOCALISATION else None


class DetectionTask(Task):
    """Boxes with labels; features are the last map of the backbone, averaged over each ground-truth box."""

    name = 'detection'

    # --- the model ------------------------------------------------------------------------------------------

    def logits(self, inputs: Tensor) -> Tensor:
        raise ValueError(
            "a detector has no one set of class scores; use an objective on its losses: 'cls', 'loc', 'cls+loc'"
        )

    def reference(self, inputs: Tensor) -> None:
        self.model.extract_feat(inputs)

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
            raise ValueError(
                f'{type(self.model).__name__} has no loss of the group {part!r}; its entries are {", ".join(losses)}'
            )
        return selected

    # --- ground truth ---------------------------------------------------------------------------------------

    def prepare_samples(
        self, preprocessor: nn.Module, images: Pixels, data_samples: Sequence, training: bool = False
    ) -> list:
        samples = super().prepare_samples(preprocessor, images, data_samples)
        samples = [sample.to(preprocessor.device) for sample in samples]
        # In its training mode the preprocessor would also apply batch augmentations.
        if getattr(preprocessor, 'pad_mask', False):
            preprocessor.pad_gt_masks(samples)
        if getattr(preprocessor, 'pad_seg', False):
            preprocessor.pad_gt_sem_seg(samples)
        return samples

    def in_input_frame(self, data_samples: Sequence, annotations_in_input_frame: bool) -> list:
        """Boxes and masks in the frame of the resized image; test pipelines load them after ``Resize``."""
        moved = copy.deepcopy(list(data_samples))
        if annotations_in_input_frame:
            return moved
        for sample in moved:
            width, height = sample.get('scale_factor', (1.0, 1.0))
            for instances in (sample.get('gt_instances'), sample.get('ignored_instances')):
                if instances is None:
                    continue
                if 'bboxes' in instances:
                    instances.bboxes = _scale_boxes(instances.bboxes, width, height)
                if 'masks' in instances:
                    instances.masks = instances.masks.resize(tuple(sample.img_shape[:2]))
        return moved

    def labels(self, data_samples: Sequence, device: torch.device) -> Tensor:
        """``(M,)`` classes of all boxes, image after image."""
        return torch.cat([sample.gt_instances.labels for sample in data_samples]).to(device)

    def label_counts(self, data_samples: Sequence) -> list[int]:
        return [len(sample.gt_instances) for sample in data_samples]

    def relabel(self, data_samples: Sequence, target: Tensor) -> list:
        relabelled = copy.deepcopy(list(data_samples))
        for sample, labels in zip(relabelled, target.split(self.label_counts(relabelled))):
            sample.gt_instances.labels = labels
        return relabelled

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        raise ValueError("a detector has no cross-entropy; use an objective on its losses: 'cls', 'loc' or 'cls+loc'")

    # --- features -------------------------------------------------------------------------------------------

    def feature_tap(self, layer: Optional[str] = None) -> FeatureTap:
        if layer in ('pre_logits', 'logits'):
            raise ValueError(f'a detector has no layer {layer!r}; leave it out for the last map of the backbone')
        return FeatureTap(self.model, layer or 'backbone')

    def class_features(self, features: Tensor, data_samples: Sequence) -> tuple[Tensor, Tensor]:
        """Mean of the map inside each box, ``(M, L)``; the label of a box without area is ``NO_CLASS``."""
        from mmcv.ops import roi_align

        device = features.device
        boxes = [_as_tensor(sample.gt_instances.bboxes).to(features) for sample in data_samples]
        image = torch.repeat_interleave(
            torch.arange(len(boxes), device=device),
            torch.tensor([len(b) for b in boxes], device=device),
            output_size=sum(len(b) for b in boxes),
        )
        height, width = data_samples[0].batch_input_shape
        scale = features.new_tensor([features.shape[-1] / width, features.shape[-2] / height]).repeat(2)
        limit = features.new_tensor([features.shape[-1], features.shape[-2]]).repeat(2)
        scaled = torch.minimum((torch.cat(boxes) * scale).clamp(min=0), limit)
        first, second = scaled.split(2, 1)
        has_area = (second > first).all(1)
        # RoIAlign stops at corners in the wrong order.
        rois = torch.cat([image[:, None].to(features.dtype), first, torch.maximum(first, second)], 1)
        vectors = roi_align(features, rois, (1, 1), 1.0, 0, 'avg', True).flatten(1)
        return vectors, self.labels(data_samples, device).where(has_area, NO_CLASS)

    def label_map(self, data_samples: Sequence, size: Sequence[int], device: torch.device) -> Tensor:
        raise ValueError('a detector has no label map; leave condition_on_labels out')

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def num_classes(self) -> int:
        for name in ('roi_head.bbox_head', 'bbox_head', 'mask_head', 'panoptic_head'):
            try:
                head = self.model.get_submodule(name)
            except AttributeError:
                continue
            head = head[-1] if isinstance(head, nn.ModuleList) else head
            if hasattr(head, 'num_classes'):
                return head.num_classes
        raise ValueError(f'{type(self.model).__name__} has no head with num_classes')


def _belongs_to_head(module: nn.Module) -> bool:
    # The host keeps parts of heads that are called otherwise (such as YOLACT's prototypes) in the same packages.
    return type(module).__name__.endswith('Head') or '_heads.' in type(module).__module__


def _as_tensor(boxes) -> Tensor:
    return getattr(boxes, 'tensor', boxes)


def _scale_boxes(boxes, width: float, height: float):
    if hasattr(boxes, 'rescale_'):
        boxes = boxes.clone()
        boxes.rescale_((width, height))
        return boxes
    return boxes * boxes.new_tensor([width, height, width, height])
