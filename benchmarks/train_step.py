"""Where one training step of a purifier spends its time and memory.

    python benchmarks/train_step.py configs/defense/resnet20_cifar10_align.py [--iters 10] [--size 32 32]
        [--batch-size 64] [--device cuda] [--cfg-options model.backbone.depth=56]

Weights are random and images synthetic, so neither checkpoints nor data are needed. The images are on the device
already: the data loader and the copy to the device are not part of the step. Each stage's time excludes the stages
inside it. On CUDA, every stage waits for the device; the whole step is timed again without that, and one step runs with
PyTorch's sync debug mode at ``error``, which shows that nothing in it waits for the device.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import traceback
from typing import Iterator, Optional, Sequence

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.runner import Runner
from step_probe import STAGES, StepProbe, train_step
from terminaltables import AsciiTable

import mmadvdefense.testing.synthetic  # noqa: F401  registers SyntheticImages
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.hosts import HOSTS
from mmadvdefense.tasks import task_of
from mmadvdefense.training.preparation import prepare_for_training


def build_runner(
    config: Config,
    size: Sequence[int] = (32, 32),
    batch_size: Optional[int] = None,
    device: Optional[str] = None,
    work_dir: Optional[str] = None,
) -> tuple[Runner, PurifierTrainHook]:
    """A runner that is ready for its first iteration, with synthetic images and random weights.

    Args:
        config: of a defense. A config with a purifier but no ``PurifierTrainHook`` gets the default recipe.
        size: height and width of the images.
        batch_size: by default the config's.
        device: by default MMEngine's choice.
        work_dir: where the runner's log goes; by default a temporary directory.

    Returns:
        The runner, and its hook that makes adversarial images.
    """
    prepare_for_training(config, random_weights=True)
    batch_size = batch_size or config.train_dataloader.batch_size
    scope = config.default_scope
    config.train_dataloader = ConfigDict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type=HOSTS[scope].collate),
        dataset=dict(type='SyntheticImages', scope=scope, size=tuple(size), length=4 * batch_size),
    )
    for stage in ('val', 'test'):
        config[f'{stage}_dataloader'] = config[f'{stage}_evaluator'] = config[f'{stage}_cfg'] = None
    config.update(log_level='WARNING', work_dir=work_dir or tempfile.mkdtemp())
    runner = Runner.from_cfg(config)
    if device is not None:
        runner.model.to(device)
    runner.model.init_weights()
    dataset, task = runner.train_dataloader.dataset, task_of(runner.model)
    dataset.num_classes = task.num_classes
    if (ignored := getattr(task, 'ignore_index', None)) is not None:
        dataset.ignore_index = ignored
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, 1 << 30)
    hook = next(hook for hook in runner.hooks if isinstance(hook, PurifierTrainHook))
    # Runner.train does it, too.
    if modules := config.get('efficient_conv_bn_eval'):
        turn_on_efficient_conv_bn_eval(runner.model, modules)
    hook.before_train(runner)
    runner.model.train()
    return runner, hook


def batches(runner: Runner) -> Iterator[dict]:
    """The runner's batches on the model's device, forever."""
    device = runner.model.data_preprocessor.device
    loaded = []
    for batch in runner.train_dataloader:
        inputs = batch['inputs']
        inputs = inputs.to(device) if isinstance(inputs, torch.Tensor) else [image.to(device) for image in inputs]
        loaded.append({'inputs': inputs, 'data_samples': [sample.to(device) for sample in batch['data_samples']]})
    while True:
        for batch in loaded:
            # The training step is added to its batch, and preprocessors write into data samples.
            yield {'inputs': batch['inputs'], 'data_samples': [sample.clone() for sample in batch['data_samples']]}


def report(probe: StepProbe, iterations: int, whole: float, peak: str) -> str:
    """Tables of times and counts.

    Args:
        probe: after ``iterations`` steps.
        whole: seconds per step, without waiting after each stage.
        peak: peak memory.
    """
    rows = [['stage', 'ms', 'share']]
    means = {stage: sum(times) / iterations for stage, times in probe.seconds.items()}
    total = sum(means.values())
    rows += [[label, f'{means[key] * 1e3:.1f}', f'{means[key] / total:.1%}'] for key, label in STAGES.items()]
    rows += [['whole step', f'{whole * 1e3:.1f}', ''], ['peak memory', peak, '']]
    times = AsciiTable(rows, 'one training step')
    times.inner_footing_row_border = True
    runs = [['network', 'runs per step']]
    runs += [[name, f'{probe.counts[name] / iterations:g}'] for name in ('G', 'D')]
    labels = {'attack': 'in the attack', 'reference': 'on the clean images', 'O': 'for the task loss and the features'}
    runs += [[f'O {label}', f'{probe.counts["O", stage] / iterations:g}'] for stage, label in labels.items()]
    return f'{times.table}\n{AsciiTable(runs).table}'


def check_synchronization(runner: Runner, hook: PurifierTrainHook, batch: dict, index: int) -> bool:
    """Whether a step on CUDA runs without ever waiting for the device; if not, prints where it waits."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        train_step(runner, hook, batch, index, StepProbe())
    except RuntimeError:
        traceback.print_exc()
        return False
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return True


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a config of configs/defense, or any OpenMMLab config with a purifier')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    parser.add_argument('--iters', type=int, default=10, help='number of steps to average over')
    parser.add_argument('--warm-up', type=int, default=2, help='number of steps before measuring')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--size', type=int, nargs=2, default=(32, 32), metavar=('H', 'W'), help='size of the images')
    parser.add_argument('--batch-size', type=int, help="default: the config's")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    config = Config.fromfile(arguments.config)
    if arguments.cfg_options:
        config.merge_from_dict(arguments.cfg_options)
    on_cuda = arguments.device == 'cuda'
    synchronize = torch.cuda.synchronize if on_cuda else lambda: None
    runner, hook = build_runner(config, arguments.size, arguments.batch_size, arguments.device)
    source, index = batches(runner), 0

    def run(iterations: int, probe: StepProbe) -> float:
        nonlocal index
        synchronize()
        begin = time.perf_counter()
        for _ in range(iterations):
            train_step(runner, hook, next(source), index, probe)
            index += 1
        synchronize()
        return (time.perf_counter() - begin) / iterations

    run(arguments.warm_up, StepProbe())
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()
    whole = run(arguments.iters, StepProbe())
    # ru_maxrss is in KiB and counts the whole process, Python and the libraries included.
    peak = torch.cuda.max_memory_allocated() if on_cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    probe = StepProbe(synchronize)
    with probe.installed(runner):
        run(arguments.iters, probe)
    print(report(probe, arguments.iters, whole, f'{peak / 2**20:.0f} MiB'))
    if on_cuda:
        free = check_synchronization(runner, hook, next(source), index)
        print('no operation of a step waits for the device' if free else 'a step waits for the device: see above')
        sys.exit(not free)


if __name__ == '__main__':
    main()
