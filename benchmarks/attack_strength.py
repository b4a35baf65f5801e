"""How strong and how fast our attacks are, compared with the same attacks in other libraries.

    python benchmarks/attack_strength.py CONFIG CHECKPOINT [--images 500] [--attacks FGSM PGD ...] [--out TABLE.md]

One model, the same images, budget and number of steps. Robust accuracy is the share of all images that are still
correct or, for minimum-norm attacks, that need a perturbation larger than the budget. The libraries take turns batch by
batch, so that other load on the machine affects all alike. Libraries that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from peer_attacks import PACKAGES, Contest, Perturb, contests
from terminaltables import GithubFlavoredMarkdownTable
from torch import Tensor, nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack, derive_seed
from mmadvdefense.attacks.external.unit_range import UnitRangeHost
from mmadvdefense.checkpoints import load_target
from mmadvdefense.models import build_model
from mmadvdefense.pixels import PIXEL_MAX, stack
from mmadvdefense.saving import save_file_atomically
from mmadvdefense.training.preparation import prepare_for_testing


@dataclass
class Measured:
    robust_accuracy: float  # per cent
    milliseconds: float  # per image
    size: float  # median over the changed images, in pixels


@torch.no_grad()
def score(model: UnitRangeHost, adversarial: Tensor, clean: Tensor, labels: Tensor, contest: Contest) -> tuple:
    """Robust accuracy in per cent and the median size of the perturbations in pixels; all images in [0, 1]."""
    delta = ((adversarial - clean) * PIXEL_MAX).flatten(1)
    size = delta.abs().amax(1) if contest.norm == 'linf' else delta.norm(dim=1)
    predictions = torch.cat([model(part).argmax(1) for part in adversarial.split(100)])
    fooled = (predictions != labels) & (size <= contest.eps + 1e-2)
    changed = size[size > 0]
    return 100 * (1 - fooled.float().mean().item()), changed.median().item() if len(changed) else 0.0


def measure(
    contest: Contest, contestants: dict[str, Perturb], batches: list, model: UnitRangeHost
) -> dict[str, Measured]:
    """Run all contestants on all batches."""
    seconds = dict.fromkeys(contestants, 0.0)
    results: dict[str, list[Tensor]] = {name: [] for name in contestants}
    order = list(contestants)
    for turn, (images, _, labels) in enumerate(batches):
        # They take turns in going first, when caches are cold.
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            perturb = contestants[name]
            torch.manual_seed(0)
            start = time.perf_counter()
            results[name].append(perturb(images, labels).detach().clamp(0, 1))
            seconds[name] += time.perf_counter() - start
    clean, labels = (torch.cat([batch[index] for batch in batches]) for index in (0, 2))
    return {
        name: Measured(accuracy, 1000 * seconds[name] / len(clean), size)
        for name, parts in results.items()
        for accuracy, size in [score(model, torch.cat(parts), clean, labels, contest)]
    }


def ours(contest: Contest, source: AttackSource, batches: list) -> Perturb:
    """Our attack in the form of the others; it looks up data samples by the images."""
    attack = build_attack(contest.ours)
    known = {images.data_ptr(): (index, samples) for index, (images, samples, _) in enumerate(batches)}

    def perturb(images: Tensor, labels: Tensor) -> Tensor:
        index, samples = known[images.data_ptr()]
        seeds = [derive_seed(0, 'test', index, position) for position in range(len(images))]
        return stack(attack(source, images * PIXEL_MAX, samples, Randomness(seeds)))[0] / PIXEL_MAX

    return perturb


def load(arguments: argparse.Namespace, spread: bool = False) -> tuple[nn.Module, list]:
    """The model and its first test images, or images ``spread`` evenly over a test set that may be sorted by class, as
    batches of images in [0, 1], data samples and labels.
    """
    config = Config.fromfile(arguments.config)
    prepare_for_testing(config)
    model = build_model(config)
    load_target(model, arguments.checkpoint)
    model.eval().requires_grad_(False).to(arguments.device)
    settings = config.test_dataloader
    settings.update(batch_size=arguments.batch_size, num_workers=0, persistent_workers=False)
    settings.dataset.indices = arguments.images
    if spread:
        settings.dataset.indices = None
        number = len(DATASETS.build(settings.dataset))
        settings.dataset.indices = list(range(0, number, max(number // arguments.images, 1)))[: arguments.images]
    batches = []
    for data in Runner.build_dataloader(settings):
        images = stack(data['inputs'])[0].to(arguments.device).float() / PIXEL_MAX
        labels = torch.cat([sample.gt_label for sample in data['data_samples']]).to(images.device)
        batches.append((images, data['data_samples'], labels))
    return model, batches


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a classifier')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=500)
    parser.add_argument('--batch-size', type=int, default=100)
    parser.add_argument('--attacks', nargs='+', choices=contests(), default=list(contests()))
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    parser.add_argument('--out', metavar='TABLE.md', help='also write the table to this file')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    missing = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package) is None]
    if missing:
        print(f'left out, because not installed: {", ".join(missing)}')
    host, batches = load(arguments)
    # Libraries restore the mode of the outer module afterwards, and with it that of everything inside.
    model, source = UnitRangeHost(host).eval(), AttackSource(host)
    with torch.enable_grad():
        model(batches[0][0].clone().requires_grad_()).sum().backward()
    rows = [['attack', 'by', 'robust accuracy (%)', 'ms per image', 'median size (pixels)']]
    for name in arguments.attacks:
        contest = contests()[name]
        budget = f'{name}, eps {contest.eps:g}'
        contestants = {'mmadvdefense': ours(contest, source, batches)}
        contestants |= {library: build(model) for library, build in contest.theirs.items() if library not in missing}
        for library, value in measure(contest, contestants, batches, model).items():
            numbers = f'{value.robust_accuracy:.1f}', f'{value.milliseconds:.1f}', f'{value.size:.1f}'
            rows.append([budget, library, *numbers])
            print(' | '.join(rows[-1]), flush=True)
    table = GithubFlavoredMarkdownTable(rows).table
    print(table)
    if arguments.out:
        save_file_atomically(arguments.out, lambda file: file.write(f'{table}\n'.encode()))


if __name__ == '__main__':
    main()
