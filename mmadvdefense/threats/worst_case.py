"""The worst case of several attacks: of each image the adversarial version on which the tested model does worst."""

from __future__ import annotations

import copy
from typing import Any, Callable, Optional, Sequence

import torch
from mmengine.model import BaseModel
from mmengine.runner.amp import autocast
from torch import Tensor

from ..errors import UnsupportedAttackError
from ..pixels import Pixels
from ..tasks import NotScored, SampleScores, Task
from .crafter import Crafted, Crafter

Score = Callable[[Pixels], Tensor]


def craft_worst(
    crafters: Sequence[Crafter],
    score: Score,
    images: Pixels,
    samples: Sequence,
    identities: Sequence[str],
    score_sources: Optional[Callable[[], Tensor]] = None,
) -> Crafted:
    """Of each image the adversarial version with the lowest score, the first if several tie, and the queries of all.

    Args:
        crafters: one for each attack.
        score: how well the tested model does on adversarial images in the layout of ``images``, ``(N,)``.
        images, samples, identities, score_sources: as for :class:`mmadvdefense.threats.crafter.Crafter`.

    Raises:
        UnsupportedAttackError: if the task has no scores of single images.
    """
    # The sources are the same for all.
    crafted = [crafters[0](images, samples, identities, score_sources)]
    crafted += [crafter(images, samples, identities) for crafter in crafters[1:]]
    if len(crafted) == 1:
        return crafted[0]
    try:
        scores = torch.stack([score(one.images) for one in crafted])
    except NotScored as error:
        raise UnsupportedAttackError(
            f'the worst case of several attacks needs scores of single images: {error}'
        ) from error
    # Images without ground truth do not count, whichever version is taken.
    worst = scores.nan_to_num(1.0).argmin(0)
    chosen = [crafted[which].images[index] for index, which in enumerate(worst.tolist())]
    return crafted[0]._replace(
        images=torch.stack(chosen) if isinstance(images, Tensor) else chosen,
        queries=torch.stack([one.queries for one in crafted]).sum(0),
        nonfinite=torch.stack([one.nonfinite for one in crafted]).amax(0),
    )


def scores_in_test(*args: Any, **kwargs: Any) -> Tensor:
    """Scores of each image in a test, ``(N,)`` on the CPU; the arguments are those of :func:`samples_in_test`."""
    return samples_in_test(*args, **kwargs).score


def samples_in_test(
    model: BaseModel,
    task: Task,
    samples: Sequence,
    annotations_in_input_frame: bool,
    ignored_are_crowds: bool,
    fp16: bool,
    images: Pixels,
) -> SampleScores:
    """How correct the model is on each image in a test.

    A random model or purifier draws the same numbers for the images of every attack, and in the test itself.

    Args:
        model: the host's, with its purifier.
        task: of the model.
        samples: the host's data samples as its pipeline gives them; not changed.
        annotations_in_input_frame: as for :meth:`mmadvdefense.tasks.Task.in_input_frame`.
        ignored_are_crowds: as for :meth:`mmadvdefense.tasks.Task.score_samples`.
        fp16: whether the test runs in mixed precision.
        images: pixels.
    """
    device = model.data_preprocessor.device
    data = {'inputs': images, 'data_samples': copy.deepcopy(samples)}
    own_numbers = torch.random.fork_rng(devices=[device] if device.type == 'cuda' else [])
    with torch.no_grad(), own_numbers, autocast(enabled=fp16):
        return task.score_samples(model.test_step(data), annotations_in_input_frame, ignored_are_crowds)
