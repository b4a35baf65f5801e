"""Draw patches from clean training images for QuiltingPurifier.

A config uses the file with ``data_preprocessor=dict(type='QuiltingPurifier', patches=OUT)``.
"""

from __future__ import annotations

import argparse
import math
from typing import Iterator, Optional

import numpy as np
from _common import UsageError, add_common_arguments, load_config, run
from mmengine.config import Config, ConfigDict
from torch.utils.data import ConcatDataset

from mmadvdefense.purifiers import PatchDatabase, channel_order_of
from mmadvdefense.registry import DATASETS
from mmadvdefense.training.preparation import prepare_for_testing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='any config with this training set; images are loaded by its test pipeline')
    parser.add_argument('out', help='file to write')
    parser.add_argument('--count', type=int, default=100_000, help='minimum number of patches (default: 100,000)')
    parser.add_argument('--images', type=int, default=10_000, help='maximum number of images (default: 10,000)')
    parser.add_argument('--patch-size', type=int, default=5, help='side length of a patch in pixels (default: 5)')
    parser.add_argument(
        '--channel-order', choices=['bgr', 'rgb'], help='how images are loaded, if the config does not say'
    )
    parser.add_argument('--seed', type=int, default=0, help='which patches are drawn (default: 0)')
    add_common_arguments(parser)
    arguments = parser.parse_args()
    for name in ('count', 'images', 'patch_size'):
        if getattr(arguments, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {getattr(arguments, name)}')
    return arguments


def channel_order(config: Config) -> Optional[str]:
    for holder in (config.model, config):
        preprocessor = holder.get('data_preprocessor') or {}
        order = preprocessor.get('channel_order') or channel_order_of(preprocessor)
        if order:
            return order
    return None


def training_images(config: Config) -> ConcatDataset:
    """The training set without its augmentation."""
    pipeline = next(parts(config.test_dataloader.dataset)).pipeline
    return ConcatDataset(
        [DATASETS.build({**part, 'pipeline': pipeline}) for part in parts(config.train_dataloader.dataset)]
    )


def parts(dataset: ConfigDict) -> Iterator[ConfigDict]:
    """The configs of the data sets inside wrappers."""
    held = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets', [])
    if not held:
        yield dataset
    for part in held:
        yield from parts(part)


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    prepare_for_testing(config)
    order = arguments.channel_order or channel_order(config)
    if order is None:
        raise UsageError(f'{arguments.config} does not say how images are loaded; use --channel-order bgr or rgb')
    dataset = training_images(config)
    number = min(arguments.images, len(dataset))
    images = ([dataset[int(index)]['inputs']] for index in np.linspace(0, len(dataset) - 1, number))
    per_image = math.ceil(arguments.count / number)
    database = PatchDatabase.draw(images, order, per_image, arguments.patch_size, arguments.seed)
    database.save(arguments.out)
    print(f'{len(database.patches):,} patches of {number:,} images written to {arguments.out}')


if __name__ == '__main__':
    run(main)
