"""Runs a grid over many small synthetic images, and prints how much memory the process took at most.

    python benchmarks/grid_memory.py IMAGES [--limit MIB] [--work-dir FOLDER]

The last line is JSON: ``peak`` (resident memory) and ``space`` (address space) in MiB, and ``seconds``. With
``--limit``, the address space cannot grow beyond it: whatever needs more ends in an error.
"""

from __future__ import annotations

import argparse
import json
import resource
import runpy
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mmadvdefense.models import build_model
from mmadvdefense.registry import DATASETS

ROOT = Path(__file__).resolve().parents[1]
SIDE = 8
GRID = """
target = dict(config='{config}', checkpoint='{checkpoint}')
defenses = dict(none=dict(), bits=dict(data_preprocessor=dict(type='BitDepthPurifier', bits=3)))
attacks = dict(FGSM=dict(type='FGSM', eps=4))
threat_models = ['gray-box']
drawn = dict(_delete_=True, type='DrawnImages', number={images}, pipeline=[dict(type='PackInputs')])
test_dataloader = dict(batch_size=200, num_workers=0, dataset=drawn)
"""


@DATASETS.register_module()
class DrawnImages(BaseDataset):
    """Noise of 10 classes that is drawn when it is asked for."""

    METAINFO: dict = dict(classes=tuple(str(digit) for digit in range(10)))

    def __init__(self, number: int, **kwargs):
        self.number = number
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        return [dict(gt_label=index % 10) for index in range(self.number)]

    def prepare_data(self, idx: int) -> dict:
        info = self.get_data_info(idx)
        info['img'] = np.random.RandomState(idx).randint(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        return self.pipeline(info)


def write_grid(folder: Path, images: int) -> Path:
    config = ROOT / 'configs' / 'target' / 'digits_target.py'
    torch.manual_seed(0)
    model = build_model(Config.fromfile(config))
    torch.save({'state_dict': model.state_dict()}, folder / 'target.pth')
    path = folder / 'grid.py'
    path.write_text(GRID.format(config=config, checkpoint=folder / 'target.pth', images=images))
    return path


def status(name: str) -> float:
    """A line of /proc/self/status in MiB."""
    text = Path('/proc/self/status').read_text()
    return int(next(line for line in text.splitlines() if line.startswith(f'{name}:')).split()[1]) / 1024


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=int)
    parser.add_argument('--limit', type=int, default=0, help='MiB of address space; 0 for no limit')
    parser.add_argument('--work-dir', type=Path, help='keep the report and the cache there')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    if arguments.limit:
        resource.setrlimit(resource.RLIMIT_AS, (arguments.limit << 20, resource.RLIM_INFINITY))
    sys.path.insert(0, str(ROOT / 'tools'))
    with tempfile.TemporaryDirectory() as name:
        grid = write_grid(Path(name), arguments.images)
        sys.argv = ['robustness.py', str(grid), '--work-dir', str(arguments.work_dir or Path(name, 'run'))]
        begin = time.perf_counter()
        runpy.run_path(str(ROOT / 'tools' / 'robustness.py'), run_name='__main__')
        seconds = time.perf_counter() - begin
    print(json.dumps(dict(peak=status('VmHWM'), space=status('VmPeak'), seconds=round(seconds, 1))))


if __name__ == '__main__':
    main()
