"""How right a model is on one image: by hand for each task."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from mmadvdefense.tasks import DetectionTask, NotScored, SegmentationTask, ignored_are_crowds, task_of
from mmadvdefense.tasks.sample_scores import SampleScores, box_f1, mean_iou, pixel_counts


def test_what_is_half_right_is_right():
    scores = SampleScores(torch.tensor([0.49, 0.5, 1.0]))
    assert scores.correct.tolist() == [False, True, True]
    assert scores.decision.tolist() == [0, 1, 1]
    assert SampleScores(torch.tensor([1.0, 0.0]), torch.tensor([7, 3])).decision.tolist() == [7, 3]


def test_an_image_without_truth_is_neither_right_nor_wrong():
    for columns in (SampleScores(torch.tensor([0.5, math.nan])).columns(), SampleScores.unknown(1).columns()):
        assert {name: math.isnan(column[-1]) for name, column in columns.items()} == dict.fromkeys(
            ('score', 'correct', 'decision'), True
        )
    columns = SampleScores(torch.tensor([1.0, math.nan]), torch.tensor([7, 3])).columns()
    assert columns['decision'].tolist() == [7, 3], 'the model says so all the same'
    assert columns['correct'][0] == 1 and columns['correct'][1].isnan()


def test_mean_iou_by_hand():
    # Image 0: class 0 has 4 pixels of which 3 are right, and one more is said to be 0; class 1 is never found.
    # Image 1 has no labelled pixel, image 2 is all class 2 and right.
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = torch.tensor([0, 0, 0, 2, 0, 2, 2, 2])
    image = torch.tensor([0, 0, 0, 0, 0, 0, 2, 2])
    counts = pixel_counts(predicted, labels, image, 3, 4)
    assert counts[0].tolist() == [[3, 0, 0, 0], [4, 2, 0, 0], [4, 0, 2, 0]]
    first, second, third = mean_iou(counts).tolist()
    assert (first, third) == ((3 / 5 + 0) / 2, 1.0) and math.isnan(second)


def _boxes(*corners: tuple) -> Tensor:
    return torch.tensor(corners, dtype=torch.float).view(-1, 4)


LEFT, RIGHT, SHIFTED = (0, 0, 10, 10), (20, 0, 30, 10), (2, 0, 12, 10)
FAR = (50, 50, 60, 60)


@pytest.mark.parametrize(
    ('boxes', 'labels', 'ignored', 'expected'),
    [
        ([LEFT, RIGHT], [1, 2], [], 1.0),
        ([SHIFTED, RIGHT], [1, 2], [], 1.0),  # IoU 80 / 120
        ([LEFT, RIGHT], [1, 1], [], 0.5),  # the second has the wrong class: 2 * 1 / (2 + 2)
        ([LEFT, SHIFTED, RIGHT], [1, 1, 2], [], 0.8),  # one box finds it, the other is too many: 2 * 2 / (3 + 2)
        ([LEFT], [1], [], 2 / 3),
        ([], [], [], 0.0),
        ([LEFT, RIGHT, FAR], [1, 2, 1], [(50, 50, 60, 61)], 1.0),  # a difficult object
        ([LEFT, RIGHT, FAR], [1, 2, 2], [(50, 50, 60, 61)], 0.8),  # which is of another class: 2 * 2 / (3 + 2)
        ([LEFT, RIGHT], [1, 2], [LEFT], 1.0),  # found all the same
    ],
)
@pytest.mark.parametrize('crowds', [True, False])
def test_f1_by_hand(boxes, labels, ignored, expected, crowds):
    pytest.importorskip('mmdet')
    true = _boxes(LEFT, RIGHT), torch.tensor([1, 2])
    kinds = torch.ones(len(ignored))
    score = box_f1(_boxes(*boxes), torch.tensor(labels), *true, _boxes(*ignored), kinds, crowds)
    assert score == pytest.approx(expected)


@pytest.mark.parametrize(
    ('box', 'in_crowd', 'in_difficult'),
    [
        ((50, 50, 60, 60), 1.0, 0.8),  # inside, a hundredth of it
        ((35, 50, 55, 60), 1.0, 0.8),  # three quarters of the box lie in it
        ((25, 50, 45, 60), 0.8, 0.8),  # a quarter does
        ((42, 40, 140, 140), 1.0, 1.0),  # nearly the whole of it
    ],
)
def test_a_crowd_holds_many_and_a_difficult_object_is_one(box, in_crowd, in_difficult):
    """COCO's overlap with a crowd is the share of the detection inside, as its own tools compute it."""
    pytest.importorskip('mmdet')
    from pycocotools import mask

    crowd = (40, 40, 140, 140)
    xywh = [np.array([[x, y, right - x, below - y]], dtype=float) for x, y, right, below in (box, crowd)]
    for crowds, expected in ((True, in_crowd), (False, in_difficult)):
        assert (mask.iou(*xywh, [int(crowds)]).item() >= 0.5) == (expected == 1)
        score = box_f1(
            _boxes(LEFT, RIGHT, box),
            torch.tensor([1, 2, 1]),
            _boxes(LEFT, RIGHT),
            torch.tensor([1, 2]),
            _boxes(crowd),
            torch.tensor([1]),
            crowds,
        )
        assert score == pytest.approx(expected)


def test_whose_ignored_boxes_are_crowds():
    pytest.importorskip('mmdet')
    from mmdet.datasets import CocoDataset, ConcatDataset, VOCDataset
    from mmengine.dataset import RepeatDataset

    coco = CocoDataset(lazy_init=True)
    voc = VOCDataset(data_prefix=dict(sub_data_root='VOC2007/'), lazy_init=True)
    assert ignored_are_crowds(coco) and ignored_are_crowds(RepeatDataset(coco, 2, lazy_init=True))
    assert not ignored_are_crowds(voc)
    assert not ignored_are_crowds(ConcatDataset([voc, voc], lazy_init=True))


def test_nothing_to_find():
    pytest.importorskip('mmdet')
    nothing = _boxes(), torch.zeros(0, dtype=torch.long)
    assert math.isnan(box_f1(*nothing, *nothing, *nothing))
    assert math.isnan(box_f1(_boxes(LEFT), torch.tensor([1]), *nothing, *nothing))
    assert math.isnan(box_f1(*nothing, *nothing, _boxes(LEFT), torch.tensor([1])))


def test_as_many_pairs_as_can_be():
    """The first box overlaps both true ones; taken greedily it could leave the second without one."""
    pytest.importorskip('mmdet')
    true = _boxes((0, 0, 10, 10), (4, 0, 14, 10))
    boxes = _boxes((2, 0, 12, 10), (0, 0, 10, 10))
    nothing = _boxes(), torch.zeros(0, dtype=torch.long)
    assert box_f1(boxes, torch.tensor([0, 0]), true, torch.tensor([0, 0]), *nothing) == 1


# The tasks' own samples ----------------------------------------------------------------------------------------------


def test_classification(tiny_classifier, image_batch):
    predictions = tiny_classifier.eval().test_step({'inputs': image_batch.images, 'data_samples': image_batch.samples})
    scores = task_of(tiny_classifier).score_samples(predictions)
    said = torch.stack([sample.pred_score for sample in predictions]).argmax(1)
    assert scores.decision.tolist() == said.tolist()
    assert scores.score.tolist() == [float(a == b) for a, b in zip(said, image_batch.labels)]
    assert set(scores.score.tolist()) == {0, 1}


def test_several_labels_an_image(tiny_classifier, image_batch):
    for sample in image_batch.samples:
        sample.set_gt_label([0, 1])
        sample.set_pred_label([0])
    with pytest.raises(NotScored, match=r'images/0\.png has 2 labels, and the model puts an image in one class'):
        task_of(tiny_classifier).score_samples(image_batch.samples)


def test_images_without_a_label(tiny_classifier, image_batch):
    predictions = tiny_classifier.eval().test_step({'inputs': image_batch.images, 'data_samples': image_batch.samples})
    said = [int(sample.pred_label) for sample in predictions]
    predictions[0].set_gt_label(said[0])
    del predictions[1].gt_label
    scores = task_of(tiny_classifier).score_samples(predictions)
    assert scores.score[0] == 1 and scores.score[1].isnan() and scores.decision.tolist() == said
    assert scores.label[0] == said[0] and scores.columns()['label'].isnan().tolist() == [False, True, *[False] * 4]
    del predictions[0].pred_label
    with pytest.raises(NotScored, match='ImageClassifier predicts no class or several classes for an image'):
        task_of(tiny_classifier).score_samples(predictions)


def test_segmentation():
    pytest.importorskip('mmseg')
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    def sample(true: list, predicted: list) -> SegDataSample:
        return SegDataSample(
            gt_sem_seg=PixelData(data=torch.tensor([true])), pred_sem_seg=PixelData(data=torch.tensor([predicted]))
        )

    # Images of different sizes; 255 is no class.
    samples = [sample([[0, 0], [1, 255]], [[0, 1], [1, 0]]), sample([[2, 2, 2]], [[2, 2, 2]])]
    model = SimpleNamespace(decode_head=SimpleNamespace(num_classes=3, ignore_index=255))
    model.get_submodule = lambda name: getattr(model, name)
    scores = SegmentationTask(model).score_samples(samples)
    assert scores.score.tolist() == [0.5, 1.0] and scores.decision.tolist() == [1, 1]

    # Without an annotation, and with one that labels no pixel.
    del samples[0].gt_sem_seg
    scores = SegmentationTask(model).score_samples([*samples, sample([[255, 255]], [[0, 1]])])
    assert scores.score.isnan().tolist() == [True, False, True]
    del samples[1].pred_sem_seg
    with pytest.raises(NotScored, match='predicts no class per pixel'):
        SegmentationTask(model).score_samples(samples)


@pytest.mark.parametrize('in_input_frame', [False, True])
def test_detection(in_input_frame):
    pytest.importorskip('mmdet')
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    def instances(boxes: Tensor, **fields: list) -> InstanceData:
        return InstanceData(bboxes=boxes, **{name: torch.tensor(value) for name, value in fields.items()})

    sample = DetDataSample(metainfo=dict(scale_factor=(2.0, 3.0), img_shape=(30, 60), img_path='images/a.png'))
    scale = torch.tensor([2.0, 3.0, 2.0, 3.0]) if in_input_frame else 1
    sample.gt_instances = instances(_boxes(LEFT, RIGHT) * scale, labels=[1, 2])
    sample.ignored_instances = instances(_boxes((50, 50, 60, 60)) * scale, labels=[0])
    # The last but one lies on what is ignored, the last is not confident enough to count.
    sample.pred_instances = instances(_boxes(LEFT, (50, 50, 60, 60), RIGHT), labels=[1, 0, 2], scores=[0.9, 0.8, 0.29])
    scores = DetectionTask(SimpleNamespace()).score_samples([sample], in_input_frame)
    assert scores.score.tolist() == [pytest.approx(2 / 3)] and scores.decision.tolist() == [1]
    # The object that was missed; the detection on what is ignored is neither counted nor wrong.
    counts = {name: number.item() for name, number in scores.errors.items() if number}
    assert counts == {'detections': 1, 'missed': 1} and scores.columns()['errors/missed'].tolist() == [1]

    # A crowd of which the ignored detection is a part, where the data set has crowds.
    sample.ignored_instances = instances(_boxes((40, 40, 140, 140)) * scale, labels=[0])
    for crowds, expected in ((True, 2 / 3), (False, 0.5)):
        scores = DetectionTask(SimpleNamespace()).score_samples([sample], in_input_frame, crowds)
        assert scores.score.tolist() == [pytest.approx(expected)]

    # What the pipeline packs without annotations, or with none that is not ignored.
    sample.gt_instances = InstanceData()
    scores = DetectionTask(SimpleNamespace()).score_samples([sample], in_input_frame)
    assert scores.score.isnan().all() and scores.errors['missed'].isnan().all()
    sample.gt_instances = instances(_boxes(), labels=[])
    scores = DetectionTask(SimpleNamespace()).score_samples([sample], in_input_frame)
    assert scores.score.isnan().all() and scores.errors['background'].tolist() == [1]
    del sample.pred_instances
    with pytest.raises(NotScored, match='SimpleNamespace predicts no boxes'):
        DetectionTask(SimpleNamespace()).score_samples([sample], in_input_frame)
