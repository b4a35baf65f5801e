"""Train a purifier in front of a frozen model, or, with a config that has no purifier, the model itself."""

from __future__ import annotations

import argparse
import os
import shutil

from _common import UsageError, add_common_arguments, load_config, run
from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.runner import find_latest_checkpoint

import mmadvdefense.datasets  # noqa: F401  registers ImagesPerClass
from mmadvdefense.hosts import HOSTS
from mmadvdefense.registry import DATASETS, builds
from mmadvdefense.saving import save_file_atomically
from mmadvdefense.training.ablations import ABLATION
from mmadvdefense.training.mixed_precision import use_mixed_precision
from mmadvdefense.training.model_recipes import RECIPE
from mmadvdefense.training.preparation import prepare_for_training
from mmadvdefense.training.runner import build_runner


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a config of this project, or any OpenMMLab config, with a purifier or without')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from the latest checkpoint of the work directory, or from the given one',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision: float16 on a GPU, bfloat16 on a CPU'
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument(
        '--images-per-class', type=int, metavar='N', help='train on N images of each class (classification)'
    )
    parser.add_argument(
        '--ablation',
        metavar='NAME',
        help='change the objective as an ablation of Align does, such as no_class (docs/baselines.md lists them)',
    )
    parser.add_argument(
        '--recipe',
        nargs='+',
        metavar='NAME',
        help='adversarial training of the model itself: trades, or sat finetune, ... (docs/baselines.md lists them)',
    )
    parser.add_argument('--out', metavar='CHECKPOINT', help='copy the last checkpoint there when training has ended')
    parser.add_argument('--images-seed', type=int, default=0, help='which images --images-per-class takes (default: 0)')
    return parser.parse_args()


def apply_arguments(config: Config, arguments: argparse.Namespace) -> None:
    if arguments.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if arguments.amp:
        use_mixed_precision(config)
    if arguments.images_per_class is not None:
        take_images_per_class(config, arguments.images_per_class, arguments.images_seed)
    if arguments.auto_scale_lr:
        if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
            raise UsageError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config')
        config.auto_scale_lr.enable = True


def take_images_per_class(config: Config, number: int, seed: int) -> None:
    host = HOSTS.get(config.get('default_scope'))
    if host is None or host.dense:
        raise UsageError(
            f'--images-per-class is for image classification, not for {config.get("default_scope")} configs'
        )
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    if dataset is None:
        raise UsageError('--images-per-class needs a train_dataloader with a dataset in the config')
    plain = dataset.dataset if builds(dataset, 'ImagesPerClass', DATASETS) else dataset
    config.train_dataloader.dataset = ConfigDict(type='ImagesPerClass', dataset=plain, number=number, seed=seed)


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    named = [*(arguments.recipe or ()), *filter(None, [arguments.ablation])]
    if arguments.recipe:
        config[RECIPE] = arguments.recipe
    if arguments.ablation:
        config[ABLATION] = arguments.ablation
    if named and not arguments.work_dir:
        # What is made of one config, each in a folder of its own.
        config.work_dir = '_'.join([config.work_dir, *named])
    prepare_for_training(
        config, arguments.cfg_options, arguments.launcher, arguments.resume, arguments.trust_checkpoint
    )
    apply_arguments(config, arguments)
    if arguments.out and (config.get('default_hooks') or {}).get('checkpoint', {}) is None:
        raise UsageError('--out copies the last checkpoint, and this config writes none: set default_hooks.checkpoint')
    build_runner(config).train()
    if arguments.out and is_main_process():
        copy_last_checkpoint(config.work_dir, arguments.out)


def copy_last_checkpoint(folder: str, path: str) -> None:
    last = find_latest_checkpoint(folder)
    with open(last, 'rb') as file:
        save_file_atomically(path, lambda out: shutil.copyfileobj(file, out), size=os.path.getsize(last))
    print(f'{path}: a copy of {last}')


if __name__ == '__main__':
    run(main)
