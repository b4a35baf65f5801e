"""Types of errors and the F1 of a batch, by hand."""

import pytest
import torch

from mmadvdefense.tasks.detections.decisions import f1_scores
from mmadvdefense.tasks.detections.error_types import ERROR_TYPES, error_counts
from mmadvdefense.tasks.detections.tables import iou, nearest_objects, table_of
from mmadvdefense.tasks.sample_scores import box_f1, match_boxes

# Object 0 is of class 0, object 1 of class 1, far away.
OBJECTS = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
LABELS = torch.tensor([0, 1])
NOTHING = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)


def count(boxes, labels, ignored=NOTHING):
    boxes, labels = torch.tensor(boxes, dtype=torch.float32).view(-1, 4), torch.tensor(labels, dtype=torch.long)
    finds, excused = match_boxes(boxes, labels, OBJECTS, LABELS, *ignored)
    numbers = error_counts(boxes, labels, finds, excused, OBJECTS, LABELS)
    return {name: number for name, number in zip(ERROR_TYPES, numbers.tolist()) if number and name != 'detections'}


@pytest.mark.parametrize(
    ('boxes', 'labels', 'expected'),
    [
        ([], [], {'missed': 2}),
        ([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 1], {}),
        # IoU 0.4 with its object, which therefore is not missed
        ([[0, 0, 10, 4], [50, 50, 60, 60]], [0, 1], {'localisation': 1}),
        ([[0, 0, 10, 10], [50, 50, 60, 60]], [1, 1], {'class': 1}),
        ([[0, 0, 10, 4], [50, 50, 60, 60]], [1, 1], {'both': 1, 'missed': 1}),
        ([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], [0, 0, 1], {'duplicate': 1}),
        ([[0, 0, 10, 10], [80, 80, 90, 90], [50, 50, 60, 60]], [0, 1, 1], {'background': 1}),
        # IoU 0.05: background
        ([[0, 0, 10, 0.5], [50, 50, 60, 60]], [0, 1], {'background': 1, 'missed': 1}),
    ],
)
def test_each_type(boxes, labels, expected):
    assert count(boxes, labels) == expected


def test_a_detection_on_an_ignored_box_is_no_error():
    ignored = torch.tensor([[80.0, 80, 90, 90]]), torch.tensor([1])
    assert count([[0, 0, 10, 10], [80, 80, 90, 90], [50, 50, 60, 60]], [0, 1, 1], ignored) == {}


def test_without_objects_all_detections_are_on_background():
    boxes, labels = torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([0])
    numbers = error_counts(boxes, labels, torch.tensor([-1]), torch.tensor([False]), *NOTHING)
    assert dict(zip(ERROR_TYPES, numbers.tolist()))['background'] == 1 and numbers.tolist() == [1, 0, 0, 0, 0, 1, 0]


def test_f1_of_a_batch_is_that_of_each_image():
    generator = torch.Generator().manual_seed(0)

    def some(number):
        first = 40 * torch.rand(number, 2, generator=generator)
        boxes = torch.cat([first, first + 5 + 20 * torch.rand(number, 2, generator=generator)], 1)
        return boxes, torch.randint(0, 2, (number,), generator=generator)

    true = [some(number) for number in (3, 0, 5, 1)]
    # Moved a little, with some that are wrong.
    said = [(torch.cat([t[0] + 1, some(2)[0]]), torch.cat([t[1], some(2)[1]])) for t in true]
    said[3] = some(0)
    found, objects = (table_of([one[0] for one in both], [one[1] for one in both]) for both in (said, true))
    expected = [box_f1(*s, *t, *NOTHING) for s, t in zip(said, true)]
    assert f1_scores(found, objects).tolist() == pytest.approx(expected, nan_ok=True)
    assert expected[3] == 0 and 0 < expected[0] < 1


def test_iou_and_the_nearest_object_by_hand():
    box = torch.tensor([[0.0, 0, 10, 10]])
    assert iou(box, torch.tensor([[5.0, 0, 15, 10]])).item() == pytest.approx(50 / 150)
    assert iou(box, torch.tensor([[10.0, 10, 20, 20]])).item() == 0
    boxes = [torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 4]]), torch.tensor([[0.0, 0, 10, 10]])]
    table = table_of(boxes, [torch.tensor([0, 0]), torch.tensor([0])])
    # The object that the third box would lie on is in the first image.
    objects = table_of([torch.tensor([[50.0, 50, 60, 60], [0, 0, 10, 8]]), torch.zeros(0, 4)], [LABELS, LABELS[:0]])
    which, near = nearest_objects(table, objects, 0.5)
    assert which.tolist() == [1, 1, 0] and near.tolist() == [True, True, False]
    assert table.per_image(torch.tensor([1.0, 2, 4])).tolist() == [3, 4]
