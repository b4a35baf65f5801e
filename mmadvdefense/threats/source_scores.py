"""How well the models that an attacker has classify the clean images themselves."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..attacks import AttackSource, EnsembleSource
from ..models import preprocessor_of
from ..pixels import Pixels
from ..purifiers import switched
from ..tasks import NotScored, SampleScores
from .threat_model import ThreatModel


def source_names(threat: ThreatModel) -> list[str]:
    """A name for each model that a transfer attacker has, after its config; numbered if two share a config."""
    stems = [source.name for source in threat.sources]
    return [
        stem if stems.count(stem) == 1 else f'{stem} #{stems[: index + 1].count(stem)}'
        for index, stem in enumerate(stems)
    ]


@torch.no_grad()
def clean_scores(
    source: AttackSource, images: Pixels, data_samples: Sequence, annotations_in_input_frame: bool
) -> Tensor:
    """The score of each model on each clean image, ``(S, N)`` in 0-1, of :class:`mmadvdefense.tasks.SampleScores`.

    NaN for images without ground truth, and for models whose predictions cannot be scored.

    A source that fails on the clean images makes attacks that do nothing, which looks like robustness.

    Args:
        source: the model, or an ensemble of S.
        images: clean pixels 0-255.
        data_samples: of the data loader, with the ground truth; not changed.
        annotations_in_input_frame: as for :meth:`mmadvdefense.tasks.Task.score_samples`.
    """
    members = source.sources if isinstance(source, EnsembleSource) else [source]
    return torch.stack([_scores(member, images, data_samples, annotations_in_input_frame) for member in members])


def _scores(source: AttackSource, images: Pixels, data_samples: Sequence, annotations_in_input_frame: bool) -> Tensor:
    data = {'inputs': source.in_own_order(images), 'data_samples': copy.deepcopy(list(data_samples))}
    model: BaseModel = source.model
    with source.undisturbed(), switched(preprocessor_of(model), False):
        outputs = model.test_step(data)
    try:
        return source.task.score_samples(outputs, annotations_in_input_frame).score
    except NotScored:
        return SampleScores.unknown(len(outputs)).score
