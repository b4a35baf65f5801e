"""Batches that a data loader hands out several times."""

from __future__ import annotations

from typing import Iterator

from torch.utils.data import BatchSampler, Sampler

from ..registry import DATA_SAMPLERS
from ..validation import check_integer


@DATA_SAMPLERS.register_module()
class ReplayBatchSampler(BatchSampler):
    """Each batch ``replays`` times in a row, for :class:`~mmadvdefense.hooks.FreeReplayHook`.

    An epoch has ``replays`` times as many batches; divide the number of epochs accordingly.

    Args:
        sampler: of images; its random numbers are seeded as usual.
        batch_size: images of a batch.
        replays: how many times each batch is handed out.
        drop_last: leave out a last batch that is smaller. The perturbation is lost where sizes change.

    Raises:
        ValueError: if ``replays`` is not a positive integer.
    """

    def __init__(self, sampler: Sampler, batch_size: int, replays: int, drop_last: bool = True):
        check_integer(type(self).__name__, replays=replays)
        super().__init__(sampler, batch_size, drop_last)
        self.replays = replays

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            for _ in range(self.replays):
                yield list(batch)

    def __len__(self) -> int:
        return self.replays * super().__len__()
