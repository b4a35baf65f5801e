"""What each objective does to a detector: its boxes before and after non-maximum suppression, F1 and errors."""

from __future__ import annotations

import argparse
from typing import Optional

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from terminaltables import GithubFlavoredMarkdownTable

from mmadvdefense.attacks import AttackSource, Randomness, build_attack
from mmadvdefense.randomness import image_seeds
from mmadvdefense.tasks import annotations_in_input_frame
from mmadvdefense.tasks.detections.error_types import ERROR_TYPES
from mmadvdefense.training.preparation import prepare_for_testing

OBJECTIVES = ('untargeted', 'vanish', 'fabricate', 'mislabel', 'mislabel_least', 'latency', 'cwa', 'cls+loc', 'DAG')


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a detector')
    parser.add_argument('checkpoint')
    parser.add_argument('--objectives', nargs='+', default=['clean', *OBJECTIVES], help='default: all')
    parser.add_argument('--images', type=int, default=50, help='the first of the test set')
    parser.add_argument('--batch-size', type=int, default=10)
    parser.add_argument('--eps', type=float, default=8.0, help='pixels (0-255)')
    parser.add_argument('--steps', type=int, default=10, help='each of eps / 4 pixels')
    return parser.parse_args()


def attack_of(objective: str, arguments: argparse.Namespace) -> Optional[dict]:
    if objective == 'clean':
        return None
    common = dict(eps=arguments.eps, step_size=arguments.eps / 4, steps=arguments.steps)
    return (
        dict(type='DetectionDAG', **common) if objective == 'DAG' else dict(type='PGD', objective=objective, **common)
    )


def measure(runner: Runner, attack: Optional[dict]) -> list[float]:
    """Means per image: boxes above the threshold before suppression, then the columns of the table."""
    source = AttackSource(runner.model)
    dataset = runner.test_dataloader.dataset
    in_frame = annotations_in_input_frame(dataset)
    threshold = source.task.score_threshold or 0.0
    rows = []
    for data in runner.test_dataloader:
        images = torch.stack(data['inputs']).float()
        samples = source.task.in_input_frame(data['data_samples'], in_frame)
        if attack is not None:
            seeds = image_seeds(0, 'test', images, samples)
            images = build_attack(attack)(source, images, samples, Randomness(seeds))
        with torch.no_grad():
            found = source.candidates(images, source.prepare_samples(images, samples))
            before = found.per_image((found.scores > threshold).double())
            scores = source.task.score_samples(
                runner.model.test_step({'inputs': images, 'data_samples': data['data_samples']}), in_frame
            )
        columns = [before, *scores.errors.values(), 100 * scores.score]
        rows.append(torch.stack([column.double() for column in columns], 1))
    return torch.cat(rows).nanmean(0).tolist()


def main() -> None:
    arguments = parse_arguments()
    config = Config.fromfile(arguments.config)
    config.load_from, config.work_dir, config.log_level = (
        arguments.checkpoint,
        'work_dirs/detection_objectives',
        'ERROR',
    )
    config.test_dataloader.batch_size = arguments.batch_size
    config.test_dataloader.dataset.indices = arguments.images
    prepare_for_testing(config)
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    runner.model.eval()
    rows = [['objective', 'before NMS', *ERROR_TYPES, 'F1 (%)']]
    for objective in arguments.objectives:
        numbers = measure(runner, attack_of(objective, arguments))
        rows.append([objective, *(f'{number:.2f}' for number in numbers[:-1]), f'{numbers[-1]:.1f}'])
        print(rows[-1], flush=True)
    print(GithubFlavoredMarkdownTable(rows).table)


if __name__ == '__main__':
    main()
