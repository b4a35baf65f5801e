"""Train configs with several seeds each, for comparisons that need a mean and a spread.

    python benchmarks/train_seeds.py configs/benchmark/resnet20_cifar10_unet_*.py --seeds 0 1 2 --jobs 2

Every run is a separate tools/train.py in <work-dirs>/<config>[_<ablation>]_seed<seed>, with its output in train.log
there. Started again, this skips finished runs and resumes the others. Nothing is validated: tools/robustness.py tests
the results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmengine.config import Config

TRAIN = Path(__file__).resolve().parent.parent / 'tools' / 'train.py'


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=1, help='runs at the same time, which share the CPU cores')
    parser.add_argument('--amp', action='store_true', help='mixed precision, as in tools/train.py')
    parser.add_argument('--ablations', nargs='+', default=[None], help='of each config, as in tools/train.py')
    parser.add_argument('--work-dirs', type=Path, default=Path('work_dirs'))
    return parser.parse_args()


def last_checkpoint(config: Path, folder: Path) -> Path:
    """The checkpoint that a finished run leaves behind."""
    train_cfg = Config.fromfile(config).train_cfg
    iterations = train_cfg.get('max_iters')
    return folder / (f'iter_{iterations}.pth' if iterations else f'epoch_{train_cfg.max_epochs}.pth')


def train(config: Path, seed: int, folder: Path, threads: int, flags: list[str]) -> bool:
    """Train one config with one seed; returns whether it finished."""
    name = folder.name.replace('_seed', ', seed ')
    if last_checkpoint(config, folder).exists():
        print(f'{name}: already finished', flush=True)
        return True
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(TRAIN), str(config), '--work-dir', str(folder), '--resume', '--no-validate', *flags]
    command += ['--cfg-options', f'randomness.seed={seed}']
    start = time.perf_counter()
    with open(folder / 'train.log', 'a') as log:
        environment = {'OMP_NUM_THREADS': str(threads), **os.environ}
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode == 0
    how = f'{time.perf_counter() - start:.0f} s' if done else f'failed, see {folder / "train.log"}'
    print(f'{name}: {how}', flush=True)
    return done


def main() -> None:
    arguments = parse_arguments()
    missing = [str(config) for config in arguments.configs if not config.exists()]
    if missing:
        sys.exit(f'config not found: {missing[0]}')
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    flags = ['--amp'] if arguments.amp else []
    variants = [
        (config, config.stem if name is None else f'{config.stem}_{name}', [] if name is None else ['--ablation', name])
        for config in arguments.configs
        for name in arguments.ablations
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        # All configs run with the first seed first, so that they can be compared before the end.
        runs = [
            pool.submit(train, config, seed, arguments.work_dirs / f'{name}_seed{seed}', threads, [*flags, *own])
            for seed in arguments.seeds
            for config, name, own in variants
        ]
        finished = [run.result() for run in runs]
    sys.exit(0 if all(finished) else 1)


if __name__ == '__main__':
    main()
