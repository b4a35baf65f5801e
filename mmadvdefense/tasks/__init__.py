"""What differs between tasks, one task per file; :func:`task_of` finds the task of a model."""

from __future__ import annotations

from typing import Callable

from torch import nn

from ..hosts import HOSTS, host_of, host_of_class
from ..models import unwrap
from .base import Task
from .classification import ClassificationTask
from .detection import DetectionTask
from .detection_scores import ignored_are_crowds
from .frames import annotations_in_input_frame, check_frame
from .sample_scores import NotScored, SampleScores
from .segmentation import SegmentationTask
from .several_labels import SeveralLabelsTask, makes_several_decisions
from .taps import FeatureTap
from .unscored import HeadlessTask, UnscoredTask


def task_of(model: nn.Module) -> Task:
    """The task of a host model, which its base classes and its head tell.

    A model that predicts no classes has a task, too, which refuses everything but clean tests.

    Raises:
        TypeError: if no base class comes from a supported host.
    """
    model = unwrap(model)
    bases = type(model).__mro__
    if host_of_class(type(model)) is None:
        packages = [base.__module__.partition('.')[0] for base in bases]
        raise TypeError(
            f'{type(model).__name__} is not a model of {", ".join(HOSTS)}; its base classes come from {packages}'
        )
    for base in bases:
        host = host_of(base.__module__)
        if host is None:
            continue
        if base.__name__ in host.other_models:
            return UnscoredTask(model, host.other_models[base.__name__])
        if base.__name__ == host.model_base:
            return _TASKS[host.task](model)
    return UnscoredTask(model, 'is not a classifier, segmentor or detector')


def has_one_label(name: str) -> bool:
    """Whether images of a task, by its name as reports have it, are each in one class."""
    return name == ClassificationTask.name


def _classification(model: nn.Module) -> Task:
    # Models of timm and transformers classify images themselves and have no such attribute.
    if hasattr(model, 'head') and model.head is None:
        return HeadlessTask(model, 'was built without a head')
    return (SeveralLabelsTask if makes_several_decisions(model) else ClassificationTask)(model)


# By the name of the task that the models of a host are for.
_TASKS: dict[str, Callable[[nn.Module], Task]] = {
    'classification': _classification,
    'segmentation': SegmentationTask,
    'detection': DetectionTask,
}


__all__ = [
    'ClassificationTask',
    'DetectionTask',
    'FeatureTap',
    'NotScored',
    'SampleScores',
    'SegmentationTask',
    'SeveralLabelsTask',
    'Task',
    'UnscoredTask',
    'annotations_in_input_frame',
    'check_frame',
    'has_one_label',
    'ignored_are_crowds',
    'task_of',
]
