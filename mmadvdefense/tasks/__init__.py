"""One file a task; :func:`task_of` finds the one that fits a model."""

from __future__ import annotations

from torch import nn

from .base import Task
from .classification import ClassificationTask
from .detection import DetectionTask
from .detection_scores import ignored_are_crowds
from .frames import annotations_in_input_frame
from .sample_scores import NotScored, SampleScores
from .segmentation import SegmentationTask
from .taps import FeatureTap

# Keyed by the package that defines the model, so that no host is imported to find out.
_TASKS: dict[str, type[Task]] = {
    'mmpretrain': ClassificationTask,
    'mmseg': SegmentationTask,
    'mmdet': DetectionTask,
}


def task_of(model: nn.Module) -> Task:
    """The task of a host model, found from the package that one of its base classes comes from.

    Raises:
        TypeError: if no base class comes from a supported host.
    """
    packages = [base.__module__.split('.')[0] for base in type(model).__mro__]
    for package in packages:
        if package in _TASKS:
            return _TASKS[package](model)
    raise TypeError(f'{type(model).__name__} is no model of {", ".join(_TASKS)}; its base classes come from {packages}')


__all__ = [
    'ClassificationTask',
    'DetectionTask',
    'FeatureTap',
    'NotScored',
    'SampleScores',
    'SegmentationTask',
    'Task',
    'annotations_in_input_frame',
    'ignored_are_crowds',
    'task_of',
]
