"""Tests each image on several draws of a random defense."""

from __future__ import annotations

import math
from typing import Optional

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ..errors import UsageError
from ..models import preprocessor_of, unwrap
from ..purifiers import drawn
from ..tasks import NotScored, SampleScores, annotations_in_input_frame, ignored_are_crowds, task_of
from ..threats.measurements import Measurements
from ..threats.worst_case import scores_in_test


class DefenseDrawsHook(Hook):
    """Runs the tested model on the images of each batch once for every draw of its random purifier.

    It sees what :class:`~mmadvdefense.hooks.AttackHook` has made of the batch, and the first draw is that of the test.

    Args:
        number: of draws.

    Attributes:
        samples: after an epoch, on the first process: the columns ``worst_draw``, whether an image is correct in all
            draws, and ``majority``, whether it is correct as most draws decide; None for images without ground truth.
    """

    priority = 'LOW'

    def __init__(self, number: int):
        if number < 2:
            raise UsageError(f'several draws of a random defense are at least 2, got {number}')
        self.number = number
        self.samples: Optional[dict[str, list]] = None

    def before_test_epoch(self, runner) -> None:
        self._measurements = Measurements()
        self._task = task_of(unwrap(runner.model))
        dataset = runner.test_dataloader.dataset
        self._frame = annotations_in_input_frame(dataset), ignored_are_crowds(dataset)

    def before_test_iter(self, runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        if data_batch is None:
            return
        model, samples = unwrap(runner.model), data_batch['data_samples']
        draws = []
        for draw in range(self.number):
            with drawn(preprocessor_of(model), draw):
                try:
                    draws.append(
                        scores_in_test(
                            model, self._task, samples, *self._frame, runner.test_loop.fp16, data_batch['inputs']
                        )
                    )
                except NotScored:
                    draws.append(SampleScores.unknown(len(samples)))
        self._measurements.add([''] * len(samples), over_draws(draws))

    def after_test_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        gathered = self._measurements.gather(len(runner.test_dataloader.dataset))
        self.samples = gathered and {name: column for name, column in gathered.items() if name != 'image'}


def over_draws(draws: list[SampleScores]) -> dict[str, Tensor]:
    """``worst_draw`` and ``majority``, ``(N,)`` floats, NaN where there is no ground truth.

    The majority decides on a class or, in a task without one class an image, on whether the image is correct; in a tie
    the decision that was made first.
    """
    columns = [scores.columns() for scores in draws]
    correct, decision = (torch.stack([own[name] for own in columns]) for name in ('correct', 'decision'))
    # How many draws decide as each of them does, (D, N).
    votes = (decision[:, None] == decision).sum(1)
    # The first of the largest.
    leading = (votes == votes.amax(0)).double().argmax(0)
    majority = correct.gather(0, leading[None])[0]
    unknown = correct.isnan().any(0)
    return {
        'worst_draw': correct.amin(0).masked_fill(unknown, math.nan),
        'majority': majority.masked_fill(unknown, math.nan),
    }
