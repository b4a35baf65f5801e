import sys

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope, init_default_scope

from mmadvdefense.datasets import HandwrittenDigits

pytest.importorskip('sklearn')


@pytest.fixture(scope='module')
def splits():
    return {split: HandwrittenDigits(split=split) for split in ('train', 'test')}


def _images(dataset):
    return np.stack([dataset.get_data_info(i)['img'] for i in range(len(dataset))])


def _labels(dataset):
    return np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])


def test_counts_and_class_balance(splits):
    assert len(splits['train']) == 1297
    assert len(splits['test']) == 500
    assert np.bincount(_labels(splits['test'])).tolist() == [50] * 10
    # load_digits has 174 to 183 images per class.
    train = np.bincount(_labels(splits['train']), minlength=10)
    assert train.min() >= 124 and train.max() <= 133


def test_items(splits):
    item = splits['test'][3]
    assert set(item) == {'img', 'gt_label', 'sample_idx'}
    assert item['img'].shape == (32, 32, 3) and item['img'].dtype == np.uint8
    assert isinstance(item['gt_label'], int)
    assert item['sample_idx'] == 3
    assert splits['test'].metainfo['classes'] == tuple('0123456789')


def test_pixel_range(splits):
    images = _images(splits['test'])
    assert images.min() == 0 and images.max() == 255
    assert (images == images[..., :1]).all(), 'channels must be equal'
    # Enlarging keeps the mean brightness: 4.88 of 16 over the whole set.
    assert images.mean() == pytest.approx(4.88 * 255 / 16, abs=3)


def test_splits_partition_the_originals(splits):
    from sklearn.datasets import load_digits

    # The center of each 4x4 cell is enough to tell the originals apart.
    keys = [tuple(image[1::4, 1::4, 0].ravel()) for split in splits.values() for image in _images(split)]
    assert len(set(keys)) == len(np.unique(load_digits().images.reshape(1797, -1), axis=0)) == 1797


def test_split_is_fixed(splits):
    np.random.seed(1)
    assert (_images(HandwrittenDigits(split='test')) == _images(splits['test'])).all()
    # The first labels of the test split, recorded once.
    assert _labels(splits['test'])[:10].tolist() == [3, 7, 3, 6, 9, 2, 6, 0, 8, 7]


def test_mmpretrain_pipeline():
    pytest.importorskip('mmpretrain')
    # mmpretrain.registry finds its transforms only from its own scope.
    before = DefaultScope.get_current_instance()
    init_default_scope('mmpretrain')
    try:
        dataset = DATASETS.build(
            dict(type='HandwrittenDigits', split='test', pipeline=[dict(type='PackInputs')], indices=8)
        )
    finally:
        if before is not None:
            init_default_scope(before.scope_name)
    assert len(dataset) == 8
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 32, 32)
    assert sample['data_samples'].gt_label.item() == dataset.get_data_info(0)['gt_label']


def test_unknown_split():
    with pytest.raises(ValueError, match="train, test, got 'val'"):
        HandwrittenDigits(split='val')


def test_missing_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(ImportError, match=r'\(import of sklearn.datasets halted.*\): pip install scikit-learn'):
        HandwrittenDigits()
