"""Several defended classifiers as one model."""

from __future__ import annotations

import functools
from typing import Any, Optional, Sequence, Union

import torch
from mmpretrain.models import BaseClassifier
from torch import Tensor, nn

from ...checkpoints import PREPROCESSOR
from ...errors import UsageError
from ...model_spec import ModelSpec
from ...models import preprocessor_of
from ...registry import MODELS
from ...tasks import Task, task_of
from ..base import Purifier
from ..trained.generator import GeneratorPurifier
from .ensemble import EnsemblePurifier

COMBINATIONS = ('paired', 'crossed', 'images')


class DefendedEnsemble(BaseClassifier):
    """The mean of the class scores of several classifiers, each with or without a purifier (HGD, arXiv 1712.02976,
    section 5.5 and appendix C). It is for tests and attacks; its members are trained one by one.

    An attacker who has its models but knows nothing of the purifiers sees the mean on unpurified images.

    Args:
        members: a ``dict(config=..., checkpoint=...)`` for each, as it was trained; ``trust=True`` loads a checkpoint
            that holds more than data.
        combine: ``'paired'``: each purifier in front of its own model, ``(LGD1 -> A) & (LGD2 -> B)``, the best in the
            paper. ``'crossed'``: each purifier in front of every model. ``'images'``: the mean of the purified images
            in front of every model, ``LGD1 & LGD2 -> A & B``; with one purifier in all, ``LGD1 -> A & B``.
        data_preprocessor: that of the config in which the ensemble stands; not used, since each member has its own.

    Raises:
        ValueError: for an unknown combination, no members, a member that is not a classifier, or members with
            different classes.
        FileNotFoundError: if a member's checkpoint is missing.
        mmadvdefense.checkpoints.CheckpointMismatch: if a checkpoint does not fill its member.
    """

    def __init__(
        self,
        members: Sequence[dict],
        combine: str = 'paired',
        data_preprocessor: Optional[Union[dict, nn.Module]] = None,
        init_cfg: Optional[dict] = None,
    ):
        if combine not in COMBINATIONS:
            raise UsageError(f'DefendedEnsemble combines {", ".join(COMBINATIONS)}, got {combine!r}')
        if not members:
            raise UsageError('DefendedEnsemble needs members, e.g. members=[dict(config=..., checkpoint=...)]')
        specs = [ModelSpec.parse(member, 'a member of DefendedEnsemble', optional=('trust',)) for member in members]
        models = [_load(spec) for spec in specs]
        names = [spec.name for spec in specs]
        num_classes = _check_alike([task_of(model) for model in models], names)
        purifiers = [_detach_purifier(model) for model in models]
        super().__init__(init_cfg=init_cfg, data_preprocessor=_preprocessor(purifiers, combine, num_classes))
        self.combine = combine
        self.members = nn.ModuleList(models)
        self.head = MODELS.build(dict(type='mmpretrain.ClsHead'))
        self.head.num_classes = num_classes

    def forward(self, inputs: Tensor, data_samples: Optional[list] = None, mode: str = 'tensor') -> Any:
        """As any classifier's of MMPretrain; the scores are not normalised.

        Args:
            inputs: pixels 0-255, ``(N, 3, H, W)``, or the views ``(N, 3 * V, H, W)`` of :class:`EnsemblePurifier`.
            data_samples: for modes ``'loss'`` and ``'predict'``.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.
        """
        scores = self._scores(inputs)
        if mode == 'tensor':
            return scores
        if mode == 'loss':
            return self.head.loss((scores,), data_samples)
        if mode == 'predict':
            return self.head.predict((scores,), data_samples)
        raise UsageError(f"mode is 'tensor', 'loss' or 'predict', got {mode!r}")

    def _scores(self, inputs: Tensor) -> Tensor:
        views = inputs.split(3, 1)
        if len(views) == 1:
            pairs = [(views[0], model) for model in self.members]
        elif self.combine == 'paired':
            pairs = list(zip(views, self.members))
        else:
            pairs = [(view, model) for view in views for model in self.members]
        return functools.reduce(torch.add, (_scores_of(model, view) for view, model in pairs)) / len(pairs)


def _scores_of(model: nn.Module, pixels: Tensor) -> Tensor:
    task = task_of(model)
    return task.logits(task.preprocess(preprocessor_of(model), pixels))


def _load(spec: ModelSpec) -> nn.Module:
    model = spec.build()
    purifier = model.data_preprocessor
    # An exported generator is there already; otherwise the checkpoint must bring it along.
    exported = isinstance(purifier, GeneratorPurifier) and int(purifier.num_updates) > 0
    filled = exported or not isinstance(purifier, Purifier)
    spec.fill(model, ignore=PREPROCESSOR if filled else ())
    return model


def _check_alike(tasks: Sequence[Task], names: Sequence[str]) -> int:
    """The number of classes of all members."""
    for task, name in zip(tasks, names):
        if not task.one_label:
            raise UsageError(f'DefendedEnsemble averages class scores of classifiers; {name} is for {task.name}')
        if task.num_classes != tasks[0].num_classes:
            raise UsageError(
                'members of an ensemble must know the same classes: '
                f'{names[0]} predicts {tasks[0].num_classes}, {name} predicts {task.num_classes}'
            )
    number = tasks[0].num_classes
    if number is None:
        raise UsageError(f'{names[0]} does not say how many classes it predicts')
    return number


def _detach_purifier(model: nn.Module) -> Optional[Purifier]:
    """Leave a model with its native preprocessor alone, and return the purifier if it had one."""
    purifier = model.data_preprocessor
    if not isinstance(purifier, Purifier):
        return None
    model.data_preprocessor = purifier.native
    return purifier


def _preprocessor(purifiers: Sequence[Optional[Purifier]], combine: str, num_classes: int) -> Union[dict, nn.Module]:
    # It handles labels; pixels pass as they are.
    native = 'mmpretrain.ClsDataPreprocessor'
    if combine != 'paired':
        purifiers = [purifier for purifier in purifiers if purifier is not None]
    if all(purifier is None for purifier in purifiers):
        return dict(type=native, num_classes=num_classes)
    return EnsemblePurifier(purifiers, combine == 'images', native_type=native, num_classes=num_classes)
