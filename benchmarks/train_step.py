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
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import Callable, Iterator, Optional, Sequence
from unittest import mock

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.runner import Runner
from terminaltables import AsciiTable
from torch import nn

import mmadvdefense.testing.synthetic  # noqa: F401  registers SyntheticImages
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.hosts import HOSTS
from mmadvdefense.tasks import task_of
from mmadvdefense.training.preparation import prepare_for_training

STAGES = {
    'attack': 'attack',
    'reference': 'reference O(x_c)',
    'G': 'G forward',
    'O': 'O forward and task loss',
    'D': 'D forward',
    'losses': 'loss terms',
    'backward': 'backward',
    'optimizer': 'optimizer step',
    'step': 'everything else',
}


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
    runner.train_dataloader.dataset.num_classes = task_of(runner.model).num_classes
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, 1 << 30)
    hook = next(hook for hook in runner.hooks if isinstance(hook, PurifierTrainHook))
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


class StepProbe:
    """Times and counts what runs in a training step. It changes nothing, and :meth:`installed` removes it again.

    Attributes:
        seconds: for each stage, the time it took in each step, without the stages inside it.
        counts: how often ``'G'``, ``'D'`` and, for O, ``('O', stage)`` have run.

    Args:
        synchronize: is called before the clock is read.
    """

    def __init__(self, synchronize: Callable[[], None] = lambda: None):
        self.synchronize = synchronize
        self.seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self.counts: Counter = Counter()
        self._running: list[str] = []
        self._current: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._since = 0.0

    # --- the clock ------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Add the time since the last turn to the innermost running stage."""
        self.synchronize()
        now = time.perf_counter()
        if self._running:
            self._current[self._running[-1]] += now - self._since
        self._since = now

    def enter(self, stage: str) -> None:
        self._turn()
        self._running.append(stage)

    def leave(self, stage: str) -> None:
        self._turn()
        assert self._running.pop() == stage, f'{stage} is not the innermost stage'

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        self.enter(stage)
        try:
            yield
        finally:
            self.leave(stage)

    def timed(self, stage: str, function: Callable) -> Callable:
        def call(*args, **kwargs):
            with self.stage(stage):
                return function(*args, **kwargs)

        return call

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a whole step."""
        self._current = dict.fromkeys(STAGES, 0.0)
        with self.stage('step'):
            yield
        for stage, times in self.seconds.items():
            times.append(self._current[stage])

    # --- what it observes -----------------------------------------------------------------------------------

    @contextmanager
    def installed(self, runner: Runner) -> Iterator[StepProbe]:
        """Hooks on O, G and D, and a clock around the reference, the backward pass and the optimizer."""
        model, optim_wrapper = runner.model, runner.optim_wrapper
        purifier, task = model.data_preprocessor, type(task_of(model))
        handles = [
            *self._watch(purifier.generator, 'G'),
            *(self._watch(purifier.discriminator, 'D') if getattr(purifier, 'discriminator', None) else []),
            model.backbone.register_forward_pre_hook(self._count_target),
            model.register_forward_pre_hook(self._enter_target, with_kwargs=True),
            # The training hook computes the loss terms in its own forward hook, which runs between these two.
            model.register_forward_hook(self._enter_losses, with_kwargs=True, prepend=True),
            model.register_forward_hook(self._leave_losses, with_kwargs=True),
        ]
        with ExitStack() as patches:
            timed = {
                (task, 'reference'): self.timed('reference', task.reference),
                (optim_wrapper, 'backward'): self.timed('backward', optim_wrapper.backward),
                (optim_wrapper, 'step'): self.timed('optimizer', optim_wrapper.step),
            }
            for (owner, name), function in timed.items():
                patches.enter_context(mock.patch.object(owner, name, function))
            try:
                yield self
            finally:
                for handle in handles:
                    handle.remove()

    def _watch(self, module: nn.Module, name: str) -> list:
        def begin(*_) -> None:
            self.counts[name] += 1
            self.enter(name)

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(lambda *_: self.leave(name))]

    def _count_target(self, *_) -> None:
        # Every host has a backbone, whereas tasks may call parts of a model other than its forward.
        self.counts['O', self._running[-1]] += 1

    def _in_training(self, kwargs: dict) -> bool:
        return kwargs.get('mode') == 'loss' and 'attack' not in self._running

    def _enter_target(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if self._in_training(kwargs):
            self.enter('O')

    def _enter_losses(self, module: nn.Module, args: tuple, kwargs: dict, output) -> None:
        if self._in_training(kwargs):
            self.leave('O')
            self.enter('losses')

    def _leave_losses(self, module: nn.Module, args: tuple, kwargs: dict, output) -> None:
        if self._in_training(kwargs):
            self.leave('losses')


def train_step(runner: Runner, hook: PurifierTrainHook, batch: dict, index: int, probe: StepProbe) -> dict:
    """What MMEngine's training loop runs for one batch, with only the hook that makes the adversarial half."""
    with probe.step():
        with probe.stage('attack'):
            hook.before_train_iter(runner, index, batch)
        outputs = runner.model.train_step(batch, runner.optim_wrapper)
        hook.after_train_iter(runner, index, batch, outputs)
    return outputs


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
