"""Example images of a test for reports: clean, adversarial and purified."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence, Union

import numpy as np
from mmengine.dist import collect_results, get_rank, get_world_size
from mmengine.hooks import Hook
from torch import Tensor

from ..checkpoints import save_file_atomically
from ..pixels import round_to_8bit, unstack
from .attack import AttackHook


class ExampleImagesHook(Hook):
    """Keeps images spread evenly over the data set, rounded to 8 bits.

    Args:
        attack: the hook whose images are kept.
        count: number of images.
    """

    # Runs after the attack hook has measured the batch.
    priority = 'LOW'

    def __init__(self, attack: AttackHook, count: int):
        self.attack = attack
        self.count = count

    def before_test_epoch(self, runner) -> None:
        self._size = len(runner.test_dataloader.dataset)
        count = min(self.count, self._size)
        self._wanted = {index * self._size // count for index in range(count)} if count else set()
        self._seen = 0
        self._kept: list[dict[str, np.ndarray]] = []

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        batch = self.attack.batch
        if batch is None or batch.purified is None:
            raise RuntimeError('ExampleImagesHook needs its AttackHook in the same test, with a higher priority')
        states: dict[str, Sequence[Tensor]] = {
            'clean': list(unstack(batch.clean, batch.layout)),
            'adversarial': list(unstack(batch.adversarial, batch.layout)),
            'purified': list(batch.purified),
        }
        for position in range(len(batch.names)):
            # MMEngine's sampler assigns images to the ranks in round-robin order.
            index = (self._seen + position) * get_world_size() + get_rank()
            if index in self._wanted:
                images = {f'{index}/{state}': _as_8bit(of_state[position]) for state, of_state in states.items()}
                self._kept.append({**images, f'{index}/name': np.array(batch.names[position])})
        self._seen += len(batch.names)

    def gather(self) -> Optional[dict[str, np.ndarray]]:
        """Images ``(3, H, W)`` uint8 under ``'<index in the data set>/<state>'``, and their names under
        ``'<index>/name'``.

        None on all processes but the first.
        """
        kept = collect_results(self._kept, self._size, device='cpu')
        if kept is None:
            return None
        merged = {key: value for images in kept for key, value in images.items()}
        return dict(sorted(merged.items()))


def save_examples(path: Union[str, Path], examples: dict[str, Any]) -> None:
    """Write what :meth:`ExampleImagesHook.gather` returned as a compressed ``.npz``."""
    save_file_atomically(path, lambda file: np.savez_compressed(file, **examples))


def _as_8bit(image: Tensor) -> np.ndarray:
    return round_to_8bit(image.detach().float()).byte().cpu().numpy()
