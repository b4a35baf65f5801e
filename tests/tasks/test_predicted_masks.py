"""A segmentation model's own masks in the place of the truth."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import PixelData

from mmadvdefense.tasks import SegmentationTask

pytest.importorskip('mmseg')


def test_masks_of_the_samples_size_that_keep_what_is_ignored():
    from mmseg.structures import SegDataSample

    head = SimpleNamespace(num_classes=3, ignore_index=255)
    task = SegmentationTask(SimpleNamespace(decode_head=head, get_submodule=lambda name: head))
    truth = torch.tensor([[0, 0, 0], [0, 255, 0]])
    sample = SegDataSample(gt_sem_seg=PixelData(data=truth[None]))
    winner = torch.tensor([[2, 1, 0, 1], [1, 1, 2, 1], [2, 2, 2, 2]])
    # Padded by one row and one column.
    logits = torch.nn.functional.one_hot(winner, 3).permute(2, 0, 1)[None].float()
    (mask,) = task.predicted(logits, [sample])
    assert mask.tolist() == [[2, 1, 0], [1, 255, 2]] and mask.dtype == truth.dtype
    (relabelled,) = task.relabel_as_predicted([sample], logits)
    assert relabelled.gt_sem_seg.data.tolist() == [[[2, 1, 0], [1, 255, 2]]]
    assert torch.equal(sample.gt_sem_seg.data[0], truth)
