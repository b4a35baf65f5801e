"""Train a purifier in front of a frozen model, or, with a config that has no purifier, the model itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional

from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

import mmadvdefense.datasets  # noqa: F401  registers ImagesPerClass
from mmadvdefense.hosts import HOSTS
from mmadvdefense.optim import use_mixed_precision
from mmadvdefense.registry import DATASETS, HOOKS, builds
from mmadvdefense.training import recipes


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a config of configs/defense, or any OpenMMLab config with a purifier')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from the latest checkpoint of the work directory, or from the given one',
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision: float16 on a GPU, bfloat16 on a CPU'
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument(
        '--images-per-class', type=int, metavar='N', help='train on N images of each class (classification)'
    )
    parser.add_argument('--images-seed', type=int, default=0, help='which images --images-per-class takes')
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
    from_latest = config.get('resume') and not config.get('load_from') and not arguments.resume
    if arguments.resume == 'auto' or from_latest:
        # Before the first checkpoint there is nothing to go on from: begin as without --resume.
        latest = latest_checkpoint(Path(config.work_dir))
        config.resume = latest is not None
        if config.resume:
            config.load_from = str(latest)
    elif arguments.resume:
        config.resume = True
        config.load_from = arguments.resume


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


def latest_checkpoint(work_dir: Path) -> Optional[Path]:
    """The checkpoint that MMEngine noted last, or the newest one there is.

    The note is empty if the process was killed or the disk was full when it was written, and wrong if the folder moved.
    """
    note = work_dir / 'last_checkpoint'
    noted = Path(note.read_text().strip()) if note.exists() else Path()
    if noted.is_file():
        return noted
    checkpoints = [*work_dir.glob('epoch_*.pth'), *work_dir.glob('iter_*.pth')]
    # Written within one tick of the clock, the higher number is the later one.
    return max(checkpoints, key=lambda path: (path.stat().st_mtime, int(path.stem.rpartition('_')[2])), default=None)


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    recipes.complete_training(config)
    if arguments.cfg_options:
        # Once more: what was given on the command line beats the recipe too.
        config.merge_from_dict(arguments.cfg_options)
        recipes.prepare_purifier(config)
    apply_arguments(config, arguments)
    if config.get('load_from'):
        require_checkpoint(config.load_from, 'load_from checkpoint', arguments.trust_checkpoint)
    if config.get('load_from') or config.get('resume'):
        recipes.drop_pretrained_backbones(config.model)
    recipes.prepare_seed(config)
    recipes.prepare_distributed(config, arguments.launcher)
    build_runner(config).train()


def build_runner(config: Config) -> Runner:
    """A runner whose checkpoints nothing can spoil and that stops at the first loss that is not finite."""
    recipes.prepare_checkpoints(config)
    hooks = list(config.get('custom_hooks') or [])
    if not any(builds(hook, 'FiniteLossGuardHook', HOOKS) for hook in hooks):
        hooks.append(dict(type='FiniteLossGuardHook'))
    config.custom_hooks = hooks
    return Runner.from_cfg(config)


if __name__ == '__main__':
    run(main)
