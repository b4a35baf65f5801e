"""Pictures show the images they are given, and examples are what the attack and the purifier make."""

import cv2
import pytest
import torch

from mmadvdefense.evaluation.pictures import Caption, Examples, draw_picture, robustness_picture


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
