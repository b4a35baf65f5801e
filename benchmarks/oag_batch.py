"""How much longer OAG takes for a batch than for one image.

    python benchmarks/oag_batch.py [--device cuda] [--batch-size 16] [--size 32] [--steps 10]

One image and the batch take turns, so that other load on the machine affects both alike; the ratio is the median over
the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from mmadvdefense.purifiers import OAGPurifier
from mmadvdefense.randomness import Randomness


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--size', type=int, default=32, help='side length of the images')
    parser.add_argument('--steps', type=int, default=10, help='network steps')
    parser.add_argument('--filters', type=int, default=8)
    parser.add_argument('--stride', type=int, default=7)
    parser.add_argument('--turns', type=int, default=9)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of PyTorch')
    return parser.parse_args()


def milliseconds(purifier: OAGPurifier, images: torch.Tensor) -> float:
    randomness = Randomness(list(range(len(images))))
    begin = time.perf_counter()
    # No explicit synchronization: the check for divergence at the end waits for the device.
    purifier.purify(images, randomness)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    network = dict(type='EnergyNetworks', num_filters=arguments.filters, stride=arguments.stride)
    purifier = OAGPurifier(num_steps=arguments.steps, network=network, native_type='mmengine.ImgDataPreprocessor').to(
        arguments.device
    )
    images = torch.rand(arguments.batch_size, 3, arguments.size, arguments.size, device=arguments.device) * 255
    milliseconds(purifier, images)
    alone, together = zip(
        *((milliseconds(purifier, images[:1]), milliseconds(purifier, images)) for _ in range(arguments.turns))
    )
    ratio = statistics.median(batch / one for one, batch in zip(alone, together))
    print(
        f'one image: median {statistics.median(alone):.0f} ms, fastest {min(alone):.0f} ms\n'
        f'{arguments.batch_size} images: median {statistics.median(together):.0f} ms, fastest {min(together):.0f} ms\n'
        f'ratio of the batch to one image: median {ratio:.2f}, fastest to fastest {min(together) / min(alone):.2f}'
    )


if __name__ == '__main__':
    main()
