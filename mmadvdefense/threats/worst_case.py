"""The worst case of several attacks: of each image the adversarial version on which the tested model does worst."""

from __future__ import annotations

import copy
from typing import Callable, Optional, Sequence

import torch
from mmengine.model import BaseModel
from mmengine.runner.amp import autocast
from torch import Tensor

from ..errors import UnsupportedAttackError
from ..pixels import Pixels
from ..tasks import NotScored, SampleScores, Task
from .crafter import Crafted, Crafter

Score = Callable[[Pixels], SampleScores]
# Of each image, which of several adversarial versions counts, ``(N,)`` indices, from the scores of each version.
Choice = Callable[[Sequence[SampleScores]], Tensor]


def lowest_score(versions: Sequence[SampleScores]) -> Tensor:
    """The lowest score. Images without ground truth do not count, whichever version is taken."""
    return torch.stack([version.score for version in versions]).nan_to_num(1.0).argmin(0)


def lowest_accuracy(versions: Sequence[SampleScores]) -> Tensor:
    """The smallest number of right pixels."""
    return _counts(versions)[:, :, 0].sum(2).argmin(0)


class LowestMeanIoU:
    """The version that lowers the mean IoU of the data set most, given the choices for the images before it.

    The mean IoU of a set is no mean over its images, so the worst case is a choice for all of them together. SEA (Croce
    et al., ECCV 2024) goes through the images in random order and changes one choice after the other until nothing
    improves; here, they are gone through once, in the order of the data set. So the result may be above the lowest one.
    In distributed tests, each process counts its own images.
    """

    def __init__(self) -> None:
        self._before: Optional[Tensor] = None

    def __call__(self, versions: Sequence[SampleScores]) -> Tensor:
        counts = _counts(versions)
        before = torch.zeros_like(counts[0, 0]) if self._before is None else self._before
        chosen = []
        # One after the other, because each choice depends on those before.
        for image in counts.unbind(1):
            which = int(_set_iou(before + image).argmin())
            before = before + image[which]
            chosen.append(which)
        self._before = before
        return torch.tensor(chosen)


def _set_iou(counts: Tensor) -> Tensor:
    """Mean IoU over all classes that occur in truth or prediction, ``(A,)``, as hosts compute it for a data set."""
    both, true, said = counts.unbind(1)
    union = true + said - both
    return (both / union.clamp(min=1)).sum(1) / (union > 0).sum(1).clamp(min=1)


def _counts(versions: Sequence[SampleScores]) -> Tensor:
    """``(A, N, 3, K)`` for A versions."""
    counts = [version.counts for version in versions if version.counts is not None]
    if len(counts) < len(versions):
        raise NotScored('the task has no classes of pixels to count')
    return torch.stack(counts)


# By the ``worst_by`` of a WorstOf; the choice for a data set has a state.
CHOICES: dict[str, Callable[[], Choice]] = {
    'score': lambda: lowest_score,
    'accuracy': lambda: lowest_accuracy,
    'miou': LowestMeanIoU,
}


def craft_worst(
    crafters: Sequence[Crafter],
    score: Score,
    images: Pixels,
    samples: Sequence,
    identities: Sequence[str],
    score_sources: Optional[Callable[[], Tensor]] = None,
    choice: Choice = lowest_score,
) -> Crafted:
    """Of each image the adversarial version with the lowest score, the first if several tie, and the queries of all.

    Args:
        crafters: one for each attack.
        score: how well the tested model does on adversarial images in the layout of ``images``.
        images, samples, identities, score_sources: as for :class:`mmadvdefense.threats.crafter.Crafter`.
        choice: which version counts.

    Raises:
        UnsupportedAttackError: if the task has no scores of single images.
    """
    # The sources are the same for all.
    crafted = [crafters[0](images, samples, identities, score_sources)]
    crafted += [crafter(images, samples, identities) for crafter in crafters[1:]]
    if len(crafted) == 1:
        return crafted[0]
    try:
        worst = choice([score(one.images) for one in crafted])
    except NotScored as error:
        raise UnsupportedAttackError(
            f'the worst case of several attacks needs scores of single images: {error}'
        ) from error
    places = list(enumerate(worst.tolist()))
    chosen = [crafted[which].images[index] for index, which in places]
    return crafted[0]._replace(
        images=torch.stack(chosen) if isinstance(images, Tensor) else chosen,
        queries=torch.stack([one.queries for one in crafted]).sum(0),
        nonfinite=torch.stack([one.nonfinite for one in crafted]).amax(0),
        rise=torch.stack([crafted[which].rise[index] for index, which in places]),
    )


def scores_in_test(
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
