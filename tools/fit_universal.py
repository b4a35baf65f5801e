"""Fit one perturbation, or one patch, to many images: it is then the same for all images it is applied to.

The file is used as ``attack=dict(type='UniversalPerturbation', file=...)`` (or ``'UniversalPatch'``), in
``tools/test.py --attack UniversalPerturbation --file FILE`` and in grids.
"""

from __future__ import annotations

import argparse
import time

from _common import add_common_arguments, load_config, pixels, require_checkpoint, run
from _images import load_images
from mmengine.config import Config
from mmengine.device import get_device

from mmadvdefense import __version__
from mmadvdefense.attacks import AttackSource
from mmadvdefense.attacks.objectives import WORDS
from mmadvdefense.attacks.patch.fitting import (
    OPTIMIZERS,
    UniversalFit,
    UniversalPatchFit,
    UniversalPerturbationFit,
    fit_universal,
)
from mmadvdefense.checkpoints import load_target
from mmadvdefense.models import build_model
from mmadvdefense.pipelines import channel_order
from mmadvdefense.threats.checks import check_num_classes
from mmadvdefense.threats.sources import build_source
from mmadvdefense.training.preparation import prepare_for_testing

FITS: dict[str, type[UniversalFit]] = {
    'UniversalPerturbation': UniversalPerturbationFit,
    'UniversalPatch': UniversalPatchFit,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model; a purifier in front of it is left out')
    parser.add_argument('checkpoint', help='its checkpoint')
    add_common_arguments(parser)
    parser.add_argument('--attack', choices=list(FITS), required=True, help='what to fit')
    parser.add_argument('--out', metavar='FILE', required=True, help='where it goes; an existing file is replaced')
    parser.add_argument('--eps', type=pixels, help='of a perturbation: radius (L-infinity) in pixels (0-255)')
    parser.add_argument('--area', type=float, help='of a patch: its share of the image (default: 0.05)')
    parser.add_argument(
        '--objective',
        choices=list(WORDS),
        help='what to maximize (default: cross_entropy, or task_loss for a model without class scores)',
    )
    parser.add_argument('--target-class', type=int, help='a class, from 0, that all images are moved to')
    parser.add_argument('--cap', type=float, help='largest value of the objective that counts for an image')
    parser.add_argument('--optimizer', choices=OPTIMIZERS, help='steps along the sign, or Adam (default: sign)')
    parser.add_argument('--step-size', type=pixels, help='pixels (0-255) per batch (default: eps / 8; 8 for a patch)')
    parser.add_argument('--epochs', type=int, default=10, help='how often each image is seen (default: 10)')
    parser.add_argument(
        '--num-images', type=int, default=1000, help='number of images, spread evenly over the data set (default: 1000)'
    )
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='where the images come from; training images are loaded without augmentation (default: train)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the start, the poses and the order of the images')
    arguments = parser.parse_args()
    own, other = ('eps', 'area') if arguments.attack == 'UniversalPerturbation' else ('area', 'eps')
    if getattr(arguments, other) is not None:
        parser.error(f'--{other} does not belong to {arguments.attack}, whose budget is --{own}')
    if own == 'eps' and arguments.eps is None:
        parser.error('UniversalPerturbation needs --eps (pixels, 0-255)')
    if min(arguments.epochs, arguments.num_images) < 1:
        parser.error('--epochs and --num-images must be at least 1')
    return arguments


def build_fit(arguments: argparse.Namespace, source: AttackSource) -> UniversalFit:
    if arguments.objective is None:
        arguments.objective = 'cross_entropy' if source.task.has_class_scores else 'task_loss'
    names = ('eps', 'area', 'step_size', 'optimizer', 'objective', 'target_class', 'cap')
    given = {name: getattr(arguments, name) for name in names}
    fit = FITS[arguments.attack](**{name: value for name, value in given.items() if value is not None})
    fit.check_source(source)
    return fit


def load_source(config: Config, arguments: argparse.Namespace, dataset) -> AttackSource:
    model = build_model(config)
    load_target(model, arguments.checkpoint, trust=arguments.trust_checkpoint)
    check_num_classes(model, dataset)
    return build_source(model.to(get_device()).eval(), channel_order=channel_order(dataset))


def made_with(arguments: argparse.Namespace, fit: UniversalFit, num_images: int) -> dict:
    names = ('config', 'checkpoint', 'split', 'seed', 'epochs', 'objective', 'target_class', 'cap')
    settings = {name: getattr(arguments, name) for name in names}
    settings.update(optimizer=fit.optimizer, step_size=fit.step_size, num_images=num_images)
    return {**settings, 'mmadvdefense': __version__}


def main() -> None:
    arguments = parse_arguments()
    require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    config = load_config(arguments)
    prepare_for_testing(config)
    sampler = dict(type='DefaultSampler', shuffle=True, seed=arguments.seed)
    loader, num_images = load_images(config, arguments.split, arguments.num_images, sampler)
    source = load_source(config, arguments, loader.dataset)
    fit = build_fit(arguments, source)
    start = time.perf_counter()

    def report(epoch: int, objective: float) -> None:
        seconds = time.perf_counter() - start
        print(f'epoch {epoch}/{arguments.epochs}: mean objective {objective:.4f}, {seconds:.0f} s', flush=True)

    fit_universal(fit, source, loader, arguments.epochs, arguments.seed, report)
    fit.result(source.channel_order, made_with(arguments, fit, num_images)).save(arguments.out)
    print(f'{arguments.attack} fitted to {num_images} images, written to {arguments.out}')


if __name__ == '__main__':
    run(main)
