"""Test images that the undefended target classifies correctly, a few per class (OAG, TIP 2021, section IV)."""

from __future__ import annotations

import copy
import json
import logging
from contextlib import AbstractContextManager, nullcontext
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
from ...errors import UsageError
from ...saving import locked
from ...version import __version__
from ..results import CLEAN, Condition
from ..robustness import score
from .config import GridConfig
from .defenses import build_defense, data_settings, model_settings
from .image_selection import choose_indices, compose_indices, inspect_images
from .versions import upgrade_answers


def choose_images(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    folder: Optional[Union[str, Path]] = None,
    launcher: str = 'none',
) -> tuple[list[int], Optional[dict[str, Any]]]:
    """Indices of a grid's test images, and a description of their selection for the report.

    First, ``correct_only`` keeps the images that the undefended target classifies correctly. Then ``images_per_class``
    are chosen from each class, and ``num_images`` from the rest, each time spread evenly over the data set.

    Args:
        config: of the grid.
        base: the config of the target, with its test data.
        dataset: the data set of that config.
        folder: the grid's work directory, where the target's results are cached for resumed runs.
        launcher: MMEngine's name of the launcher.

    Raises:
        UsageError: for invalid numbers, for images without exactly one label, or if no image is left.
    """
    if not (config.correct_only or config.images_per_class):
        return choose_indices(len(dataset), config.num_images, config.indices), None
    chosen = choose_indices(len(dataset), None, config.indices)
    # Fails early, before the target is tested on thousands of images.
    labels = [_label(dataset, index) for index in chosen] if config.images_per_class else None
    facts: dict[str, Any] = {'candidates': len(chosen)}
    if config.correct_only:
        correct = _correct(config, base, dataset, chosen, folder, launcher)
        facts['correct'] = int(np.sum(correct))
        labels = labels and [label for label, keep in zip(labels, correct) if keep]
        chosen = [index for index, keep in zip(chosen, correct) if keep]
        if not chosen:
            raise UsageError(
                f'the undefended target classifies none of {len(correct)} images correctly, but correct_only is set'
            )
    if labels is not None and config.images_per_class is not None:
        chosen = _of_each_class(chosen, labels, config.images_per_class)
        facts['images_per_class'] = config.images_per_class
        facts['classes'] = len(set(labels))
        short = sum(count < config.images_per_class for count in np.unique(labels, return_counts=True)[1])
        facts['classes_with_fewer'] = int(short)
    if config.num_images is not None:
        if config.num_images > len(chosen):
            raise UsageError(f'num_images={config.num_images}, but only {len(chosen)} images are left: {facts}')
        chosen = [chosen[position] for position in choose_indices(len(chosen), config.num_images, None)]
    return chosen, facts


def _label(dataset: BaseDataset, index: int) -> int:
    label = dataset.get_data_info(index).get('gt_label')
    if not isinstance(label, (int, np.integer)):
        raise UsageError(
            'images_per_class is for image classification; an image of '
            f'{type(dataset).__name__} does not have exactly one gt_label'
        )
    return int(label)


def _of_each_class(chosen: Sequence[int], labels: Sequence[int], number: int) -> list[int]:
    """Choose ``number`` images per class, or all if there are fewer, in the order of ``chosen``."""
    kept = []
    for label in dict.fromkeys(labels):
        own = [index for index, other in zip(chosen, labels) if other == label]
        kept += [own[position] for position in choose_indices(len(own), min(number, len(own)), None)]
    order = {index: position for position, index in enumerate(chosen)}
    return sorted(kept, key=order.__getitem__)


def _correct(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    chosen: Sequence[int],
    folder: Optional[Union[str, Path]],
    launcher: str,
) -> list[bool]:
    """Whether the undefended target classifies each image correctly; the same list on all processes."""
    key = value_digest(
        __version__,
        model_settings(base),
        plain_settings(config.target['checkpoint']),
        data_settings(base),
        inspect_images(dataset, chosen),
        config.seed,
    )
    path = None if folder is None else Path(folder) / 'correct_images.json'
    # Another run of the same grid may be testing the same target.
    alone: AbstractContextManager[None] = nullcontext()
    if folder is not None and is_main_process():
        alone = locked(folder, 'correct_images')
    with alone:
        # Only one process reads the file, so that all of them take the same branch.
        known = [_stored(path, key) if is_main_process() else None]
        broadcast_object_list(known)
        if known[0] is None:
            print_log(f'testing the undefended target on {len(chosen)} images', 'current', logging.INFO)
            known = [_test(config, base, dataset, chosen, folder, launcher)]
            broadcast_object_list(known)
            if path is not None and is_main_process():
                write_json(path, {'key': key, 'correct': known[0]})
    (correct,) = known
    assert correct is not None, 'the first process has tested the target'
    return correct


def _stored(path: Optional[Path], key: str) -> Optional[list[bool]]:
    if path is None or not path.exists():
        return None
    stored = upgrade_answers(json.loads(path.read_text()))
    return stored['correct'] if stored['key'] == key else None


def _test(
    config: GridConfig,
    base: Config,
    dataset: BaseDataset,
    chosen: Sequence[int],
    folder: Optional[Union[str, Path]],
    launcher: str,
) -> Optional[list[bool]]:
    """Test the target on clean images; returns None on all processes but the first."""
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
