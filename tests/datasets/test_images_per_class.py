import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.datasets import HandwrittenDigits

DIGITS = dict(type='HandwrittenDigits')


def build(**settings):
    return DATASETS.build(dict(type='ImagesPerClass', **settings))


def images(dataset):
    return {dataset[index]['img'].tobytes() for index in range(len(dataset))}


def labels(dataset):
    return [dataset[index]['gt_label'] for index in range(len(dataset))]


def test_the_same_number_of_each_class():
    dataset = build(dataset=DIGITS, number=7)
    assert type(dataset) is HandwrittenDigits and dataset.metainfo['classes'] == tuple('0123456789')
    assert np.bincount(labels(dataset)).tolist() == [7] * 10
    assert images(dataset) < images(DATASETS.build(DIGITS))
    assert len(images(dataset)) == 70
    # In the data set's own order, not class by class.
    assert labels(dataset) != sorted(labels(dataset))


def test_the_seed_chooses():
    first, again, other = (images(build(dataset=DIGITS, number=5, seed=seed)) for seed in (1, 1, 2))
    assert first == again and len(first & other) < 10


def test_skipped_images_are_those_of_another_subset():
    five, next_five, ten = (
        images(build(dataset=DIGITS, number=number, skip=skip)) for number, skip in ((5, 0), (5, 5), (10, 0))
    )
    assert not five & next_five and five | next_five == ten


def test_a_subset_chosen_by_the_data_set_comes_first():
    allowed = DATASETS.build(dict(DIGITS, indices=200))
    assert images(build(dataset=dict(DIGITS, indices=200), number=3)) < images(allowed)


class Labels(BaseDataset):
    def __init__(self, labels):
        self.given = labels
        super().__init__()

    def load_data_list(self):
        return [dict(gt_label=label) if label is not None else {} for label in self.given]


@pytest.fixture(autouse=True)
def _register():
    DATASETS.register_module(name='LabelsOnly', module=Labels, force=True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            dict(dataset=DIGITS, number=1000),
            'images of class 0, fewer than 1000; 9 other classes have too few as well',
        ),
        (dict(dataset=DIGITS, number=5, skip=1000), 'fewer than 1005'),
        (
            dict(dataset=dict(type='LabelsOnly', labels=[0, 0, 1]), number=2),
            'Labels has 1 images of class 1',
        ),
        (dict(dataset=dict(type='LabelsOnly', labels=[0, None]), number=1), 'does not have one gt_label per image'),
        (dict(dataset=dict(type='LabelsOnly', labels=[0, [0, 1]]), number=1), 'does not have one gt_label per image'),
        (dict(dataset=DIGITS, number=0), 'number must be an integer >= 1, got 0'),
        (dict(dataset=DIGITS, number=3, skip=-1), 'skip must be an integer >= 0, got -1'),
        (
            dict(dataset=dict(type='RepeatDataset', times=2, dataset=DIGITS), number=3),
            'plain data set, not RepeatDataset',
        ),
    ],
)
def test_mistakes(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
