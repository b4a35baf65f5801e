"""How long our attacks take compared with those of torchattacks, foolbox, ART and adv-lib, on one model and images.

    python benchmarks/attack_speed.py [--attacks PGD BIM ...] [--batch-sizes 1 16 64] [--turns 5] [--device cuda]

The same steps and budget for all. They take turns, so that other load on the machine affects all alike; on a CPU, times
are those of the process, in which time that it waits for its turn does not count. A ratio is the median over the turns
of our time by that of the fastest other library in the same turn; ``floor`` is our time by that of as many plain
gradients (one forward and backward pass of the bare model for every step). Labels are the model's own predictions, so
that no attack is done before it begins. Libraries that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from peer_attacks import PACKAGES, STEPS, Contest, contests
from terminaltables import AsciiTable
from torch import Tensor, nn

import mmadvdefense  # noqa: F401  registers CIFARResNet
from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.external.unit_range import UnitRangeHost
from mmadvdefense.checkpoints import load_target
from mmadvdefense.pixels import PIXEL_MAX

NUM_CLASSES = 10
OURS, FLOOR = 'ours', 'floor'


def build_host(depth: int, num_classes: int = NUM_CLASSES) -> nn.Module:
    """An MMPretrain classifier with random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        host = ImageClassifier(
            backbone=dict(type='CIFARResNet', depth=depth),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=64),
            data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[51.6, 50.8, 51.3]),
        )
    return host.eval()


def plain_gradients(model: UnitRangeHost, images: Tensor, labels: Tensor, number: int) -> Callable[[], object]:
    """What no attack of this many steps can do without."""

    def run() -> None:
        for _ in range(number):
            seen = images.detach().requires_grad_()
            torch.autograd.grad(F.cross_entropy(model(seen), labels), seen)

    return run


def contestants(
    contest: Contest, host: nn.Module, images: Tensor, missing: list[str]
) -> dict[str, Callable[[], object]]:
    """A function for each library that attacks these images once."""
    model = UnitRangeHost(host).eval()
    with torch.no_grad():
        labels = model(images).argmax(1)
    samples = [DataSample(metainfo=dict(img_path=f'{i}.png')).set_gt_label(int(y)) for i, y in enumerate(labels)]
    source, attack, raw = AttackSource(host), build_attack(contest.ours), images * PIXEL_MAX
    runs: dict[str, Callable[[], object]] = {OURS: lambda: attack(source, raw, samples, Randomness(0))}
    if contest.gradients:
        runs[FLOOR] = plain_gradients(model, images, labels, contest.gradients)
    for library, build in contest.theirs.items():
        if library not in missing:
            perturb = build(model)
            runs[library] = lambda perturb=perturb: perturb(images, labels)
    return runs


def take_turns(runs: dict[str, Callable[[], object]], turns: int, device: str) -> dict[str, list[float]]:
    """Seconds of each turn, by name."""
    on_cuda = device == 'cuda'
    synchronize = torch.cuda.synchronize if on_cuda else lambda: None
    clock = time.perf_counter if on_cuda else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(turns + 1):
        # Each of them goes first in some turn.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            torch.manual_seed(0)
            synchronize()
            begin = clock()
            runs[name]()
            synchronize()
            # The first turn allocates memory, and checks what is checked once.
            if turn:
                seconds[name].append(clock() - begin)
    return seconds


def row_of(name: str, batch_size: int, seconds: dict[str, list[float]]) -> list[str]:
    """The name of an attack, its times, and what they are in relation to the fastest other library and the floor."""
    others = [library for library in seconds if library not in (OURS, FLOOR)]
    fastest = min(others, key=lambda library: statistics.median(seconds[library]))

    def ratio(other: str) -> str:
        return f'{statistics.median(a / b for a, b in zip(seconds[OURS], seconds[other])):.3f}'

    times = (f'{1e3 * statistics.median(seconds[who]):.1f}' for who in (OURS, fastest))
    return [name, str(batch_size), *times, fastest, ratio(fastest), ratio(FLOOR) if FLOOR in seconds else '']


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--attacks', nargs='+', choices=contests(), default=list(contests()), metavar='NAME')
    parser.add_argument('--steps', type=int, default=STEPS, help='of iterative attacks inside a ball')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--depth', type=int, default=20, help='depth of the CIFAR ResNet')
    parser.add_argument('--checkpoint', help='its weights, such as checkpoints/resnet20_cifar10.pth; default: random')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 16, 64])
    parser.add_argument('--size', type=int, default=32, help='side length of the images')
    parser.add_argument('--turns', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    missing = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package) is None]
    if missing:
        print(f'left out, because not installed: {", ".join(missing)}')
    host = build_host(arguments.depth)
    if arguments.checkpoint:
        load_target(host, arguments.checkpoint)
    host = host.eval().requires_grad_(False).to(arguments.device)
    rows = [['attack', 'batch', 'ms, ours', 'ms, fastest other', 'which', 'ratio', 'to the floor']]
    for name in arguments.attacks:
        for batch_size in arguments.batch_sizes:
            generator = torch.Generator().manual_seed(batch_size)
            shape = (batch_size, 3, arguments.size, arguments.size)
            images = torch.randint(0, 256, shape, generator=generator).to(arguments.device) / PIXEL_MAX
            runs = contestants(contests(arguments.steps)[name], host, images, missing)
            if len(runs.keys() - {FLOOR}) < 2:
                continue
            rows.append(row_of(name, batch_size, take_turns(runs, arguments.turns, arguments.device)))
            print(' | '.join(rows[-1]), flush=True)
    print(AsciiTable(rows).table)


if __name__ == '__main__':
    main()
