"""Choose when OAG, or another purifier that is fitted to each image, should stop, on images with Gaussian noise.

No attack is used, so that the defense is not tuned to one (Li et al., TIP 2021, section III-D). Prints the metric after
each number of steps and the number at which the curve flattens, which belongs in the config as ``num_steps``.
"""

from __future__ import annotations

import argparse

from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from _images import load_images
from mmengine.config import Config
from mmengine.device import get_device
from terminaltables import AsciiTable
from torch import nn

from mmadvdefense.checkpoints import load_target
from mmadvdefense.evaluation.stopping import metric_by_step, stopping_step
from mmadvdefense.models import build_model
from mmadvdefense.pixels import PIXEL_MAX
from mmadvdefense.purifiers import OnlinePurifier
from mmadvdefense.saving import write_json
from mmadvdefense.training.preparation import prepare_for_testing

STEPS = (25, 50, 75, 100, 150, 200, 250, 300)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the protected model')
    parser.add_argument('checkpoint', help='its checkpoint')
    add_common_arguments(parser)
    parser.add_argument(
        '--steps', type=int, nargs='+', default=STEPS, help='numbers of steps to try (default: %(default)s)'
    )
    parser.add_argument(
        '--sigma',
        type=float,
        default=0.25,
        help='standard deviation of the noise, for pixels in 0-1 (default: 0.25, as in the paper)',
    )
    parser.add_argument(
        '--num-images', type=int, default=64, help='number of images, spread evenly over the data set (default: 64)'
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='where the images come from; training images are loaded without augmentation (default: train)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=0.01,
        help='the curve counts as flat within this fraction of its best value (default: 0.01)',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the noise')
    parser.add_argument('--out', metavar='curve.json', help='also write the curve to this file')
    arguments = parser.parse_args()
    if arguments.sigma < 0 or not 0 <= arguments.tolerance < 1:
        parser.error('--sigma must be at least 0, and --tolerance at least 0 and below 1')
    if min(arguments.steps) < 1:
        parser.error(f'--steps must be at least 1, got {min(arguments.steps)}')
    return arguments


def load_model(config: Config, arguments: argparse.Namespace) -> nn.Module:
    model = build_model(config)
    purifier = model.data_preprocessor
    if not isinstance(purifier, OnlinePurifier):
        raise UsageError(f'{arguments.config}: {type(purifier).__name__} takes no steps that could be chosen')
    load_target(model, arguments.checkpoint, trust=arguments.trust_checkpoint)
    purifier.progress = True
    return model.to(get_device()).eval()


def main() -> None:
    arguments = parse_arguments()
    require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    config = load_config(arguments)
    prepare_for_testing(config)
    model = load_model(config, arguments)
    loader, num_images = load_images(config, arguments.split, arguments.num_images)
    evaluator = config.test_evaluator if arguments.split == 'test' else config.val_evaluator
    steps = sorted(set(arguments.steps))
    metric, curve = metric_by_step(model, loader, evaluator, steps, arguments.sigma * PIXEL_MAX, arguments.seed)
    chosen = stopping_step({step: curve[step] for step in steps}, arguments.tolerance)
    rows = [[str(step) if step else 'not purified', f'{value:.2f}'] for step, value in curve.items()]
    print(AsciiTable([['steps', metric], *rows]).table)
    if chosen is None:
        print('every number of steps gives 0: the noise is too strong for this model; use a smaller --sigma')
    else:
        print(f'the curve flattens at {chosen} steps: num_steps={chosen}')
    if arguments.out:
        write_json(arguments.out, report(arguments, num_images, metric, curve, chosen))
        print(f'curve written to {arguments.out}')


def report(arguments: argparse.Namespace, num_images: int, metric: str, curve: dict, chosen: int | None) -> dict:
    return {
        'format': 'mmadvdefense stopping step',
        'version': 1,
        'config': arguments.config,
        'checkpoint': arguments.checkpoint,
        'split': arguments.split,
        'num_images': num_images,
        'sigma': arguments.sigma,
        'seed': arguments.seed,
        'tolerance': arguments.tolerance,
        'metric': metric,
        'curve': [{'steps': step, 'value': value} for step, value in curve.items()],
        'num_steps': chosen,
    }


if __name__ == '__main__':
    run(main)
