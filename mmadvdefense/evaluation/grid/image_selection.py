"""Which images of a data set a grid is tested on, and whether they are all there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ...digests import value_digest
from ...errors import UsageError
from ...registry import DATASETS
from ...training.preparation import enter_scope

# Where data sets of MMPretrain, MMDetection and MMSegmentation keep the names of an image's files.
_FILES = ('img_path', 'seg_map_path')


def open_test_set(config: Config) -> BaseDataset:
    """The data set of a config's test, with all its entries read.

    Raises:
        FileNotFoundError: if its folder or list is missing, from the data set itself.
    """
    enter_scope(config)
    dataset = DATASETS.build(copy.deepcopy(config.test_dataloader.dataset))
    dataset.full_init()
    return dataset


def choose_indices(size: int, num_images: Optional[int], indices: Optional[Sequence[int]]) -> list[int]:
    """Positions of the images to test on.

    Args:
        size: of the data set.
        num_images: this many, spread evenly over the data set, which may list class after class; None for all.
        indices: these ones.

    Raises:
        ValueError: for both, or for positions that the data set does not have or that are named twice.
    """
    if indices is not None:
        if num_images is not None:
            raise UsageError('num_images and indices both say which images to test on; leave one out')
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
    """Positions in the whole of a data set, of which its config may name a part.

    Args:
        existing: ``indices`` in the config: a list, how many from the first, or None.
        chosen: positions in that part.
        dataset: for messages.

    Raises:
        ValueError: for a data set that takes no indices, or takes them from its end.
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
    """Look for every file, and sum up names, sizes and ground truth in a digest; no image is read.

    Raises:
        FileNotFoundError: that names the first file that is missing.
    """
    entries: list[Any] = []
    for index in indices:
        info = {key: value for key, value in dataset.get_data_info(index).items() if key != 'sample_idx'}
        sizes = [_file_size(info[key], index, dataset) for key in _FILES if isinstance(info.get(key), str)]
        entries.append([info, sizes])
    return value_digest(*entries)


def _file_size(path: str, index: int, dataset: BaseDataset) -> Optional[int]:
    if '://' in path:
        return None  # a storage that MMEngine reads
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path} is missing: image {index} of {type(dataset).__name__}')
    return Path(path).stat().st_size
