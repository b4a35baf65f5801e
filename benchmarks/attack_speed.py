"""How long PGD takes here and in torchattacks, on the same model and images.

    python benchmarks/attack_speed.py [--device cuda] [--depth 20] [--batch-size 64] [--size 32] [--steps 10]

The two take turns, so that other load on the machine affects both alike; the ratio is the median over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Callable

import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from terminaltables import AsciiTable
from torch import Tensor, nn

import mmadvdefense  # noqa: F401  registers CIFARResNet
from mmadvdefense.attacks import PGD, AttackSource, Randomness
from mmadvdefense.attacks.external.unit_range import UnitRangeHost

NUM_CLASSES = 10


def build_host(depth: int) -> nn.Module:
    """An MMPretrain classifier with random weights."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        host = ImageClassifier(
            backbone=dict(type='CIFARResNet', depth=depth),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=NUM_CLASSES, in_channels=64),
            data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[51.6, 50.8, 51.3]),
        )
    return host.eval()


def milliseconds(call: Callable[[], Tensor]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) * 1000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--depth', type=int, default=20, help='depth of the CIFAR ResNet')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--size', type=int, default=32, help='side length of the images')
    parser.add_argument('--steps', type=int, default=10, help='steps of PGD')
    parser.add_argument('--turns', type=int, default=9)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    return parser.parse_args()


def main() -> None:
    import torchattacks

    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    host = build_host(arguments.depth).to(arguments.device)
    count, size = arguments.batch_size, arguments.size
    images = torch.randint(0, 256, (count, 3, size, size)).float().to(arguments.device)
    samples = [DataSample(metainfo=dict(img_path=f'{i}.png')).set_gt_label(i % NUM_CLASSES) for i in range(count)]
    labels = torch.cat([sample.gt_label for sample in samples]).to(arguments.device)

    source = AttackSource(host)
    pgd = PGD(eps=8, step_size=2, steps=arguments.steps)
    theirs = torchattacks.PGD(UnitRangeHost(host), eps=8 / 255, alpha=2 / 255, steps=arguments.steps)
    contestants = {
        'mmadvdefense PGD': lambda: pgd(source, images, samples, Randomness(0)),
        'torchattacks PGD': lambda: theirs(images / 255, labels),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call()
    for turn in range(arguments.turns):
        # Take turns in going first.
        for name in sorted(contestants, reverse=turn % 2 == 1):
            times[name].append(milliseconds(contestants[name]))
    ours, others = times.values()
    rows = [['attack', 'median ms', 'fastest ms']]
    rows += [[name, f'{statistics.median(values):.1f}', f'{min(values):.1f}'] for name, values in times.items()]
    print(AsciiTable(rows).table)
    ratio = statistics.median(a / b for a, b in zip(ours, others))
    print(f'ratio of ours to torchattacks: median {ratio:.3f}, fastest to fastest {min(ours) / min(others):.3f}')


if __name__ == '__main__':
    main()
