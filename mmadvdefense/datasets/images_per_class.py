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
    """A data set of image classification cut down to as many images of each class.

    Args:
        dataset: config of the data set; what is built is the data set itself, without a wrapper.
        number: how many images of each class.
        seed: which of them. It is not the training's, so that runs with other seeds train on the same images.
        skip: how many others of each class to leave out first: with the ``number`` and ``seed`` of another cut, the two
            have no image in common.

    Raises:
        ValueError: for a data set that has not one label an image, or a class with too few images.
    """
    check_integer('ImagesPerClass', number=number)
    check_integer('ImagesPerClass', at_least=0, skip=skip)
    built = DATASETS.build(dict(dataset))
    name = type(built).__name__
    if not isinstance(built, BaseDataset):
        raise UsageError(f'ImagesPerClass takes a plain data set, not {name}; put it inside, around what {name} wraps')
    built.full_init()
    labels = [built.get_data_info(index).get('gt_label') for index in range(len(built))]
    if not all(isinstance(label, (int, np.integer)) for label in labels):
        raise UsageError(f'ImagesPerClass is for image classification; {name} has not one gt_label an image')
    labels = np.array(labels, dtype=np.int64)
    classes = built.metainfo.get('classes')
    _check_counts(np.bincount(labels, minlength=len(classes or ())), skip + number, name, classes)
    built.get_subset_(_choose(labels, number, skip, seed))
    return built


def _check_counts(counts: np.ndarray, wanted: int, name: str, classes: Sequence[str] | None) -> None:
    short = np.flatnonzero(counts < wanted)
    if len(short):
        label = short[0]
        title = classes[label] if classes else label
        others = f', as have {len(short) - 1} other classes' if len(short) > 1 else ''
        raise UsageError(
            f'{name} has {counts[label]} images of class {title}, fewer than the {wanted} asked for{others}'
        )


def _choose(labels: np.ndarray, number: int, skip: int, seed: int) -> list[int]:
    """Positions in the order of the data set."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    grouped = shuffled[np.argsort(labels[shuffled], kind='stable')]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts + skip
    return sorted(grouped[(starts[:, None] + np.arange(number)).ravel()].tolist())
