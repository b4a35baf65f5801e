"""How long purifier, model and both take for a batch, in PyTorch and in ONNX Runtime, on the CPU.

    python benchmarks/latency.py CONFIG CHECKPOINT --purifier zoo://general_resnet20_cifar10 --size 32 32

Needs ``pip install -e .[deploy]``. All take turns, so that other load on the machine affects them alike; the numbers
are medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable

import torch
from mmengine.config import Config
from terminaltables import AsciiTable
from torch import Tensor, nn

from mmadvdefense.apis.deployment import PixelGenerator, ProtectedScores, export_module, load_exported
from mmadvdefense.apis.settings import purifier_settings
from mmadvdefense.checkpoints import load_target
from mmadvdefense.models import build_model
from mmadvdefense.training.preparation import prepare_for_testing
from mmadvdefense.training.purifier_config import override_purifier


class BareScores(nn.Module):
    """The class scores of the model alone, of raw pixels."""

    def __init__(self, protected: ProtectedScores):
        super().__init__()
        self.protected = protected

    def forward(self, images: Tensor) -> Tensor:
        task = self.protected.task
        return task.logits(task.preprocess(self.protected.native, images))


def build(arguments: argparse.Namespace) -> dict[str, nn.Module]:
    config = Config.fromfile(arguments.config)
    override_purifier(config, purifier_settings(arguments.purifier))
    prepare_for_testing(config)
    model = build_model(config)
    load_target(model, arguments.checkpoint)
    protected = ProtectedScores(model.eval()).eval()
    purifier = PixelGenerator(model.data_preprocessor).eval()
    return {'purifier': purifier, 'model': BareScores(protected).eval(), 'both': protected}


def milliseconds(run: Callable[[Tensor], Tensor], images: Tensor) -> float:
    begin = time.perf_counter()
    with torch.no_grad():
        run(images)
    return (time.perf_counter() - begin) * 1000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a classifier or segmentor without a purifier')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--purifier', required=True, help='a file of tools/export_purifier.py, or zoo://NAME')
    parser.add_argument('--size', type=int, nargs=2, default=(32, 32), metavar=('H', 'W'), help='of the images')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=(1, 8))
    parser.add_argument('--turns', type=int, default=20)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of both')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    modules = build(arguments)
    rows = [['', *(f'{engine}, batch {n}' for n in arguments.batch_sizes for engine in ('PyTorch', 'ONNX Runtime'))]]
    cells: dict[str, list[str]] = {name: [] for name in modules}
    with tempfile.TemporaryDirectory() as folder:
        for number in arguments.batch_sizes:
            runs: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {}
            for name, module in modules.items():
                path = Path(folder) / f'{name}_{number}.onnx'
                export_module(module, path, 'onnx', arguments.size, number)
                runs[name, 'PyTorch'], runs[name, 'ONNX'] = module, load_exported(path, 'onnx')
            images = torch.rand(number, 3, *arguments.size) * 255
            times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
            for turn in range(arguments.turns + 2):
                for key, run in runs.items():
                    taken = milliseconds(run, images)
                    # The first turns allocate memory.
                    if turn >= 2:
                        times[key].append(taken)
            for (name, _), values in times.items():
                cells[name].append(f'{statistics.median(values):.2f}')
    rows += [[name, *values] for name, values in cells.items()]
    print(f'milliseconds per batch, {arguments.size[0]} x {arguments.size[1]} pixels, {arguments.threads} thread(s)')
    print(AsciiTable(rows).table)


if __name__ == '__main__':
    main()
