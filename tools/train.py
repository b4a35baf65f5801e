"""Train a purifier in front of a frozen model, or, with a config that has no purifier, the model itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from mmadvdefense import recipes


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
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    return parser.parse_args()


def apply_arguments(config: Config, arguments: argparse.Namespace) -> None:
    if arguments.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if arguments.amp:
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if arguments.auto_scale_lr:
        if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
            raise UsageError('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config')
        config.auto_scale_lr.enable = True
    if arguments.resume == 'auto':
        # Before the first checkpoint there is nothing to go on from: begin as without --resume.
        config.resume = (Path(config.work_dir) / 'last_checkpoint').exists()
        if config.resume:
            config.load_from = find_latest_checkpoint(config.work_dir)
    elif arguments.resume:
        config.resume = True
        config.load_from = arguments.resume


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    recipes.complete_training(config)
    apply_arguments(config, arguments)
    if config.get('load_from'):
        require_checkpoint(config.load_from, 'load_from checkpoint', arguments.trust_checkpoint)
    if config.get('load_from') or config.get('resume'):
        recipes.drop_pretrained_backbones(config.model)
    recipes.settle_checkpoints(config)
    recipes.settle_distributed(config, arguments.launcher)
    guards = [hook for hook in config.get('custom_hooks') or [] if hook.get('type') == 'FiniteLossGuardHook']
    config.custom_hooks = [*(config.get('custom_hooks') or []), *([] if guards else [dict(type='FiniteLossGuardHook')])]
    Runner.from_cfg(config).train()


if __name__ == '__main__':
    run(main)
