"""Train a small model, another one to craft attacks on, and a purifier; attack it, and show the result.

Everything is made from scikit-learn's handwritten digits: nothing is downloaded. The same can be done step by step with
``tools/train.py`` and ``tools/test.py`` and the configs named here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import torch
from _common import run
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmadvdefense.attacks import build_attack
from mmadvdefense.datasets import write_digit_scenes
from mmadvdefense.evaluation import Result, collect_examples, evaluate, robustness_table
from mmadvdefense.evaluation.conditions import conditions
from mmadvdefense.evaluation.report.example_pictures import (
    class_boxes,
    class_captions,
    class_masks,
    robustness_picture,
)
from mmadvdefense.pipelines import channel_order
from mmadvdefense.saving import write_json
from mmadvdefense.tasks import task_of
from mmadvdefense.threats import ThreatModel
from mmadvdefense.training.preparation import prepare_for_testing, prepare_for_training
from mmadvdefense.training.runner import build_runner

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'


@dataclass(frozen=True)
class Demo:
    """The configs of one task's demo, relative to ``configs/``."""

    target: str
    source: str
    defense: str
    attack: str
    data: Optional[Callable[[], Path]] = None


def write_scenes() -> Path:
    return write_digit_scenes('data/digit_scenes')


DEMOS = {
    'cls': Demo(
        'target/digits_target.py', 'target/digits_source.py', 'demo/digits_align.py', '_base_/attacks/pgd_digits.py'
    ),
    'seg': Demo(
        'target/scenes_seg_target.py',
        'target/scenes_seg_source.py',
        'demo/scenes_seg_align.py',
        'attacks/bim_scenes_seg.py',
        write_scenes,
    ),
    'det': Demo(
        'target/scenes_det_target.py',
        'target/scenes_det_source.py',
        'demo/scenes_det_align.py',
        'attacks/bim_scenes_det.py',
        write_scenes,
    ),
}


class ProgressHook(Hook):
    """One line per epoch."""

    priority = 'VERY_LOW'

    def __init__(self, title: str):
        self.title = title

    def before_train(self, runner: Runner) -> None:
        self._start = time.perf_counter()

    def after_train_epoch(self, runner: Runner) -> None:
        loss = runner.message_hub.get_scalar('train/loss').current()
        seconds = time.perf_counter() - self._start
        done = f'{runner.epoch + 1}/{runner.max_epochs}'
        print(f'  {self.title}  epoch {done:>5}  loss {loss:8.3f}  {seconds:4.0f} s', flush=True)


def train_one(title: str, config_path: str, work_dir: Path, load_from: Optional[Path] = None) -> Path:
    """Train a config of this project, quietly.

    Returns:
        its last checkpoint.
    """
    config = load(config_path, work_dir)
    if load_from is not None:
        config.load_from = str(load_from)
    # Scores come at the end.
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    prepare_for_training(config)
    print(f'{title}: {(CONFIGS / config_path).relative_to(ROOT)}', flush=True)
    runner = build_runner(config)
    runner.register_hook(ProgressHook(title))
    runner.train()
    return work_dir / f'epoch_{runner.max_epochs}.pth'


def load(config_path: str, work_dir: Path) -> Config:
    config = Config.fromfile(CONFIGS / config_path)
    config.work_dir = str(work_dir)
    config.log_level = 'ERROR'
    return config


def test(demo: Demo, checkpoint: Path, source: Path, work_dir: Path) -> tuple[Runner, list[Result]]:
    """Clean, gray-box and transfer, without and with the purifier."""
    config = load(demo.defense, work_dir)
    config.load_from = str(checkpoint)
    prepare_for_testing(config)
    runner = Runner.from_cfg(config)
    attack = Config.fromfile(CONFIGS / demo.attack).attack
    other = dict(config=str(CONFIGS / demo.source), checkpoint=str(source))
    return runner, evaluate(runner, conditions(attack, [ThreatModel('gray-box'), ThreatModel('transfer', other)]))


def draw(runner: Runner, demo: Demo, path: Path) -> None:
    """A few test images under the gray-box attack, with what the model makes of them."""
    dataset = runner.test_dataloader.dataset
    classes = dataset.metainfo['classes']
    items = [dataset[index] for index in _chosen(dataset)]
    batch = {'inputs': [item['inputs'] for item in items], 'data_samples': [item['data_samples'] for item in items]}
    attack = build_attack(Config.fromfile(CONFIGS / demo.attack).attack)
    examples = collect_examples(runner.model, attack, [batch], count=len(items))
    task = task_of(runner.model)
    captions, decorate = {}, None
    if task.one_label:
        captions = {state: class_captions(predictions) for state, predictions in examples.predictions.items()}
    elif task.has_class_scores:
        decorate = class_masks(examples.predictions, len(classes))
    else:
        decorate = class_boxes(examples.predictions, classes)
    robustness_picture(path, examples, captions, channel_order=channel_order(dataset) or 'rgb', decorate=decorate)


def _chosen(dataset: BaseDataset) -> list[int]:
    """The first image of each of eight classes where an image has one, else the first four images."""
    labels = [dataset.get_data_info(index).get('gt_label') for index in range(len(dataset))]
    if labels[0] is None:
        return list(range(min(4, len(dataset))))
    return [labels.index(label) for label in sorted(set(labels))[:8]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--task', choices=sorted(DEMOS), default='cls', help='which models (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/demo/TASK')
    arguments = parser.parse_args()
    demo = DEMOS[arguments.task]
    work_dir = arguments.work_dir or ROOT / 'work_dirs' / 'demo' / arguments.task
    # Small models gain nothing from more, and sums come out in the same order on every machine with two cores.
    torch.set_num_threads(2)
    start = time.perf_counter()
    if demo.data is not None:
        print(f'data: {demo.data()}', flush=True)
    target = train_one('target', demo.target, work_dir / 'target')
    source = train_one('source', demo.source, work_dir / 'source')
    defense = train_one('purifier', demo.defense, work_dir / 'purifier', load_from=target)
    print('attacks, without and with the purifier', flush=True)
    runner, results = test(demo, defense, source, work_dir / 'test')
    picture = work_dir / 'picture.png'
    draw(runner, demo, picture)
    write_json(work_dir / 'results.json', {'task': arguments.task, 'results': [item.as_dict() for item in results]})
    print(robustness_table(results))
    print(f'{time.perf_counter() - start:.0f} s; picture: {picture}; numbers: {work_dir / "results.json"}')


if __name__ == '__main__':
    run(main)
