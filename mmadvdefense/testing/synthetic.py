"""Annotated noise for the models of any host, to see whether and how fast they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import UsageError
from ..hosts import HOSTS
from ..registry import DATASETS

# Two are enough for BatchNorm, and for a batch of images that differ.
BATCH_SIZE = 2


@DATASETS.register_module()
class SyntheticImages(Dataset):
    """Noise, annotated with everything that a task's models can need: labels, boxes, masks.

    Args:
        scope: the host whose data samples are made.
        size: height and width in pixels.
        with_masks: whether objects have masks; some detectors do not accept them, others need them.
        num_classes: labels are below it.
        length: how many images.
        ignore_index: label of the pixels that segmentors ignore.

    Raises:
        ValueError: if the scope is not that of a host.
    """

    def __init__(
        self,
        scope: str,
        size: Sequence[int],
        with_masks: bool = False,
        num_classes: int = 2,
        length: int = BATCH_SIZE,
        ignore_index: int = 255,
    ):
        if scope not in HOSTS:
            raise UsageError(f'there are synthetic images for {", ".join(HOSTS)}, not for {scope!r}')
        self.ground_truth = HOSTS[scope].ground_truth
        self.size = tuple(size)
        self.with_masks = with_masks
        self.num_classes = num_classes
        self.length = length
        self.ignore_index = ignore_index
        self.metainfo: dict = {}  # some hosts' hooks look for names of classes

    def update_skip_type_keys(self, keys: Sequence[str]) -> None:
        """YOLOX's hook switches augmentations off near the end; there are none here."""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.length:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(256, (3, *self.size), generator=generator, dtype=torch.uint8)
        meta = dict(img_path=f'{index}.png', img_id=index, sample_idx=index, scale_factor=(1.0, 1.0))
        meta.update(img_shape=self.size, ori_shape=self.size, pad_shape=self.size)
        meta['border'] = (0, self.size[0], 0, self.size[1])  # what CenterNet's test pipeline adds
        make = {'label': self._labelled, 'mask': self._segmented, 'boxes': self._boxed}[self.ground_truth]
        return {'inputs': image, 'data_samples': make(index, meta)}

    def _labelled(self, index: int, meta: dict) -> Any:
        from mmpretrain.structures import DataSample

        return DataSample(metainfo=meta).set_gt_label(index % self.num_classes)

    def _mask(self, index: int) -> Tensor:
        """The upper half is one class, the lower half another, and a corner is ignored."""
        mask = torch.full((1, *self.size), index % self.num_classes)
        mask[:, self.size[0] // 2 :] = (index + 1) % self.num_classes
        mask[:, :8, :8] = self.ignore_index
        return mask

    def _segmented(self, index: int, meta: dict) -> Any:
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        edges = torch.zeros(1, *self.size, dtype=torch.long)
        edges[:, self.size[0] // 2] = 1
        return SegDataSample(
            metainfo=meta, gt_sem_seg=PixelData(data=self._mask(index)), gt_edge_map=PixelData(data=edges)
        )

    def _boxed(self, index: int, meta: dict) -> Any:
        from mmdet.structures import DetDataSample
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks
        from mmengine.structures import InstanceData, PixelData

        height, width = self.size
        # x1, y1, x2, y2 as fractions of the image's size.
        parts = np.array([[0.1, 0.1, 0.6, 0.7], [0.5, 0.4, 0.9, 0.95], [0.3, 0.2, 0.45, 0.4]])
        boxes = np.round(parts * [width, height, width, height])
        labels = torch.arange(index, index + len(boxes)) % self.num_classes
        found = InstanceData(bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32)), labels=labels)
        if self.with_masks:
            masks = np.zeros((len(boxes), height, width), np.uint8)
            for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int)):
                mask[top:bottom, left:right] = 1
            found.masks = BitmapMasks(masks, height, width)
        ignored = InstanceData(bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=labels[:0])
        return DetDataSample(
            metainfo=meta,
            gt_instances=found,
            ignored_instances=ignored,
            gt_sem_seg=PixelData(sem_seg=self._mask(index)),
        )
