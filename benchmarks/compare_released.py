"""Our training step compared with that of the released code, on the same networks, images and attack.

    python benchmarks/compare_released.py CONFIG [--size 32 32] [--batch-size 64] [--turns 6] [--device cuda]
        [--channels-last] [--compile] [--cfg-options ...] [--json FILE]

The two take turns in one process, so that other load on the machine affects both alike; the ratio is the median over
the turns. On a CPU, times are those of the process, in which time that it waits for its turn does not count. With
``--channels-last``, our side has the weights of its convolutions in that layout, as ``ChannelsLastHook`` stores them,
and with ``--compile`` ``CompileHook`` compiles it; the released code knows nothing of either, nor of a config's
``efficient_conv_bn_eval``. Memory is the peak of what a step allocates, without weights and optimizers. Weights are
random and images synthetic; see ``released_step.py`` for what the released step does. Neither side has the perceptual
term.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from released_step import ReleasedStep
from step_probe import StepProbe, train_step
from terminaltables import AsciiTable
from torch.profiler import ProfilerActivity, profile
from train_step import batches, build_runner

from mmadvdefense.hooks import ChannelsLastHook, CompileHook, PurifierTrainHook

SIDES = ('ours', 'released')


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a config of configs/defense with a discriminator')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    parser.add_argument('--size', type=int, nargs=2, default=(32, 32), metavar=('H', 'W'), help='size of the images')
    parser.add_argument('--batch-size', type=int, help="default: the config's")
    parser.add_argument('--turns', type=int, default=6, help='measured steps of each side')
    parser.add_argument('--warm-up', type=int, default=2, help='steps of each side before measuring')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--channels-last', action='store_true', help='store our weights in channels-last layout')
    parser.add_argument('--compile', action='store_true', help='compile our generator and backbone')
    parser.add_argument('--json', help='also write the numbers to this file')
    parser.add_argument('--no-memory', action='store_true', help='times only')
    return parser.parse_args()


def prepare(arguments: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """For each side, a function that takes one step; both see equal models and the same batches in the same order."""
    (runner, hook), (theirs, their_hook) = (build(arguments, side) for side in SIDES)
    if arguments.channels_last:
        ChannelsLastHook().before_run(runner)
    if arguments.compile:
        CompileHook().before_train(runner)
    released = ReleasedStep(theirs, their_hook)
    sources = {'ours': batches(runner), 'released': batches(theirs)}
    counter = iter(range(1 << 30))
    return {
        'ours': lambda: train_step(runner, hook, next(sources['ours']), next(counter), StepProbe()),
        'released': lambda: released(next(sources['released'])),
    }


def build(arguments: argparse.Namespace, side: str) -> tuple[Runner, PurifierTrainHook]:
    torch.manual_seed(0)
    config = Config.fromfile(arguments.config)
    if arguments.cfg_options:
        config.merge_from_dict(arguments.cfg_options)
    for hook in config.get('custom_hooks') or ():
        if 'losses' in hook:
            hook.losses = [loss for loss in hook.losses if loss['type'] != 'PerceptualLoss']
    if side == 'released':
        config.efficient_conv_bn_eval = None
    return build_runner(config, arguments.size, arguments.batch_size, arguments.device)


def measure(steps: dict[str, Callable], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds per turn, by side."""
    on_cuda = arguments.device == 'cuda'
    synchronize = torch.cuda.synchronize if on_cuda else lambda: None
    clock = time.perf_counter if on_cuda else time.process_time
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(arguments.warm_up):
        for step in steps.values():
            step()
    for turn in range(arguments.turns):
        # They take turns in going first.
        for side in sorted(SIDES, reverse=turn % 2 == 1):
            synchronize()
            begin = clock()
            steps[side]()
            synchronize()
            seconds[side].append(clock() - begin)
    return seconds


def cuda_bytes(step: Callable) -> int:
    """Peak allocation of a step, not counting what is there already: weights, optimizers, images."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def cpu_bytes(step: Callable) -> int:
    """The same on a CPU, from the profiler's record of every allocation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())['traceEvents']
    changes = sorted((event['ts'], event['args']['Bytes']) for event in events if event['name'] == '[memory]')
    return max(itertools.accumulate((size for _, size in changes), initial=0))


def main() -> None:
    arguments = parse_arguments()
    steps = prepare(arguments)
    seconds = measure(steps, arguments)
    needed = dict.fromkeys(SIDES, float('nan'))
    if not arguments.no_memory:
        peak = cuda_bytes if arguments.device == 'cuda' else cpu_bytes
        needed = {side: peak(step) for side, step in steps.items()}
    median = {side: statistics.median(times) for side, times in seconds.items()}
    ratio = statistics.median(theirs / ours for ours, theirs in zip(*(seconds[side] for side in SIDES)))
    share = needed['ours'] / needed['released']
    rows = [['step', 'median ms', 'MiB']]
    rows += [[side, f'{median[side] * 1e3:.1f}', f'{needed[side] / 2**20:.0f}'] for side in SIDES]
    rows += [['released / ours', f'{ratio:.2f}', ''], ['ours / released', '', f'{share:.2f}']]
    print(AsciiTable(rows, arguments.config).table)
    if arguments.json:
        numbers = dict(
            config=arguments.config,
            size=list(arguments.size),
            turns=arguments.turns,
            speed_ratio=ratio,
            memory_ratio=share,
            milliseconds={side: median[side] * 1e3 for side in SIDES},
            bytes={} if arguments.no_memory else needed,
        )
        with open(arguments.json, 'w') as file:
            json.dump(numbers, file, indent=2)


if __name__ == '__main__':
    main()
