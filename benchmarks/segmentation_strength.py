"""SegPGD and CosPGD here and by the code of CosPGD's authors: mIoU, pixel accuracy and CPU time.

    pip install --no-deps --target SOMEWHERE cospgd
    PYTHONPATH=SOMEWHERE python benchmarks/segmentation_strength.py CONFIG CHECKPOINT [--images 24] [--steps 40]

The same images, budgets and numbers of gradients; the versions take turns batch by batch. Their package has losses and
steps, which are put into a plain loop here. Without it, only our attacks run.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import time

import numpy as np
import torch
import torch.nn.functional as F
from minimal_segmentation import Perturb, load, segmentor_parser
from mmseg.evaluation import IoUMetric
from terminaltables import GithubFlavoredMarkdownTable
from torch import Tensor

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.pixels import PIXEL_MAX, stack
from mmadvdefense.randomness import image_seeds

ATTACKS = ('SegPGD', 'CosPGD')


def ours(source: AttackSource, name: str, eps: float, steps: int) -> Perturb:
    attack = build_attack(dict(type=name, eps=eps, step_size=eps / 4, steps=steps))

    def perturb(images: Tensor, samples: list, _: Tensor) -> Tensor:
        return stack(attack(source, images, samples, Randomness(image_seeds(0, 'test', images, samples))))[0]

    return perturb


def theirs(source: AttackSource, name: str, eps: float, steps: int) -> Perturb:
    from cospgd import functions

    def loss_of(logits: Tensor, masks: Tensor, step: int) -> Tensor:
        # Their one-hot coding knows no void pixels; these have no loss.
        pixels = F.cross_entropy(logits, masks, ignore_index=source.task.ignore_index, reduction='none')
        if name == 'SegPGD':
            return functions.segpgd_scale(logits, masks, pixels, step, steps)
        return functions.cospgd_scale(logits, masks, pixels, num_classes=logits.shape[1]).mean()

    def perturb(images: Tensor, samples: list, masks: Tensor) -> Tensor:
        clean = images / PIXEL_MAX
        budget, length = eps / PIXEL_MAX, eps / 4 / PIXEL_MAX
        torch.manual_seed(0)
        current = functions.init_linf(clean, budget)
        with source.undisturbed():
            for step in range(steps):
                current.requires_grad_()
                loss = loss_of(source.logits(current * PIXEL_MAX), masks, step)
                gradient = torch.autograd.grad(loss, current)[0]
                current = functions.step_inf(current, budget, gradient, clean, length, targeted=False)
        return current * PIXEL_MAX

    return perturb


@torch.no_grad()
def areas(source: AttackSource, images: Tensor, masks: Tensor) -> list[tuple]:
    """What MMSegmentation's metric sums up: of each image, the areas of its classes."""
    with source.undisturbed():
        logits = source.logits(images)
    pairs = zip(logits.argmax(1), masks)
    return [IoUMetric.intersect_and_union(*pair, logits.shape[1], source.task.ignore_index) for pair in pairs]


def scores(measured: list[tuple]) -> tuple[float, float]:
    """The mIoU and the pixel accuracy of a set of images, in per cent."""
    metrics = IoUMetric.total_area_to_metrics(*(sum(part) for part in zip(*measured)), metrics=['mIoU'])
    return 100 * np.nanmean(metrics['IoU']), 100 * float(metrics['aAcc'])


def compete(source: AttackSource, attacks: dict[str, Perturb], batches: list) -> dict[str, tuple[float, float, float]]:
    """By contestant, mIoU, pixel accuracy and CPU seconds per image."""
    measured: dict[str, list] = {by: [] for by in attacks}
    seconds = dict.fromkeys(attacks, 0.0)
    order = list(attacks)
    for turn, data in enumerate(batches):
        images = stack(data['inputs'])[0].to(source.device).float()
        masks = source.task.labels(data['data_samples'], images.device)
        # They take turns in going first, when caches are cold.
        for by in order if turn % 2 else reversed(order):
            start = time.process_time()
            adversarial = attacks[by](images, data['data_samples'], masks)
            seconds[by] += time.process_time() - start
            measured[by] += areas(source, adversarial, masks)
    return {by: (*scores(measured[by]), seconds[by] / len(measured[by])) for by in attacks}


def parse_arguments() -> argparse.Namespace:
    parser = segmentor_parser(__doc__, images=24)
    parser.add_argument('--eps', type=float, nargs='+', default=[2, 4, 8], help='pixels (0-255)')
    parser.add_argument('--steps', type=int, default=40, help='each of eps / 4 pixels')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    contestants = {'mmadvdefense': ours}
    if importlib.util.find_spec('cospgd') is None:
        print('left out, because not installed: cospgd')
    else:
        contestants['cospgd'] = theirs
    model, batches = load(arguments)
    source = AttackSource(model)
    rows = [['attack', 'eps', 'by', 'mIoU (%)', 'pixel accuracy (%)', 'CPU s per image']]
    for name, eps in itertools.product(ATTACKS, arguments.eps):
        attacks = {by: make(source, name, eps, arguments.steps) for by, make in contestants.items()}
        for by, numbers in compete(source, attacks, batches).items():
            rows.append([name, f'{eps:g}', by, *(f'{number:.2f}' for number in numbers)])
            print(' | '.join(rows[-1]), flush=True)
    print(GithubFlavoredMarkdownTable(rows).table)


if __name__ == '__main__':
    main()
