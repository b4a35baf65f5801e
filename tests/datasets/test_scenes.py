"""Scenes are deterministic and consistent, and the hosts' own VOC data sets read them."""

import cv2
import numpy as np
import pytest

from mmadvdefense.datasets import compose_scenes, write_digit_scenes


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_digit_scenes(tmp_path_factory.mktemp('data') / 'digit_scenes', num_train=3, num_test=2)


def test_the_same_scenes_every_time():
    first, second = list(compose_scenes('train', 3)), list(compose_scenes('train', 2))
    for one, other in zip(first, second):
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ('image', 'mask', 'boxes'))
    assert not np.array_equal(first[0].image, first[1].image)
    (test,) = compose_scenes('test', 1)
    assert not np.array_equal(first[0].image, test.image)


def test_boxes_are_the_extent_of_the_masks():
    for scene in compose_scenes('test', 5):
        assert scene.image.shape == (128, 128, 3) and scene.image.dtype == np.uint8
        assert len(scene.boxes) == len(scene.labels) >= 1
        covered = np.zeros(scene.mask.shape, bool)
        for (left, top, right, bottom), label in zip(scene.boxes, scene.labels):
            inside = scene.mask[top : bottom + 1, left : right + 1]
            shape = inside == label + 1
            assert shape[0].any() and shape[-1].any() and shape[:, 0].any() and shape[:, -1].any()
            assert set(np.unique(inside)) <= {0, label + 1}
            covered[top : bottom + 1, left : right + 1] = True
        assert not scene.mask[~covered].any()


def test_read_by_mmdetection(root):
    pytest.importorskip('mmdet')
    from mmdet.datasets import VOCDataset

    dataset = VOCDataset(
        data_root=str(root),
        ann_file='VOC2012/ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root='VOC2012/'),
        metainfo=dict(classes=tuple(str(digit) for digit in range(10))),
        test_mode=True,
    )
    assert len(dataset) == 2
    for index, scene in enumerate(compose_scenes('test', 2)):
        instances = dataset.get_data_info(index)['instances']
        assert [instance['bbox_label'] for instance in instances] == scene.labels.tolist()
        assert [[int(x) for x in instance['bbox']] for instance in instances] == scene.boxes.tolist()


def test_read_by_mmsegmentation(root):
    pytest.importorskip('mmseg')
    from mmseg.datasets import PascalVOCDataset

    dataset = PascalVOCDataset(
        data_root=str(root / 'VOC2012'),
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/train.txt',
    )
    assert len(dataset) == 3
    (scene,) = compose_scenes('train', 1)
    info = dataset.get_data_info(0)
    assert np.array_equal(cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED), scene.mask)
    # JPEG at quality 95
    assert np.abs(cv2.imread(info['img_path']).astype(int) - scene.image).mean() < 6


def test_written_once_and_anew_when_asked_for_more(root):
    stamp = (root / 'complete.txt').stat().st_mtime_ns
    assert write_digit_scenes(root, 3, 2) == root
    assert (root / 'complete.txt').stat().st_mtime_ns == stamp
    other = write_digit_scenes(root.with_name('other'), 1, 1)
    write_digit_scenes(other, 2, 1)
    assert len(list((other / 'VOC2012' / 'JPEGImages').iterdir())) == 3
    assert not other.with_name('other.partial').exists()
