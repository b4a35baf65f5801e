"""Boxes and masks on their pixels, whatever the stock transforms of a test pipeline do to the image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.structures import InstanceData, PixelData

from mmadvdefense.tasks import DetectionTask, SegmentationTask, annotations_in_input_frame, check_frame

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

# Height and width of the file; a box of white pixels in a black image.
SIZE = (21, 40)
BOX = [10, 4, 30, 16]
KEYS = ('img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction', 'border', 'homography_matrix')

RESIZE = dict(type='Resize', scale=(80, 42), keep_ratio=True)
SQUEEZE = dict(type='Resize', scale=(120, 42), keep_ratio=False)
BORDER = dict(
    type='RandomCenterCropPad', ratios=None, border=None, mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True, test_mode=True,
    test_pad_mode=['logical_or', 31], test_pad_add_pix=1,
)  # fmt: skip
PAD = dict(type='Pad', size=(130, 128))


def flip(direction: str) -> dict:
    return dict(type='RandomFlip', prob=1.0, direction=direction)


# What stands between the loading of the image and that of its annotations.
MOVES = {
    'nothing': [],
    'resized': [RESIZE],
    'squeezed': [SQUEEZE],
    'border': [BORDER],
    'resized, border': [RESIZE, BORDER],
    'border, resized': [BORDER, dict(type='Resize', scale=(128, 64), keep_ratio=False)],
    'padded': [SQUEEZE, PAD],
    'fixed shape': [dict(type='FixShapeResize', width=80, height=80, keep_ratio=True)],
    'flipped': [flip('horizontal')],
    'flipped, resized': [flip('diagonal'), SQUEEZE],
    'resized, flipped': [SQUEEZE, flip('vertical')],
    'flipped, padded': [SQUEEZE, flip('diagonal'), PAD],
    'padded, flipped': [SQUEEZE, PAD, flip('diagonal')],
    'border, flipped': [BORDER, flip('horizontal')],
    'flipped, border': [flip('diagonal'), BORDER],
    'resized, border, flipped': [RESIZE, BORDER, flip('diagonal')],
    'translated': [dict(type='TranslateX', prob=1.0, level=10, max_mag=0.25)],
    'turned': [dict(type='Rotate', prob=1.0, level=10, min_mag=15.0, max_mag=15.0)],
    'squeezed, translated': [SQUEEZE, dict(type='TranslateY', prob=1.0, level=10, min_mag=0.1, max_mag=0.125)],
}


@pytest.fixture
def load(tmp_path):
    """Run a pipeline on the image; returns its pixels, its sample, and a data set with that pipeline."""
    import cv2

    image = np.zeros((*SIZE, 3), np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, image)
    square = [float(value) for value in (10, 4, 30, 4, 30, 16, 10, 16)]
    box = dict(bbox=list(map(float, BOX)), bbox_label=1, mask=[square], ignore_flag=0)

    def run(moves, masks='pixels', keys=KEYS, after=()):
        steps = [
            dict(type='LoadImageFromFile', to_float32=True),
            *moves,
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=masks == 'pixels'),
            *after,
            dict(type='PackDetInputs', meta_keys=keys),
        ]
        with DefaultScope.overwrite_default_scope('mmdet'):
            import mmdet.datasets.transforms  # noqa: F401

            np.random.seed(0)
            transforms = [TRANSFORMS.build(dict(step)) for step in steps]
            results = dict(img_path=path, img_id=0, height=SIZE[0], width=SIZE[1], instances=[dict(box)])
            for transform in transforms:
                results = transform(results)
        dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))
        return results['inputs'], results['data_samples'], dataset

    return run


def white(pixels: torch.Tensor) -> torch.Tensor:
    """The box around the white pixels of an image."""
    rows, columns = (pixels[0] > 150).nonzero(as_tuple=True)
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


@pytest.mark.parametrize('masks', ['pixels', 'polygons'])
@pytest.mark.parametrize('how', MOVES)
def test_boxes_and_masks_lie_on_their_pixels(how, masks, load):
    pixels, sample, dataset = load(MOVES[how], masks)
    check_frame(dataset)
    in_input = annotations_in_input_frame(dataset)
    assert in_input == (how == 'nothing')
    (moved,) = DetectionTask(SimpleNamespace()).in_input_frame([sample], in_input)
    # Interpolation blurs an edge by up to a pixel, and corners more.
    tolerance = 2 if how == 'turned' else 1
    assert (moved.gt_instances.bboxes.tensor[0] - white(pixels)).abs().max() <= tolerance
    mask = torch.from_numpy(moved.gt_instances.masks.to_ndarray()[0])
    assert mask.shape == pixels.shape[1:]
    assert (white(255 * mask[None]) - white(pixels)).abs().max() <= tolerance
    assert (mask.bool() != (pixels[0] > 150)).float().mean() < 0.08
    assert sample.gt_instances.bboxes.tensor.tolist() == [BOX], 'what was given is as it was'


@pytest.mark.parametrize('how', [name for name in MOVES if 'translated' not in name and name != 'turned'])
def test_masks_of_segmentors_lie_on_their_pixels(how, load):
    from mmseg.structures import SegDataSample

    pixels, detected, dataset = load(MOVES[how])
    sample = SegDataSample(metainfo=detected.metainfo)
    truth = torch.zeros(1, *SIZE, dtype=torch.int64)
    truth[:, BOX[1] : BOX[3], BOX[0] : BOX[2]] = 1
    sample.gt_sem_seg = PixelData(data=truth)
    head = SimpleNamespace(num_classes=2, ignore_index=255)
    task = SegmentationTask(SimpleNamespace(decode_head=head, get_submodule=lambda name: head))
    (moved,) = task.in_input_frame([sample], annotations_in_input_frame(dataset))
    mask = moved.gt_sem_seg.data
    assert mask.shape == (1, *pixels.shape[1:])
    assert (white(255 * (mask == 1)) - white(pixels)).abs().max() <= 1
    # What the pipeline has added belongs to no class.
    if 'border' in how or 'padded' in how:
        assert (mask == 255).sum() == mask.numel() - (mask < 2).sum() > 0
    else:
        assert (mask != 255).all() or how == 'fixed shape'


def test_letterbox_by_its_meta(load):
    """As MMYOLO's ``LetterResize`` notes it: the padding above, below, left and right."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes

    meta = dict(img_shape=(64, 64), ori_shape=(20, 40), scale_factor=(1.5, 1.5), pad_param=np.float32([17, 17, 2, 2]))
    sample = DetDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(bboxes=HorizontalBoxes([[10.0, 4.0, 30.0, 16.0]]), labels=torch.tensor([0]))
    sample.ignored_instances = sample.gt_instances[:0]
    task = DetectionTask(SimpleNamespace())
    (moved,) = task.in_input_frame([sample], False)
    assert moved.gt_instances.bboxes.tensor.tolist() == [[17, 23, 47, 41]]
    # The way back, to where the host's predictions are.
    moved.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 4.0, 30.0, 16.0]]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
    )
    assert task.score_samples([moved], True).score.tolist() == [1.0]


def without(key: str) -> dict:
    return dict(keys=[other for other in KEYS if other != key])


REFUSED = {
    'no border': ([BORDER], without('border'), "RandomCenterCropPad.*add 'border' to meta_keys"),
    'no scale': ([RESIZE], without('scale_factor'), "Resize.*add 'scale_factor' to meta_keys"),
    'no order': (
        [RESIZE, BORDER, flip('horizontal')],
        without('homography_matrix'),
        "add 'homography_matrix' to meta_keys",
    ),
    'random shift': ([dict(type='RandomShift', prob=1.0)], {}, 'RandomShift moves the image .* not tell where to'),
    'both': ([RESIZE], dict(after=[flip('horizontal')]), 'by Resize without its .* and by RandomFlip with them'),
    'border after': ([], dict(after=[RESIZE, BORDER]), 'by RandomCenterCropPad without .* and by Resize with them'),
}


@pytest.mark.parametrize('how', REFUSED)
def test_what_cannot_be_followed_is_refused(how, load):
    moves, settings, message = REFUSED[how]
    with pytest.raises(ValueError, match=message):
        check_frame(_pipeline(moves, **settings))


def _pipeline(moves, keys=KEYS, after=()):
    """A data set that is never run."""
    steps = [*moves, dict(type='LoadAnnotations'), *after, dict(type='PackDetInputs', meta_keys=keys)]
    return dict(pipeline=[dict(type='LoadImageFromFile'), *steps])


def test_a_border_moves_the_image_alone_wherever_it_stands(load):
    """In tests it leaves boxes that have been loaded before where they were."""
    pixels, sample, dataset = load([], after=[BORDER])
    assert sample.gt_instances.bboxes.tensor.tolist() == [BOX]
    check_frame(dataset)
    assert not annotations_in_input_frame(dataset)
    (moved,) = DetectionTask(SimpleNamespace()).in_input_frame([sample], False)
    assert torch.equal(moved.gt_instances.bboxes.tensor[0], white(pixels))


def test_a_crop_that_no_meta_tells_of_names_the_file(load):
    _, sample, _ = load([SQUEEZE])
    sample.set_metainfo(dict(img_shape=(42, 60), img_path='cropped.png'))
    with pytest.raises(
        ValueError, match=r'cropped\.png would have 42 x 120 pixels in an input of 42 x 60: it was cropped'
    ):
        DetectionTask(SimpleNamespace()).in_input_frame([sample], False)
    _, sample, _ = load([SQUEEZE, flip('horizontal'), PAD])
    sample.set_metainfo(dict(img_path='flipped.png', homography_matrix=None))
    with pytest.raises(ValueError, match=r"flipped\.png is flipped and padded.*'homography_matrix'"):
        DetectionTask(SimpleNamespace()).in_input_frame([sample], False)


def test_flips_that_never_happen_do_not_count():
    never = dict(type='RandomFlip', prob=0.0)
    check_frame(_pipeline([never]))
    assert annotations_in_input_frame(_pipeline([never]))


def test_stock_pipelines_are_followed():
    """Of MMDetection's own test pipelines, all but those for which this test knows none."""
    from mmengine.config import Config
    from mmengine.hub import get_config

    for name in ('centernet/centernet_r18_8xb16-crop512-140e_coco.py', 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py'):
        config: Config = get_config(f'mmdet::{name}')
        check_frame(config.test_dataloader.dataset)
        assert not annotations_in_input_frame(config.test_dataloader.dataset)
