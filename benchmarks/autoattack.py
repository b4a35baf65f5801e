"""AutoAttack here and in torchattacks: robust accuracy and CPU seconds per image.

    python benchmarks/autoattack.py CONFIG CHECKPOINT [--images 200] [--eps 1 8] [--steps 100] [--queries 5000]
                                    [--by mmadvdefense torchattacks]

One classifier, images spread evenly over its test set, and the same four attacks with the same numbers of steps and
queries: torchattacks' own ``AutoAttack`` takes 10 steps, so its parts are used one by one, and Square keeps to the
schedule of 10,000 queries as the authors' AutoAttack does. The images that stay correct are listed by their number.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from attack_strength import UnitRangeHost, load
from peer_attacks import Perturb
from torch import Tensor

from mmadvdefense.attacks import AttackSource, AutoAttack, Randomness, derive_seed
from mmadvdefense.pixels import PIXEL_MAX, stack


def ours(model: UnitRangeHost, arguments: argparse.Namespace, eps: float) -> Callable[[Tensor, list, Tensor], Tensor]:
    source = AttackSource(model.host)
    attack = AutoAttack(eps, arguments.norm, steps=arguments.steps, queries=arguments.queries)

    def perturb(images: Tensor, samples: list, labels: Tensor) -> Tensor:
        seeds = [derive_seed(0, 'test', sample.sample_idx) for sample in samples]
        return stack(attack(source, images * PIXEL_MAX, samples, Randomness(seeds)))[0] / PIXEL_MAX

    return perturb


def theirs(model: UnitRangeHost, arguments: argparse.Namespace, eps: float) -> Callable[[Tensor, list, Tensor], Tensor]:
    import torchattacks

    budget = dict(norm={'linf': 'Linf', 'l2': 'L2'}[arguments.norm], eps=eps / PIXEL_MAX)
    steps = dict(budget, steps=arguments.steps)
    attack: Perturb = torchattacks.MultiAttack(
        [
            torchattacks.APGD(model, loss='ce', **steps),
            torchattacks.APGDT(model, n_classes=10, **steps),
            torchattacks.FAB(model, multi_targeted=True, n_classes=10, **steps),
            torchattacks.Square(model, n_queries=arguments.queries, resc_schedule=False, **budget),
        ]
    )
    return lambda images, samples, labels: attack(images, labels)


BY = dict(mmadvdefense=ours, torchattacks=theirs)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a classifier of 10 classes')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=200)
    parser.add_argument('--batch-size', type=int, default=50)
    parser.add_argument('--eps', type=float, nargs='+', default=[1.0, 8.0], help='in pixels (0-255)')
    parser.add_argument('--norm', choices=('linf', 'l2'), default='linf')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--queries', type=int, default=5000)
    parser.add_argument('--by', nargs='+', choices=BY, default=list(BY))
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    host, batches = load(arguments, spread=True)
    model = UnitRangeHost(host).eval()
    for eps in arguments.eps:
        for name in arguments.by:
            perturb, seconds, robust, largest = BY[name](model, arguments, eps), 0.0, [], 0.0
            for images, samples, labels in batches:
                start = time.process_time()
                adversarial = perturb(images, samples, labels)
                seconds += time.process_time() - start
                delta = (adversarial - images).flatten(1) * PIXEL_MAX
                size = delta.abs().amax(1) if arguments.norm == 'linf' else delta.norm(dim=1)
                largest = max(largest, size.max().item())
                with torch.no_grad():
                    right = model(adversarial).argmax(1) == labels
                robust += [sample.sample_idx for sample, is_right in zip(samples, right.tolist()) if is_right]
            total = sum(len(labels) for _, _, labels in batches)
            print(
                f'eps {eps:g} | {name} | robust accuracy {100 * len(robust) / total:.2f} % of {total} | '
                f'{seconds / total:.2f} s of CPU an image | largest change {largest:.3f} | correct: {robust}',
                flush=True,
            )


if __name__ == '__main__':
    main()
