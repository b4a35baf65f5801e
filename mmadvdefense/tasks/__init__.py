"""One file a task; :func:`task_of` finds the one that fits a model."""

from __future__ import annotations

from torch import nn

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

# By what each host calls its kind of model, with the package, so that no host is imported to find out.
_KINDS = {
    ('mmpretrain', 'BaseClassifier'): ClassificationTask,
    ('mmseg', 'BaseSegmentor'): SegmentationTask,
    ('mmdet', 'BaseDetector'): DetectionTask,
}
_HOSTS = tuple(package for package, _ in _KINDS)
# What else the hosts have, by the nearest base class.
_OTHERS = {
    'BaseSelfSupervisor': 'learns without labels',
    'BaseRetriever': 'looks for similar images',
    'BaseMOTModel': 'follows objects from frame to frame',
    'BaseReID': 'compares what it sees by its features',
    'DepthEstimator': 'estimates depth',
}


def task_of(model: nn.Module) -> Task:
    """The task of a host model, found from what the model is: its base classes and its head.

    A model that says nothing of classes has a task, which refuses all but clean tests.

    Raises:
        TypeError: if no base class comes from a supported host.
    """
    model = unwrap(model)
    bases = [(base.__module__.split('.')[0], base.__name__) for base in type(model).__mro__]
    if not any(package in _HOSTS for package, _ in bases):
        packages = [package for package, _ in bases]
        raise TypeError(
            f'{type(model).__name__} is no model of {", ".join(_HOSTS)}; its base classes come from {packages}'
        )
    for package, name in bases:
        if package in _HOSTS and name in _OTHERS:
            return UnscoredTask(model, _OTHERS[name])
        kind = _KINDS.get((package, name))
        if kind is ClassificationTask:
            return _classification(model)
        if kind is not None:
            return kind(model)
    return UnscoredTask(model, 'is no classifier, segmentor or detector')


def _classification(model: nn.Module) -> Task:
    # Models of timm and transformers classify by themselves and have no such attribute.
    if hasattr(model, 'head') and model.head is None:
        return HeadlessTask(model, 'was built without a head')
    return (SeveralLabelsTask if makes_several_decisions(model) else ClassificationTask)(model)


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
    'ignored_are_crowds',
    'task_of',
]
