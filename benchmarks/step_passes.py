"""How often target, generator and discriminator run in our training step and in the released one, and what that costs.

    python benchmarks/step_passes.py CONFIG [--size 32 32] [--batch-size 64] [--channels-last] [--cfg-options ...]

Passes are counted in batches of clean images: the generator's pass over clean and adversarial images is 2. The sum of
``passes x time`` is what a step cannot do without; beside it stands the whole step. It shows how much faster than the
released step ours can be at all, on this machine and these networks. Times are those of the process, medians of
``--turns``; see ``compare_released.py`` for the comparison of the steps alone.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from compare_released import SIDES, build, parse_arguments
from released_step import ReleasedStep
from step_probe import StepProbe, train_step
from terminaltables import AsciiTable
from torch import Tensor, nn
from train_step import batches

from mmadvdefense.hooks import ChannelsLastHook


def tensors(output) -> list[Tensor]:
    """All tensors of a network's output."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for part in output for tensor in tensors(part)]


class Passes:
    """Counts the images that go through networks, forward and backward, and keeps an input of each.

    Args:
        networks: by name.
    """

    def __init__(self, networks: dict[str, nn.Module]):
        self.networks = networks
        self.images: Counter = Counter()
        self.inputs: dict[str, Tensor] = {}
        for name, network in networks.items():
            network.register_forward_hook(lambda _, args, output, name=name: self._note(name, args[0], output))

    def _note(self, name: str, images: Tensor, output) -> None:
        self.inputs.setdefault(name, images.detach().clone())
        self.images[name, 'forward'] += len(images)
        last = tensors(output)[-1]
        if last.requires_grad:
            last.register_hook(lambda _: self.images.update({(name, 'backward'): len(images)}))


def seconds(call: Callable[[], object], turns: int) -> float:
    taken = []
    for _ in range(turns + 1):
        begin = time.process_time()
        call()
        taken.append(time.process_time() - begin)
    return statistics.median(taken[1:])


def pass_seconds(network: nn.Module, images: Tensor, turns: int) -> dict[str, float]:
    """Seconds per image of a forward pass, and of a backward pass to the images, without and with parameters."""
    images = images.requires_grad_()
    parameters = list(network.parameters())
    tracked = [parameter.requires_grad for parameter in parameters]

    def run(wanted: Sequence[Tensor]) -> None:
        total = torch.stack([tensor.abs().mean() for tensor in tensors(network(images))]).sum()
        torch.autograd.grad(total, wanted, allow_unused=True)

    found = {'forward': seconds(lambda: network(images), turns)}
    for name, track, wanted in (('backward', False, [images]), ('to parameters', True, [images, *parameters])):
        for parameter in parameters:
            parameter.requires_grad_(track)
        found[name] = seconds(lambda wanted=wanted: run(wanted), turns) - found['forward']
    for parameter, before in zip(parameters, tracked):
        parameter.requires_grad_(before)
    return {name: value / len(images) for name, value in found.items()}


def main() -> None:
    arguments = parse_arguments()
    rows = [['side', 'network', 'forward', 'ms', 'backward', 'ms', 'together, ms']]
    for side in SIDES:
        runner, hook = build(arguments)
        if arguments.channels_last and side == 'ours':
            ChannelsLastHook().before_run(runner)
        purifier = runner.model.data_preprocessor
        networks = {'O': runner.model.backbone, 'G': purifier.generator, 'D': purifier.discriminator}
        source, released = batches(runner), ReleasedStep(runner, hook) if side == 'released' else None

        def step(index: int, runner=runner, hook=hook, source=source, released=released) -> object:
            data = next(source)
            return released(data) if released else train_step(runner, hook, data, index, StepProbe())

        # The last layer of a residual generator starts at zero, and passes no gradient back.
        step(0)
        counted = Passes(networks)
        step(1)
        images, batch = dict(counted.images), runner.train_dataloader.batch_size
        whole, forced = 1e3 * seconds(lambda: step(2), arguments.turns), 0.0
        for name, network in networks.items():
            times = pass_seconds(network, counted.inputs[name], arguments.turns)
            # Ours has no gradients of the target's parameters.
            kind = 'backward' if name == 'O' and side == 'ours' else 'to parameters'
            there, back = (images.get((name, way), 0) / batch for way in ('forward', 'backward'))
            cost = 1e3 * batch * (there * times['forward'] + back * times[kind])
            each = (f'{1e3 * batch * times[way]:.0f}' for way in ('forward', kind))
            rows.append([side, name, f'{there:g}', next(each), f'{back:g}', next(each), f'{cost:.0f}'])
            forced += cost
        rows.append([side, 'passes', '', '', '', '', f'{forced:.0f}'])
        rows.append([side, 'whole step', '', '', '', '', f'{whole:.0f}'])
        print(*rows[-2:], sep='\n', flush=True)
    print(AsciiTable(rows).table)


if __name__ == '__main__':
    main()
