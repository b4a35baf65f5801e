"""Images of a config's data set, as a test would see them, for tools that fit something to them."""

from __future__ import annotations

import copy

from _common import UsageError
from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmadvdefense.evaluation.grid.image_selection import choose_indices
from mmadvdefense.registry import DATASETS, type_name


def load_images(config: Config, split: str, num_images: int, sampler: dict | None = None) -> tuple[DataLoader, int]:
    """Images of a split, spread evenly over it, and how many there are.

    Args:
        config: of the model; training images are loaded without augmentation, as those of validation.
        split: ``'train'``, ``'val'`` or ``'test'``.
        num_images: all of them if there are fewer.
        sampler: in place of the one in the config.
    """
    for name in {'train': ('train', 'val')}.get(split, (split,)):
        if not config.get(f'{name}_dataloader'):
            raise UsageError(f'the config has no {name}_dataloader, and --split {split} needs it')
    loader = copy.deepcopy(config.get(f'{"val" if split == "train" else split}_dataloader'))
    if split == 'train':
        dataset = config.train_dataloader.dataset
        if 'pipeline' not in dataset:
            raise UsageError(
                f'the training set is a {type_name(dataset.type)} around other data sets; use --split val or test'
            )
        loader.dataset = {**dataset, 'pipeline': loader.dataset.pipeline}
    dataset = DATASETS.build(loader.dataset)
    dataset.full_init()
    chosen = choose_indices(len(dataset), min(num_images, len(dataset)), None)
    loader.dataset = dataset.get_subset(chosen)
    if sampler is not None:
        loader.sampler = sampler
    return Runner.build_dataloader(loader), len(chosen)
