"""All that differs from host to host, as data. Importing this imports no host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Optional


@dataclass(frozen=True)
class Host:
    """A library of OpenMMLab whose models can be attacked and protected.

    Attributes:
        scope: the default scope of its configs, which is also the package that is imported.
        distribution: its name on PyPI.
        versions: that are supported, as pip writes them.
        needs_ops: whether it cannot be imported without the compiled operators of mmcv.
        task: the name of the task that its models are for, which ``mmadvdefense.tasks`` has a class for.
        ground_truth: what its data samples say of an image: its label, a mask of labels, or boxes with labels.
        model_base: the name of the class that models for this task derive from.
        other_models: what else it has, by the nearest base class, as the end of "the model ...".
        native_type: its data preprocessor, which a purifier wraps.
        recipe: how the names of the default recipes for its models end.
        collate: the function that makes a batch of its data samples.
        fills_loaders: whether its own tools add ``collate`` and pinned memory to every data loader.
        reads_top_level: whether its inference APIs read the top-level ``data_preprocessor`` of a config; the others
            know only the one inside of the model.
    """

    scope: str
    distribution: str
    versions: str
    needs_ops: bool
    task: str
    ground_truth: Literal['label', 'mask', 'boxes']
    model_base: str
    native_type: str
    recipe: str
    collate: str = 'pseudo_collate'
    fills_loaders: bool = False
    reads_top_level: bool = False
    other_models: Mapping[str, str] = field(default_factory=dict)

    @property
    def dense(self) -> bool:
        """Whether ground truth says where things are, so that an image must not be moved under it."""
        return self.ground_truth != 'label'


HOSTS: dict[str, Host] = {
    host.scope: host
    for host in (
        Host(
            scope='mmpretrain',
            distribution='mmpretrain',
            versions='>=1.0,<2',
            needs_ops=False,
            task='classification',
            ground_truth='label',
            model_base='BaseClassifier',
            native_type='mmpretrain.ClsDataPreprocessor',
            recipe='cls',
            collate='default_collate',
            fills_loaders=True,
            reads_top_level=True,
            other_models={
                'BaseSelfSupervisor': 'learns without labels',
                'BaseRetriever': 'looks for similar images',
            },
        ),
        Host(
            scope='mmseg',
            distribution='mmsegmentation',
            versions='>=1.0,<2',
            needs_ops=True,
            task='segmentation',
            ground_truth='mask',
            model_base='BaseSegmentor',
            native_type='mmseg.SegDataPreProcessor',
            recipe='seg',
            other_models={'DepthEstimator': 'estimates depth'},
        ),
        Host(
            scope='mmdet',
            distribution='mmdet',
            versions='>=3.0,<4',
            needs_ops=True,
            task='detection',
            ground_truth='boxes',
            model_base='BaseDetector',
            native_type='mmdet.DetDataPreprocessor',
            recipe='det',
            other_models={
                'BaseMOTModel': 'follows objects from frame to frame',
                'BaseReID': 'compares what it sees by its features',
            },
        ),
    )
}


def host_of(*paths: str) -> Optional[Host]:
    """The host that the first of several dotted names is from, such as ``'mmdet.models.SSDHead'``; None if none is."""
    packages = (path.partition('.')[0] for path in paths)
    return next((HOSTS[package] for package in packages if package in HOSTS), None)


def host_of_class(cls: type) -> Optional[Host]:
    """The host that a class or the nearest of its base classes is from; None if none is."""
    return host_of(*(base.__module__ for base in cls.__mro__))
