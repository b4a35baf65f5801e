"""Test a model on clean and adversarial images, without and with its purifier."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Optional

import torch
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmadvdefense import __version__, recipes
from mmadvdefense.attacks import attack_names, build_attack
from mmadvdefense.checkpoints import write_json
from mmadvdefense.evaluation import Condition, Result, evaluate, robustness_table


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the protected model')
    parser.add_argument('checkpoint', help='its checkpoint')
    add_common_arguments(parser)
    parser.add_argument(
        '--attack',
        metavar='NAME_OR_CONFIG',
        help=f'one of {", ".join(attack_names())}, or a config file with attack=dict(...); none: clean images only',
    )
    parser.add_argument('--eps', type=float, help='radius in pixels (0-255)')
    parser.add_argument('--step-size', type=float, help='pixels (0-255) a step')
    parser.add_argument('--steps', type=int, help='number of steps')
    parser.add_argument(
        '--targeted', nargs='?', const='random', choices=['random', 'least_likely'], help='towards a wrong class'
    )
    parser.add_argument(
        '--source',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='another model to craft the attack on; adds a transfer row to the white-box one',
    )
    parser.add_argument('--no-purifier', action='store_true', help='score the undefended model only')
    parser.add_argument('--quantize', action='store_true', help='round adversarial images to whole pixels')
    parser.add_argument('--seed', type=int, default=0, help='of the attack')
    parser.add_argument('--out', metavar='results.json', help='write results there')
    return parser.parse_args()


def attack_config(arguments: argparse.Namespace) -> Optional[dict]:
    """The attack of the command line: a name or a config file, with the given settings on top."""
    given = {name: getattr(arguments, name) for name in ('eps', 'step_size', 'steps', 'targeted')}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.attack is None:
        if given or arguments.source:
            raise UsageError('--eps, --step-size, --steps, --targeted and --source need --attack')
        return None
    if arguments.attack.endswith('.py'):
        if not Path(arguments.attack).exists():
            raise UsageError(f'attack config not found: {arguments.attack}')
        loaded = Config.fromfile(arguments.attack)
        if 'attack' not in loaded:
            raise UsageError(f'{arguments.attack} defines no attack=dict(type=...)')
        config = {**loaded.attack, **given}
    else:
        config = {'type': arguments.attack, **given}
        if 'eps' not in config:
            raise UsageError(f'--attack {arguments.attack} needs --eps (pixels, 0-255)')
    try:
        build_attack(config)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return config


def conditions(attack: Optional[dict], source: Optional[list[str]], trust: bool = False) -> list[Condition]:
    rows = [Condition('clean')]
    if attack is not None:
        name = attack['type']
        rows.append(Condition(f'{name}, white-box', attack, threat_model='white-box'))
        if source:
            other = dict(config=source[0], checkpoint=source[1], trust=trust)
            rows.append(Condition(f'{name}, transfer from {Path(source[0]).stem}', attack, other, 'transfer'))
    return rows


def report(results: list[Result], config: Config, arguments: argparse.Namespace) -> dict:
    return {
        'format': 'mmadvdefense results',
        'version': 1,
        'mmadvdefense': __version__,
        'torch': torch.__version__,
        'python': platform.python_version(),
        'config': arguments.config,
        'checkpoint': arguments.checkpoint,
        'seed': arguments.seed,
        'quantized': arguments.quantize,
        'results': [result.as_dict() for result in results],
    }


def main() -> None:
    arguments = parse_arguments()
    attack = attack_config(arguments)
    require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    if arguments.source:
        if not Path(arguments.source[0]).exists():
            raise UsageError(f'config of the source not found: {arguments.source[0]}')
        require_checkpoint(arguments.source[1], 'checkpoint of the source', arguments.trust_checkpoint)
    config = load_config(arguments)
    config.load_from = arguments.checkpoint
    config.resume = False
    recipes.complete_purifier(config)
    # Hooks of the config are for training; an AttackHook among them would attack twice.
    config.custom_hooks = []
    config.pop('model_wrapper_cfg', None)
    recipes.settle_distributed(config, arguments.launcher, training=False)
    runner = Runner.from_cfg(config)
    purifier = (False,) if arguments.no_purifier else (False, True)
    rows = conditions(attack, arguments.source, arguments.trust_checkpoint)
    results = evaluate(runner, rows, purifier, arguments.seed, arguments.quantize)
    if is_main_process():
        print(robustness_table(results))
        if arguments.out:
            write_json(arguments.out, report(results, config, arguments))
            print(f'results written to {arguments.out}')


if __name__ == '__main__':
    run(main)
