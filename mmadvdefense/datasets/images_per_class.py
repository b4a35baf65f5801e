"""A few images of each class of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.dataset import BaseDataset

from ..errors import UsageError
from ..registry import DATASETS
from ..validation import check_integer


@DATASETS.register_module(name='ImagesPerClass')
def take_images_per_class(dataset: dict, number: int, seed: int = 0, skip: int = 0) -> BaseDataset:
    """An image classification data set reduced to the same number of images of each class.

    Args:
        dataset: config of the data set. The data set itself is returned, not a wrapper.
        number: how many images of each class to keep.
        seed: of the choice. It is separate from the seed of training, so that runs with other seeds train on the same
            images.
        skip: how many images of each class to leave out first. With the ``number`` and ``seed`` of another subset, the
            two have no image in common.

    Returns:
        The data set, with the chosen images in their original order.

    Raises:
        UsageError: if images do not have exactly one label each, or a class has too few of them.
    """
    check_integer('ImagesPerClass', number=number)
    check_integer('ImagesPerClass', at_least=0, skip=skip)
    built = DATASETS.build(dict(dataset))
    name = type(built).__name__
    if not isinstance(built, BaseDataset):
        raise UsageError(
            f'ImagesPerClass takes a plain data set, not {name}; put it inside {name}, around what that wraps'
        )
    built.full_init()
    found = [built.get_data_info(index).get('gt_label') for index in range(len(built))]
    if not all(isinstance(label, (int, np.integer)) for label in found):
        raise UsageError(f'ImagesPerClass is for image classification, but {name} does not have one gt_label per image')
    labels = np.array(found, dtype=np.int64)
    classes = built.metainfo.get('classes')
    _check_counts(np.bincount(labels, minlength=len(classes or ())), skip + number, name, classes)
    built.get_subset_(_choose(labels, number, skip, seed))
    return built


def _check_counts(counts: np.ndarray, wanted: int, name: str, classes: Sequence[str] | None) -> None:
    short = np.flatnonzero(counts < wanted)
    if len(short):
        label = short[0]
        title = classes[label] if classes else label
        others = f'; {len(short) - 1} other classes have too few as well' if len(short) > 1 else ''
        raise UsageError(f'{name} has {counts[label]} images of class {title}, fewer than {wanted}{others}')


def _choose(labels: np.ndarray, number: int, skip: int, seed: int) -> list[int]:
    """Positions in the data set, ascending."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    grouped = shuffled[np.argsort(labels[shuffled], kind='stable')]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts + skip
    return sorted(grouped[(starts[:, None] + np.arange(number)).ravel()].tolist())
