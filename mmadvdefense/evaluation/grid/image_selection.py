"""Selection of a grid's test images, and checks that their files exist."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ...digests import stream_digest
from ...errors import UsageError
from ...registry import DATASETS
from ...training.preparation import enter_scope

# Keys of file names in data sets of MMPretrain, MMDetection and MMSegmentation.
_FILES = ('img_path', 'seg_map_path')


def open_test_set(config: Config) -> BaseDataset:
    """The test set of a config, fully initialized.

    Raises:
        FileNotFoundError: from the data set, if its folder or annotation file is missing.
    """
    enter_scope(config)
    dataset = DATASETS.build(copy.deepcopy(config.test_dataloader.dataset))
    dataset.full_init()
    return dataset


def choose_indices(size: int, num_images: Optional[int], indices: Optional[Sequence[int]]) -> list[int]:
    """Indices of the test images.

    Args:
        size: size of the data set.
        num_images: number of images, spread evenly over the data set, since it may be sorted by class; None for all.
        indices: explicit indices.

    Raises:
        ValueError: if both are given, or for indices that are out of range or repeated.
    """
    if indices is not None:
        if num_images is not None:
            raise UsageError('num_images and indices both select the test images; omit one')
        wrong = [index for index in indices if not 0 <= index < size]
        if wrong or not indices or len(set(indices)) != len(indices):
            what = f'{wrong[0]} is none' if wrong else 'each must be named once, and at least one'
            raise UsageError(f'indices are positions in a data set of {size} images: {what}')
        return [int(index) for index in indices]
    if num_images is None:
        return list(range(size))
    if not 1 <= num_images <= size:
        raise UsageError(f'num_images must be in 1-{size}, the size of the data set; got {num_images}')
    return [position * size // num_images for position in range(num_images)]


def compose_indices(existing: Any, chosen: Sequence[int], dataset: BaseDataset) -> list[int]:
    """Indices into the whole data set, of which the config may already select a part.

    Args:
        existing: ``indices`` in the config: a list, a number of leading images, or None.
        chosen: indices into that part.
        dataset: for messages.

    Raises:
        ValueError: for a data set that does not support indices, or that counts them from the end.
    """
    if not isinstance(dataset, BaseDataset):
        raise UsageError(
            f'{type(dataset).__name__} is made of other data sets, of which no part can be taken: leave out num_images '
            'and indices'
        )
    if isinstance(existing, int) and existing < 0:
        raise UsageError(f"indices={existing} in the target's data set counts from its end; name the images in a list")
    return [existing[index] for index in chosen] if isinstance(existing, (list, tuple)) else list(chosen)


def inspect_images(dataset: BaseDataset, indices: Sequence[int]) -> str:
    """Check that every file exists, and digest names, sizes and ground truth without reading images.

    Raises:
        FileNotFoundError: that names the first missing file.
    """
    return stream_digest(_entry(dataset, index) for index in indices)


def _entry(dataset: BaseDataset, index: int) -> list[Any]:
    info = {key: value for key, value in dataset.get_data_info(index).items() if key != 'sample_idx'}
    return [info, [_file_size(info[key], index, dataset) for key in _FILES if isinstance(info.get(key), str)]]


def _file_size(path: str, index: int, dataset: BaseDataset) -> Optional[int]:
    if '://' in path:
        return None  # a remote storage that MMEngine reads
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path} is missing: image {index} of {type(dataset).__name__}')
    return Path(path).stat().st_size
