"""Minimum-norm attacks on a segmentor: how small the perturbations are and how long they take, beside adv-lib's.

    pip install --no-deps --target SOMEWHERE adv-lib
    PYTHONPATH=SOMEWHERE python benchmarks/minimal_segmentation.py CONFIG CHECKPOINT [--images 8] [--steps 100]

The same images, number of gradients and settings; the versions take turns batch by batch. A perturbation succeeds if a
share of the labelled pixels, 0.99 by default, is misclassified. Without adv-lib, only our attacks run.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
import types
from collections.abc import Callable
from typing import Optional

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from terminaltables import GithubFlavoredMarkdownTable
from torch import Tensor, nn

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.attacks.criteria import meets_threshold
from mmadvdefense.checkpoints import load_target
from mmadvdefense.models import build_model
from mmadvdefense.pixels import PIXEL_MAX, stack
from mmadvdefense.training.preparation import prepare_for_testing

# Images 0-255, data samples and masks to adversarial images 0-255.
Perturb = Callable[[Tensor, list, Tensor], Tensor]


def contests(steps: int) -> dict[str, tuple[dict, str, dict]]:
    """Our config, and the name and settings of adv-lib's function, whose pixels are in 0-1."""
    return {
        'ALMAProx': (dict(type='ALMAProx', steps=steps), 'alma_prox', dict(num_steps=steps)),
        'PDPGD': (
            dict(type='PDPGD', steps=steps, learning_rate=0.01),
            'pdpgd',
            dict(norm=math.inf, num_steps=steps, primal_lr=0.01),
        ),
        'DAG': (dict(type='DAG', steps=steps, gamma=0.5), 'dag', dict(max_iter=steps, γ=0.5 / PIXEL_MAX)),
    }


def ours(source: AttackSource, settings: dict) -> Perturb:
    attack = build_attack(settings)
    return lambda images, samples, _: stack(attack(source, images, samples, Randomness(0)))[0]


def theirs(source: AttackSource, name: str, settings: dict) -> Perturb:
    # Only for its progress plots, which nobody asks for.
    sys.modules.setdefault('visdom', types.ModuleType('visdom'))
    import adv_lib.attacks.segmentation as library

    def perturb(images: Tensor, samples: list, masks: Tensor) -> Tensor:
        def model(inputs: Tensor) -> Tensor:
            return source.logits(inputs * PIXEL_MAX)

        known = masks != source.task.ignore_index
        with source.undisturbed():
            attack = getattr(library, name)
            return attack(model, images / PIXEL_MAX, masks, masks=known, **settings) * PIXEL_MAX

    return perturb


@torch.no_grad()
def score(source: AttackSource, images: Tensor, clean: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """L-infinity of each perturbation in pixels, infinite where it does not succeed: ``(N,)``."""
    with source.undisturbed():
        wrong = source.logits(images.clamp(0, PIXEL_MAX)).argmax(1) != masks
    reached = meets_threshold(wrong, masks != source.task.ignore_index, threshold)
    return torch.where(reached, (images - clean).abs().flatten(1).amax(1), torch.inf)


def load(arguments: argparse.Namespace) -> tuple[nn.Module, list]:
    config = Config.fromfile(arguments.config)
    config.merge_from_dict(arguments.cfg_options or {})
    prepare_for_testing(config)
    model = build_model(config)
    load_target(model, arguments.checkpoint)
    settings = config.test_dataloader
    settings.update(batch_size=arguments.batch_size, num_workers=0, persistent_workers=False)
    settings.dataset.indices = arguments.images
    return model.eval().to(arguments.device), list(Runner.build_dataloader(settings))


def segmentor_parser(description: Optional[str], images: int) -> argparse.ArgumentParser:
    """What :func:`load` needs, and the threads; ``images`` is how many by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a segmentor')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=images, help='the first of the test set (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes of the config: key=value')
    return parser


def parse_arguments() -> argparse.Namespace:
    parser = segmentor_parser(__doc__, images=8)
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--attacks', nargs='+', choices=contests(1), default=list(contests(1)))
    parser.add_argument('--success-threshold', type=float, default=0.99)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if importlib.util.find_spec('adv_lib') is None:
        print('left out, because not installed: adv-lib')
    model, batches = load(arguments)
    source, threshold = AttackSource(model), arguments.success_threshold
    rows = [['attack', 'by', 'success (%)', 'median size (pixels)', 'mean size', 'CPU s per image']]
    for name in arguments.attacks:
        settings, function, options = contests(arguments.steps)[name]
        versions = {'mmadvdefense': ours(source, dict(settings, success_threshold=threshold))}
        if importlib.util.find_spec('adv_lib') is not None:
            versions['adv-lib'] = theirs(source, function, dict(options, adv_threshold=threshold))
        sizes: dict[str, list[Tensor]] = {version: [] for version in versions}
        seconds = dict.fromkeys(versions, 0.0)
        for data in batches:
            images = stack(data['inputs'])[0].to(arguments.device).float()
            masks = source.task.labels(data['data_samples'], images.device)
            for version, perturb in versions.items():
                start = time.process_time()
                adversarial = perturb(images, data['data_samples'], masks)
                seconds[version] += time.process_time() - start
                sizes[version].append(score(source, adversarial, images, masks, threshold))
        for version in versions:
            size = torch.cat(sizes[version])
            found = size[size.isfinite()]
            middle, mean = (f'{f(found):.2f}' if len(found) else '-' for f in (torch.median, torch.mean))
            share = f'{100 * len(found) / len(size):.0f}'
            rows.append([name, version, share, middle, mean, f'{seconds[version] / len(size):.2f}'])
            print(' | '.join(rows[-1]), flush=True)
    print(GithubFlavoredMarkdownTable(rows).table)


if __name__ == '__main__':
    main()
