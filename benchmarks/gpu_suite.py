"""Everything that only a GPU can show, the most important first, within a given number of minutes.

    python benchmarks/gpu_suite.py --minutes 9 --out work_dirs/gpu_suite [--only STEP ...] [--tiny --device cpu]

Each step is a separate process with a time limit, and the report (``report.md``, ``report.json``) is rewritten after
each, so that a run that is cut off is still of use. The trainings share the GPU in the remaining time; how many
iterations fit is measured first. What cannot run here (no detection operators, no data) fails or is left out, and the
report says so. ``--tiny`` is a dry run with small networks.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Optional

import torch
from timed_steps import ROOT, Outcome, Suite, last_line

PYTHON = sys.executable
# How long it takes to compare one training step; most of it is spent starting Python.
SECONDS_PER_STEP = 18
# The paper's settings: side length of the images, batch size.
STEPS = {
    'wideresnet_cifar10_align': (32, 64),
    'resnet50_cifar10_align': (32, 64),
    'resnet20_cifar10_align': (32, 64),
    'ssd_voc_align': (300, 4),
    'rfbnet_voc_align': (300, 4),
    'pspnet_cityscapes_align': (425, 1),
    'deeplabv3_voc2012_align': (417, 1),
}
TRAININGS = {
    'resnet20_cifar10_long_general': 'data/cifar10/train',
    'resnet20_cifar10_long_adaptive': 'data/cifar10/train',
    'resnet20_cifar10_long_align': 'data/cifar10/train',
    'resnet20_cifar10_long_general_logits': 'data/cifar10/train',
    'resnet20_cifar10_long_paper_generator': 'data/cifar10/train',
}
TINY = (
    'model.backbone.depth=8',
    'data_preprocessor.generator.widths=(4,8)',
    'data_preprocessor.generator.encoder_units=(1,1)',
    'data_preprocessor.generator.decoder_units=(1,)',
)


def run_tests(suite: Suite) -> None:
    """Numbers equal to the CPU's, no waiting inside a step, float16, resume."""

    def read(text: str) -> dict:
        return {word: int(count) for count, word in re.findall(r'(\d+) (passed|failed|skipped|errors?)\b', text)}

    workers = ['-n', '6'] if suite.device == 'cuda' else []
    command = [PYTHON, '-m', 'pytest', '-m', 'cuda', 'tests/cuda', '-p', 'no:cacheprovider', *workers]
    suite.run('cuda_tests', command, 100, read)


def compare_steps(suite: Suite) -> None:
    """Milliseconds and memory of a training step, compared with the released code's, at the paper's settings."""
    for name, (side, batch) in STEPS.items():
        if suite.tiny and name != 'resnet20_cifar10_align':
            continue
        numbers = suite.out / f'step_{name}.json'
        side, turns = (16, 2) if suite.tiny else (side, 6)
        command = [
            PYTHON,
            'benchmarks/compare_released.py',
            f'configs/defense/{name}.py',
            '--size',
            str(side),
            str(side),
        ]
        command += ['--batch-size', str(4 if suite.tiny else batch), '--turns', str(turns), '--device', suite.device]
        command += ['--json', str(numbers), *(['--no-memory', '--cfg-options', *TINY] if suite.tiny else [])]

        def read(_: str, numbers: Path = numbers) -> dict:
            if not numbers.exists():
                return {}
            found = json.loads(numbers.read_text())
            return {
                **{f'ms {side}': time for side, time in found['milliseconds'].items()},
                **{f'MiB {side}': round(size / 2**20) for side, size in found['bytes'].items()},
                'released / ours': found['speed_ratio'],
            }

        suite.run(f'step_{name}', command, 400 if suite.tiny else 40, read)


def train(suite: Suite, reserve: float, workers: int, beside: Callable[[Suite], None]) -> None:
    """Run all trainings side by side until ``reserve`` seconds before the deadline.

    Args:
        suite: runs and records them.
        reserve: seconds to leave for later steps.
        workers: of the data loader of each training.
        beside: what else to run during the trial that measures how fast they are.
    """
    chosen = [name for name, data in TRAININGS.items() if (ROOT / data).is_dir()]
    for name in TRAININGS.keys() - set(chosen):
        suite.record(Outcome(f'train_{name}', 'left out', 0.0, note=f'no {TRAININGS[name]}'))
    chosen = chosen[:1] if suite.tiny else chosen
    trial = 4 if suite.tiny else 60
    begin = time.monotonic()
    processes = {name: _start_training(suite, name, trial, workers) for name in chosen}
    beside(suite)
    _wait(suite, processes, 120)
    start_up = time.monotonic() - begin
    speeds = {name: _seconds_per_iteration(suite.out / name / 'train.log') for name in chosen}
    for name in chosen:
        if speeds[name] is None:
            suite.record(Outcome(f'train_{name}', 'failed', start_up, note=last_line(suite.out / name / 'train.log')))
    running = {}
    begin = time.monotonic()
    time_for_training = suite.left - reserve
    for name, seconds in speeds.items():
        if seconds is not None:
            # Starting the process and loading the data takes about 20 s. The margin is wide because trainings side by
            # side slowed down by up to 1.4 times after their first minute, and one that is cut off has not decayed.
            iterations = trial if suite.tiny else int((time_for_training - 20) * 0.65 / seconds)
            running[name] = (_start_training(suite, name, max(iterations, 2), workers), iterations)
    _wait(suite, {name: process for name, (process, _) in running.items()}, time_for_training)
    for name, (process, iterations) in running.items():
        folder = suite.out / name
        finished = process.returncode == 0
        seconds = _seconds_per_iteration(folder / 'train.log')
        numbers = {'iterations': iterations, 's per iteration': seconds or float('nan')}
        note = '' if finished else last_line(folder / 'train.log')
        status = 'passed' if finished else 'cut off or failed'
        suite.record(Outcome(f'train_{name}', status, time.monotonic() - begin, numbers, note))


def _start_training(suite: Suite, name: str, iterations: int, workers: int) -> subprocess.Popen:
    folder = suite.out / name
    folder.mkdir(parents=True, exist_ok=True)
    half = max(iterations // 2, 1)
    options = [
        f'train_cfg.max_iters={iterations}',
        f'param_scheduler.begin={half}',
        f'param_scheduler.end={max(iterations, half + 1)}',
        f'train_dataloader.num_workers={workers}',
        f'default_hooks.checkpoint.interval={max(iterations // 3, 1)}',
        'default_hooks.checkpoint.max_keep_ckpts=2',
        'default_hooks.logger.interval=20',
        f'env_cfg.cudnn_benchmark={suite.device == "cuda"}',
    ]
    if workers:
        options += ['train_dataloader.persistent_workers=True', 'train_dataloader.pin_memory=True']
    if suite.tiny:
        options += [*TINY, 'train_dataloader.batch_size=4', 'load_from=None', 'custom_hooks.0.require_checkpoint=False']
        options += ['default_hooks.logger.interval=1']
    command = [PYTHON, 'tools/train.py', f'configs/benchmark/{name}.py', '--work-dir', str(folder), '--no-validate']
    return suite.start([*command, '--cfg-options', *options], folder / 'train.log')


def _wait(suite: Suite, processes: dict[str, subprocess.Popen], limit: float) -> None:
    end = time.monotonic() + min(limit, suite.left)
    for process in processes.values():
        try:
            process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            suite.stop(process)


def _seconds_per_iteration(log: Path) -> Optional[float]:
    """The last value in MMEngine's log, a mean over recent iterations."""
    found = re.findall(r'\btime: ([\d.]+)', log.read_text(errors='replace')) if log.exists() else []
    return float(found[-1]) if found else None


def export(suite: Suite) -> None:
    """Export only the generators, which are small enough to be copied."""
    for name in TRAININGS:
        checkpoints = sorted((suite.out / name).glob('iter_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
        if checkpoints:
            command = [PYTHON, 'tools/export_purifier.py', f'configs/benchmark/{name}.py', str(checkpoints[-1])]
            tiny = ['--cfg-options', *TINY] if suite.tiny else []
            suite.run(f'export_{name}', [*command, str(suite.out / f'{name}.pth'), *tiny], 40)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=9.0, help='time for everything')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_suite'))
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument('--only', nargs='+', choices=['tests', 'steps', 'train'], default=['tests', 'steps', 'train'])
    parser.add_argument('--trainings', nargs='+', choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument('--workers', type=int, default=3, help='data loader workers of each training')
    parser.add_argument('--tiny', action='store_true', help='a dry run with small networks')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('there is no GPU here; --tiny --device cpu tries out the suite itself')
    suite = Suite(arguments.out.resolve(), arguments.minutes, arguments.device, arguments.tiny)
    for name in TRAININGS.keys() - set(arguments.trainings):
        del TRAININGS[name]
    tests = run_tests if 'tests' in arguments.only else lambda suite: None
    with_steps = 'steps' in arguments.only
    if 'train' in arguments.only:
        reserve = 0 if suite.tiny else 30 + with_steps * SECONDS_PER_STEP * len(STEPS)
        train(suite, reserve, arguments.workers, beside=tests)
        export(suite)
    else:
        tests(suite)
    # Last, because nothing else may run at the same time.
    if with_steps:
        compare_steps(suite)
    print((suite.out / 'report.md').read_text())


if __name__ == '__main__':
    main()
