"""What a purifier of reduced precision costs: accuracy on clean and attacked images, size and time, in ONNX Runtime.

    python benchmarks/reduced_precision.py CONFIG CHECKPOINT purifier.onnx purifier_fp16.onnx purifier_int8.onnx

The files are those of ``tools/export_purifier.py --format onnx``, and CONFIG and CHECKPOINT those of the classifier
behind them. PGD attacks the classifier without a purifier (gray-box), so all files are given the same images, spread
evenly over the test set. Times are medians of the CPU time on one thread, which other load on the machine does not add
to, and the files take turns. Needs ``pip install -e .[deploy]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Callable

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from terminaltables import GithubFlavoredMarkdownTable
from torch import Tensor
from torch.utils.data import DataLoader

from mmadvdefense.apis.deployment import load_exported
from mmadvdefense.attacks import AttackSource, build_attack
from mmadvdefense.checkpoints import load_target
from mmadvdefense.evaluation.grid.image_selection import choose_indices, open_test_set
from mmadvdefense.models import build_model
from mmadvdefense.pipelines import channel_order
from mmadvdefense.pixels import stack
from mmadvdefense.randomness import image_names
from mmadvdefense.threats import ThreatModel
from mmadvdefense.threats.crafter import Crafter
from mmadvdefense.threats.sources import build_source
from mmadvdefense.training.preparation import prepare_for_testing

Purify = Callable[[Tensor], Tensor]
# Clean and adversarial images (N, 3, H, W) in 0-255, and labels (N,).
Batch = tuple[Tensor, Tensor, Tensor]


def load(arguments: argparse.Namespace) -> tuple[AttackSource, DataLoader]:
    """The classifier, seen without a purifier, and its test images."""
    config = Config.fromfile(arguments.config)
    prepare_for_testing(config)
    model = build_model(config)
    load_target(model, arguments.checkpoint)
    dataset = open_test_set(config)
    chosen = choose_indices(len(dataset), min(arguments.images, len(dataset)), None)
    settings = config.test_dataloader
    settings.update(batch_size=arguments.batch_size, num_workers=0, persistent_workers=False)
    settings.dataset = dataset.get_subset(chosen)
    loader = Runner.build_dataloader(settings)
    return build_source(model.eval(), channel_order=channel_order(loader.dataset)), loader


def craft(source: AttackSource, loader: DataLoader, arguments: argparse.Namespace) -> list[Batch]:
    """Attack all images."""
    names = ('eps', 'step_size', 'steps')
    settings = dict(type='PGD', random_start='uniform', **{name: getattr(arguments, name) for name in names})
    crafter = Crafter(build_attack(settings), source, settings, ThreatModel('gray-box'), seed=arguments.seed)
    batches = []
    for data in loader:
        samples = data['data_samples']
        clean = stack(data['inputs'])[0].float()
        adversarial = stack(crafter(clean, samples, image_names(data['inputs'], samples)).images)[0]
        batches.append((clean, adversarial, torch.cat([sample.gt_label for sample in samples])))
    return batches


@torch.no_grad()
def accuracies(source: AttackSource, purify: Purify, batches: list[Batch]) -> list[str]:
    """On clean and on adversarial images, in per cent."""
    correct = torch.zeros(2)
    with source.undisturbed():
        for *versions, labels in batches:
            correct += torch.stack([(source.logits(purify(x)).argmax(1) == labels).float().sum() for x in versions])
    return [f'{value:.1f}' for value in 100 * correct / sum(len(labels) for *_, labels in batches)]


def milliseconds(runs: dict[str, Purify], images: Tensor, turns: int) -> dict[str, str]:
    """The median of each one's CPU time for these images."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 2):
        for name, run in runs.items():
            begin = time.process_time()
            run(images)
            # The first turns allocate memory.
            if turn >= 2:
                times[name].append((time.process_time() - begin) * 1000)
    return {name: f'{statistics.median(values):.2f}' for name, values in times.items()}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a classifier')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('files', nargs='+', help='exported purifiers, one for each precision')
    parser.add_argument('--images', type=int, default=500, help='(default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=100, help='of attack and accuracy (default: %(default)s)')
    parser.add_argument('--eps', type=float, default=8, help='pixels, 0-255 (default: %(default)s)')
    parser.add_argument('--step-size', type=float, default=2, help='pixels, 0-255 (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=10, help='(default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the attack')
    parser.add_argument('--time-batches', type=int, nargs='+', default=(1, 8), help='sizes (default: 1 8)')
    parser.add_argument('--turns', type=int, default=20, help='of the timing (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    runs: dict[str, Purify] = {file: load_exported(Path(file), 'onnx') for file in arguments.files}
    source, loader = load(arguments)
    batches = craft(source, loader, arguments)
    clean = torch.cat([images for images, *_ in batches])
    times = [milliseconds(runs, clean[:number], arguments.turns) for number in arguments.time_batches]
    rows = [['', 'clean', 'gray-box PGD', 'KB', *(f'CPU ms, batch {number}' for number in arguments.time_batches)]]
    rows.append(['no purifier', *accuracies(source, lambda images: images, batches), *[''] * (1 + len(times))])
    for file, run in runs.items():
        size = f'{Path(file).stat().st_size / 1024:.0f}'
        rows.append([Path(file).stem, *accuracies(source, run, batches), size, *(taken[file] for taken in times)])
    print(f'{len(clean)} images, eps {arguments.eps:g}, {arguments.steps} steps')
    print(GithubFlavoredMarkdownTable(rows).table)


if __name__ == '__main__':
    main()
