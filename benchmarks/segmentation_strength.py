"""SegPGD and CosPGD here and by the code of CosPGD's authors: mIoU, pixel accuracy and CPU time.

    pip install --no-deps --target SOMEWHERE cospgd
    PYTHONPATH=SOMEWHERE python benchmarks/segmentation_strength.py CONFIG CHECKPOINT [--images 24] [--steps 40]

The same images, budgets and numbers of gradients; the versions take turns batch by batch. Their package has losses and
steps, which are put into a plain loop here. Without it, only our attacks run.
"""

from __future__ import annotations

import argparse
import importlib.util
import time

import torch
import torch.nn.functional as F
from minimal_segmentation import Perturb, load
from mmengine.config import DictAction
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
def counts(source: AttackSource, images: Tensor, masks: Tensor) -> Tensor:
    """Pixels by true and predicted class, ``(K, K)``."""
    with source.undisturbed():
        logits = source.logits(images)
    known = masks != source.task.ignore_index
    classes = logits.shape[1]
    pairs = masks[known] * classes + logits.argmax(1)[known]
    return pairs.bincount(minlength=classes**2).view(classes, classes).double()


def scores(confusion: Tensor) -> tuple[float, float]:
    """Of the classes that occur, the mIoU, and the pixel accuracy, both in per cent."""
    right, union = confusion.diagonal(), confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return 100 * (right / union)[union > 0].mean().item(), 100 * (right.sum() / confusion.sum()).item()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a segmentor with one label per pixel')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=24)
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--eps', type=float, nargs='+', default=[2, 4, 8], help='pixels (0-255)')
    parser.add_argument('--steps', type=int, default=40, help='each of eps / 4 pixels')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes of the config: key=value')
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
    for name in ATTACKS:
        for eps in arguments.eps:
            attacks = {by: make(source, name, eps, arguments.steps) for by, make in contestants.items()}
            confusion: dict[str, Tensor] = {by: torch.zeros(()) for by in attacks}
            seconds = dict.fromkeys(attacks, 0.0)
            order = list(attacks)
            for turn, data in enumerate(batches):
                images = stack(data['inputs'])[0].to(arguments.device).float()
                masks = source.task.labels(data['data_samples'], images.device)
                # They take turns in going first, when caches are cold.
                for by in order if turn % 2 else reversed(order):
                    start = time.process_time()
                    adversarial = attacks[by](images, data['data_samples'], masks)
                    seconds[by] += time.process_time() - start
                    confusion[by] = confusion[by] + counts(source, adversarial, masks)
            for by in attacks:
                numbers = [f'{value:.2f}' for value in (*scores(confusion[by]), seconds[by] / arguments.images)]
                rows.append([name, f'{eps:g}', by, *numbers])
                print(' | '.join(rows[-1]), flush=True)
    print(GithubFlavoredMarkdownTable(rows).table)


if __name__ == '__main__':
    main()
