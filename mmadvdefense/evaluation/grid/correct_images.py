"""Grids on images that the undefended target gets right, a few of each class (OAG's protocol, TIP 2021, section IV)."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any, Optional, Sequence, Union

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner, set_random_seed

from ...checkpoints import write_json
from ...digests import plain_settings, value_digest
from ...version import __version__
from ..results import CLEAN, Condition
from ..robustness import score
from .config import GridConfig
from .defenses import build_defense, data_settings, model_settings
from .image_selection import choose_indices, compose_indices, inspect_images


def choose_images(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    folder: Optional[Union[str, Path]] = None,
    launcher: str = 'none',
) -> tuple[list[int], Optional[dict[str, Any]]]:
    """Positions of the images that a grid is tested on, and what the report says of how they were chosen.

    With ``correct_only`` first those are kept that the target gets right without a defense, then of each class
    ``images_per_class``, and of what is left ``num_images``, each spread evenly over the data set.

    Args:
        config: of the grid.
        base: the target's, with its test data.
        dataset: that, opened.
        folder: the grid's work directory, where the answers of the target are kept for a run that goes on.
        launcher: as MMEngine names it.

    Raises:
        ValueError: for bad numbers, data without one label an image, or where nothing is left.
    """
    if not (config.correct_only or config.images_per_class):
        return choose_indices(len(dataset), config.num_images, config.indices), None
    chosen = choose_indices(len(dataset), None, config.indices)
    # Before the target is asked about thousands of images.
    labels = [_label(dataset, index) for index in chosen] if config.images_per_class else None
    facts: dict[str, Any] = {'candidates': len(chosen)}
    if config.correct_only:
        right = _right(config, base, dataset, chosen, folder, launcher)
        facts['correct'] = int(np.sum(right))
        labels = labels and [label for label, keep in zip(labels, right) if keep]
        chosen = [index for index, keep in zip(chosen, right) if keep]
        if not chosen:
            raise ValueError(f'the undefended target gets none of {len(right)} images right, and correct_only is set')
    if labels is not None:
        chosen = _of_each_class(chosen, labels, config.images_per_class)
        facts['images_per_class'] = config.images_per_class
        facts['classes'] = len(set(labels))
        short = sum(count < config.images_per_class for count in np.unique(labels, return_counts=True)[1])
        facts['classes_with_fewer'] = int(short)
    if config.num_images is not None:
        if config.num_images > len(chosen):
            raise ValueError(f'num_images={config.num_images}, but only {len(chosen)} images are left: {facts}')
        chosen = [chosen[position] for position in choose_indices(len(chosen), config.num_images, None)]
    return chosen, facts


def _label(dataset: BaseDataset, index: int) -> int:
    label = dataset.get_data_info(index).get('gt_label')
    if not isinstance(label, (int, np.integer)):
        raise ValueError(
            f'images_per_class is for image classification; {type(dataset).__name__} has not one gt_label an image'
        )
    return int(label)


def _of_each_class(chosen: Sequence[int], labels: Sequence[int], number: int) -> list[int]:
    """In the order of ``chosen``; classes with fewer images give all of them."""
    kept = []
    for label in dict.fromkeys(labels):
        own = [index for index, other in zip(chosen, labels) if other == label]
        kept += [own[position] for position in choose_indices(len(own), min(number, len(own)), None)]
    order = {index: position for position, index in enumerate(chosen)}
    return sorted(kept, key=order.__getitem__)


def _right(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    chosen: Sequence[int],
    folder: Optional[Union[str, Path]],
    launcher: str,
) -> list[bool]:
    """Whether the undefended target is right on each image; the same answer on all processes."""
    key = value_digest(
        __version__,
        model_settings(base),
        plain_settings(config.target['checkpoint']),
        data_settings(base),
        inspect_images(dataset, chosen),
        config.seed,
    )
    path = None if folder is None else Path(folder) / 'correct_images.json'
    # One process looks, so that all take the same way.
    known = [_stored(path, key) if is_main_process() else None]
    broadcast_object_list(known)
    if known[0] is None:
        print_log(f'asking the undefended target about {len(chosen)} images', 'current', logging.INFO)
        known = [_ask(config, base, dataset, chosen, folder, launcher)]
        broadcast_object_list(known)
        if path is not None and is_main_process():
            write_json(path, {'key': key, 'correct': known[0]})
    return known[0]


def _stored(path: Optional[Path], key: str) -> Optional[list[bool]]:
    if path is None or not path.exists():
        return None
    stored = json.loads(path.read_text())
    return stored['correct'] if stored['key'] == key else None


def _ask(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    chosen: Sequence[int],
    folder: Optional[Union[str, Path]],
    launcher: str,
) -> Optional[list[bool]]:
    """One clean test of the target; None on all processes but the first."""
    part = copy.deepcopy(base)
    data = part.test_dataloader.dataset
    if len(chosen) < len(dataset) or config.indices is not None:
        data.indices = compose_indices(data.get('indices'), chosen, dataset)
    runner_config = build_defense(CLEAN, None, config.target, part, launcher).config
    runner_config.launcher = launcher
    runner_config.work_dir = str(Path(folder or '.') / 'logs' / 'correct_images')
    runner_config.experiment_name = 'grid-correct-images'
    runner_config.log_level = config.log_level
    runner_config.visualizer = None
    runner_config.randomness = dict(seed=config.seed)
    runner = Runner.from_cfg(runner_config)
    set_random_seed(config.seed)
    samples = score(runner, Condition(CLEAN), config.seed).samples
    return None if samples is None else samples['correct']
