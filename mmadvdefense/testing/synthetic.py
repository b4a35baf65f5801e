"""One batch of annotated noise for the models of any host, to see whether they run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

# Pairs: that is enough for BatchNorm, and for a batch of images that differ.
BATCH_SIZE = 2


class SyntheticImages(Dataset):
    """One batch of noise, annotated with all that a task's models can ask for: labels, boxes, masks.

    Args:
        scope: the host whose data samples are made.
        size: height and width in pixels.
        with_masks: whether objects have masks; some detectors cannot do with them, some not without.
        num_classes: labels are below it.
    """

    def __init__(self, scope: str, size: tuple[int, int], with_masks: bool = False, num_classes: int = 2):
        self.scope = scope
        self.size = size
        self.with_masks = with_masks
        self.num_classes = num_classes
        self.metainfo: dict = {}  # some hosts' hooks look for names of classes

    def update_skip_type_keys(self, keys: Sequence[str]) -> None:
        """YOLOX's hook switches off augmentations near the end, of which there are none."""

    def __len__(self) -> int:
        return BATCH_SIZE

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(256, (3, *self.size), generator=generator, dtype=torch.uint8)
        meta = dict(img_path=f'{index}.png', img_id=index, sample_idx=index, scale_factor=(1.0, 1.0))
        meta.update(img_shape=self.size, ori_shape=self.size, pad_shape=self.size)
        meta['border'] = (0, self.size[0], 0, self.size[1])  # what CenterNet's test pipeline adds
        make = {'mmpretrain': self._labelled, 'mmseg': self._segmented, 'mmdet': self._boxed}[self.scope]
        return {'inputs': image, 'data_samples': make(index, meta)}

    def _labelled(self, index: int, meta: dict):
        from mmpretrain.structures import DataSample

        return DataSample(metainfo=meta).set_gt_label(index % self.num_classes)

    def _mask(self, index: int) -> Tensor:
        """Upper half one class, lower half another, a corner ignored."""
        mask = torch.full((1, *self.size), index % self.num_classes)
        mask[:, self.size[0] // 2 :] = (index + 1) % self.num_classes
        mask[:, :8, :8] = 255
        return mask

    def _segmented(self, index: int, meta: dict):
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        edges = torch.zeros(1, *self.size, dtype=torch.long)
        edges[:, self.size[0] // 2] = 1
        return SegDataSample(
            metainfo=meta, gt_sem_seg=PixelData(data=self._mask(index)), gt_edge_map=PixelData(data=edges)
        )

    def _boxed(self, index: int, meta: dict):
        from mmdet.structures import DetDataSample
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks
        from mmengine.structures import InstanceData, PixelData

        height, width = self.size
        # x1, y1, x2, y2 in parts of the image.
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
