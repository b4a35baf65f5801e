"""Which of several adversarial images of each clean one the tested model does worst on."""

from __future__ import annotations

import copy
from typing import Callable, Sequence

import torch
from mmengine.runner.amp import autocast
from torch import Tensor, nn

from ..pixels import Pixels
from ..tasks import Task
from .crafting import Crafter

Score = Callable[[Pixels], Tensor]


def craft_worst(
    crafters: Sequence[Crafter], score: Score, images: Pixels, samples: Sequence, identities: Sequence[str]
) -> tuple[Pixels, Tensor]:
    """Of each image the adversarial one with the lowest score, the first of several, and the queries of all, ``(N,)``.

    Args:
        crafters: one for each attack.
        score: of adversarial images in the layout of ``images``, ``(N,)``; low is bad.
        images, samples, identities: as for :class:`mmadvdefense.hooks.crafting.Crafter`.
    """
    crafted = [crafter(images, samples, identities) for crafter in crafters]
    if len(crafted) == 1:
        return crafted[0]
    worst = torch.stack([score(adversarial) for adversarial, _ in crafted]).argmin(0)
    chosen = [crafted[which][0][index] for index, which in enumerate(worst.tolist())]
    queries = torch.stack([queries for _, queries in crafted]).sum(0)
    return (torch.stack(chosen) if isinstance(images, Tensor) else chosen), queries


def scores_in_test(
    model: nn.Module, task: Task, samples: Sequence, annotations_in_input_frame: bool, fp16: bool, images: Pixels
) -> Tensor:
    """How right a model is on each image in a test, ``(N,)`` on the CPU, as :class:`mmadvdefense.tasks.SampleScores`.

    The numbers that a random model or purifier draws are the same for every attack's images, and for the test itself.

    Args:
        model: the host's, with its purifier.
        task: of the model.
        samples: the host's data samples as its pipeline gives them; not changed.
        annotations_in_input_frame: as for :meth:`mmadvdefense.tasks.Task.in_input_frame`.
        fp16: whether the test runs in mixed precision.
        images: pixels.
    """
    device = model.data_preprocessor.device
    data = {'inputs': images, 'data_samples': copy.deepcopy(samples)}
    own_numbers = torch.random.fork_rng(devices=[device] if device.type == 'cuda' else [])
    with torch.no_grad(), own_numbers, autocast(enabled=fp16):
        return task.score_samples(model.test_step(data), annotations_in_input_frame).score
