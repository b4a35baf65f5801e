"""Pictures show the images they are given, and examples are what the attack and the purifier make."""

import cv2
import pytest
import torch

from mmadvdefense.evaluation import Examples
from mmadvdefense.evaluation.report.example_pictures import (
    STATES,
    Caption,
    class_boxes,
    class_masks,
    draw_picture,
    robustness_picture,
)


@pytest.fixture
def examples():
    clean = [torch.full((3, 8, 8), 100.0) for _ in range(2)]
    adversarial = [image + 5 for image in clean]
    purified = [image.clone() for image in clean]
    for image in clean:
        image[0] = 200.0
    return Examples(clean, adversarial, purified)


@pytest.fixture
def captions():
    return {'clean': [Caption('3', True)] * 2, 'adversarial': [Caption('8', False)] * 2, 'purified': [Caption('3')] * 2}


def images_of(figure):
    return [axes.get_images()[0].get_array() for axes in figure.axes]


def test_rows_and_differences(examples, captions):
    shown = images_of(draw_picture(examples, captions, gain=10))
    assert len(shown) == 5 * 2
    clean, adversarial, difference = shown[0], shown[2], shown[4]
    assert clean[0, 0].tolist() == [200, 100, 100]
    assert adversarial[0, 0].tolist() == [105, 105, 105]
    # 255 / 2 + 10 * (105 - 100), and 105 - 200 is far below black
    assert difference[0, 0].tolist() == [0, 178, 178]


def test_channel_order(examples, captions):
    assert images_of(draw_picture(examples, captions, channel_order='bgr'))[0][0, 0].tolist() == [100, 100, 200]


def test_captions_are_coloured_by_what_is_right(examples, captions):
    figure = draw_picture(examples, captions)
    labels = [axes.xaxis.label for axes in figure.axes]
    assert [label.get_text() for label in labels] == ['3', '3', '8', '8', '', '', '3', '3', '', '']
    assert labels[0].get_color() != labels[2].get_color() != labels[6].get_color()


def test_boxes_and_masks_are_drawn_where_they_are(examples, captions):
    from matplotlib.colors import to_rgba
    from mmengine.structures import BaseDataElement, InstanceData, PixelData

    found = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 4.0, 7.0], [0.0, 0.0, 8.0, 8.0]]),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.1]),
    )
    boxes = class_boxes(dict.fromkeys(STATES, [BaseDataElement(pred_instances=found)] * 2), ['a', 'b'])
    axes = draw_picture(examples, captions, decorate=boxes).axes
    assert [len(one.patches) for one in axes] == [1, 1, 1, 1, 0, 0, 1, 1, 0, 0], 'one box is uncertain'
    assert axes[0].patches[0].get_bbox().bounds == (1, 2, 3, 5)
    assert axes[0].texts[0].get_text() == 'b'

    mask = torch.zeros(1, 8, 8, dtype=torch.long)
    mask[0, 2, 3] = 2
    sample = BaseDataElement(pred_sem_seg=PixelData(data=mask))
    axes = draw_picture(examples, captions, decorate=class_masks(dict.fromkeys(STATES, [sample] * 2), 3)).axes
    assert [len(one.get_images()) for one in axes] == [2, 2, 2, 2, 1, 1, 2, 2, 1, 1]
    shown = axes[0].get_images()[1].get_array()
    assert shown[0, 0].tolist() == [0, 0, 0, 0], 'background is clear'
    assert tuple(shown[2, 3]) == pytest.approx((*to_rgba('C1')[:3], 0.65))


def test_saved_whole(examples, captions, tmp_path):
    path = tmp_path / 'picture.png'
    robustness_picture(path, examples, captions)
    assert cv2.imread(str(path)).shape[1] == 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(examples=Examples()), 'no image'),
        (dict(channel_order='hsv'), 'hsv'),
        (dict(captions={'clean': []}), "'clean' has 0"),
    ],
)
def test_bad_arguments(change, message, examples, captions):
    with pytest.raises(ValueError, match=message):
        draw_picture(**{'examples': examples, 'captions': captions, **change})
