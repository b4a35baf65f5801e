"""How time and memory grow with images, pixels, boxes, classes, steps and EOT samples.

    python benchmarks/scaling.py [AXIS ...] [--turns 5] [--device cuda]
    python benchmarks/scaling.py grid [--images 1000 10000]

The values of an axis take turns, and the fastest turn counts; on a CPU, times are those of the process, in which time
that it waits for its turn does not count. The exponent is the slope of a straight line through the logarithms: 1 is
linear, 0 does not depend on it. It is fitted to the upper half of the values as well, where costs that do not grow
weigh less.

``grid`` runs a grid (two defenses, FGSM) over few images, and over many with no more memory than that: the address
space is limited (RLIMIT_AS) to what the small one took and ``--slack`` MiB.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from attack_speed import build_host
from mmengine.config import Config
from mmengine.registry import DefaultScope
from terminaltables import AsciiTable
from torch import Tensor

from mmadvdefense.attacks import PGD, AttackSource, Randomness
from mmadvdefense.losses import ClassAlignmentLoss
from mmadvdefense.models import build_model
from mmadvdefense.registry import MODELS
from mmadvdefense.training.preparation import prepare_for_testing

ROOT = Path(__file__).resolve().parents[1]
STEPS = 4
Run = Callable[[], object]


def classifier_samples(count: int, num_classes: int) -> list:
    from mmpretrain.structures import DataSample

    return [DataSample(metainfo=dict(img_path=f'{i}.png')).set_gt_label(i % num_classes) for i in range(count)]


def pixels(device: str, count: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(count * size)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).float().to(device)


def attack(device: str, count: int = 8, size: int = 32, steps: int = STEPS, classes: int = 10, samples: int = 1) -> Run:
    """PGD on a small ResNet, through a random purifier if there are several EOT samples."""
    host = build_host(8, classes).to(device)
    defense = None
    if samples > 1:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            settings = dict(type='RandomResizePadPurifier', min_scale=0.8, mean=[0.0] * 3, std=[1.0] * 3)
            defense = MODELS.build(settings).to(device).clean
    source = AttackSource(host, defense=defense, eot_samples=samples)
    images, truth, pgd = pixels(device, count, size), classifier_samples(count, classes), PGD(8, 2, steps)
    return lambda: pgd(source, images, truth, Randomness(0))


def class_terms(device: str, classes: int) -> Run:
    """The class terms of the objective, of 64 images, forward and backward."""
    loss = ClassAlignmentLoss(num_classes=classes).to(device)
    generator = torch.Generator().manual_seed(0)
    clean, adversarial = (torch.randn(64, 64, generator=generator).to(device) for _ in range(2))
    labels = (torch.arange(64) * 17 % classes).to(device)
    adversarial.requires_grad_()
    return lambda: sum(loss(clean, adversarial, labels).values()).backward()


def detector_attack(device: str, boxes: int) -> Run:
    """The class loss and the boxes that a light SSD considers, under PGD."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    config = Config.fromfile(ROOT / 'configs' / 'target' / 'scenes_det_target.py')
    prepare_for_testing(config)
    torch.manual_seed(0)
    model = build_model(config).to(device).eval()
    images = pixels(device, 2, 128)
    generator = torch.Generator().manual_seed(boxes)
    samples = []
    for index in range(len(images)):
        corners = torch.rand(boxes, 2, generator=generator) * 90
        truth = InstanceData(
            bboxes=torch.cat([corners, corners + 20], 1).to(device), labels=(torch.arange(boxes) % 10).to(device)
        )
        meta = dict(img_path=f'{index}.png', img_shape=(128, 128), ori_shape=(128, 128), scale_factor=(1.0, 1.0))
        samples.append(
            DetDataSample(
                metainfo=meta,
                gt_instances=truth,
                ignored_instances=InstanceData(
                    bboxes=torch.zeros(0, 4, device=device), labels=torch.zeros(0, dtype=torch.long, device=device)
                ),
            )
        )
    source = AttackSource(model)
    attacks = [PGD(8, 2, STEPS, objective=objective) for objective in ('cls', 'untargeted')]
    return lambda: [own(source, images, samples, Randomness(0)) for own in attacks]


AXES: dict[str, tuple[str, list[int], Callable[[str, int], Run]]] = {
    'images': ('images of a batch', [4, 8, 16, 32, 64], lambda device, value: attack(device, count=value)),
    'pixels': ('side of the images', [32, 64, 96, 128], lambda device, value: attack(device, count=4, size=value)),
    'steps': ('steps', [2, 4, 8, 16, 32], lambda device, value: attack(device, steps=value)),
    'eot': ('EOT samples', [2, 4, 8, 16], lambda device, value: attack(device, samples=value)),
    'classes': ('classes, attack', [10, 30, 100, 300, 1000], lambda device, value: attack(device, classes=value)),
    'class_terms': ('classes, loss terms', [10, 30, 100, 300, 1000], class_terms),
    'boxes': ('boxes of an image', [1, 4, 16, 64], detector_attack),
}  # fmt: skip


def fastest(runs: list[Run], turns: int, device: str) -> list[float]:
    """Seconds of the fastest turn of each."""
    on_cuda = device == 'cuda'
    synchronize = torch.cuda.synchronize if on_cuda else lambda: None
    clock = time.perf_counter if on_cuda else time.process_time
    best = [math.inf] * len(runs)
    for turn in range(turns + 1):
        for index, run in enumerate(runs):
            synchronize()
            begin = clock()
            run()
            synchronize()
            # The first turn allocates memory.
            if turn:
                best[index] = min(best[index], clock() - begin)
    return best


def exponent(values: list[int], seconds: list[float]) -> float:
    """Slope of the least-squares line through the logarithms."""
    x, y = (torch.tensor(own, dtype=torch.float64).log() for own in (values, seconds))
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def measure(arguments: argparse.Namespace) -> None:
    rows = [['', 'values', 'milliseconds', 'exponent', 'upper half']]
    for name in arguments.axes:
        title, values, build = AXES[name]
        seconds = fastest([build(arguments.device, value) for value in values], arguments.turns, arguments.device)
        # Of pixels, not of sides.
        counts = [value**2 for value in values] if name == 'pixels' else values
        half = len(values) // 2
        shown = ', '.join(f'{1e3 * own:.3g}' for own in seconds)
        fits = exponent(counts, seconds), exponent(counts[half:], seconds[half:])
        rows.append([title, ', '.join(map(str, values)), shown, *(f'{fit:.2f}' for fit in fits)])
        print(*rows[-1], sep='; ', flush=True)
    print(AsciiTable(rows).table)


def measure_grid(arguments: argparse.Namespace) -> None:
    few, many = arguments.images
    rows = [['images', 'peak, MiB', 'address space, MiB', 'limit, MiB', 'seconds']]
    limit = 0
    for images in (few, many):
        command = [sys.executable, str(ROOT / 'benchmarks' / 'grid_memory.py'), str(images), '--limit', str(limit)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f'{images} images with {limit} MiB: {done.stderr[-2000:]}')
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append([images, *(f'{found[name]:.0f}' for name in ('peak', 'space')), limit or 'none', found['seconds']])
        limit = math.ceil(found['space']) + arguments.slack
    print(AsciiTable(rows).table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('axes', nargs='*', default=list(AXES), metavar='AXIS', help=f'{", ".join(AXES)}, or grid')
    parser.add_argument('--turns', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--images', type=int, nargs=2, default=(1000, 10000), help='of the two grids')
    parser.add_argument('--slack', type=int, default=16, help='MiB that the larger grid may take on top')
    arguments = parser.parse_args()
    unknown = set(arguments.axes) - {*AXES, 'grid'}
    if unknown:
        parser.error(f'unknown axis {", ".join(sorted(unknown))}; known: {", ".join(AXES)}, grid')
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if 'grid' in arguments.axes:
        measure_grid(arguments)
        arguments.axes.remove('grid')
    if arguments.axes:
        measure(arguments)


if __name__ == '__main__':
    main()
