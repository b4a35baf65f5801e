"""Everything that differs between hosts, as data. Importing this module imports no host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Optional


@dataclass(frozen=True)
class Host:
    """A library of OpenMMLab whose models can be attacked and protected.

    Attributes:
        scope: the default scope of its configs, which is also its import name.
        distribution: its name on PyPI.
        versions: the supported versions, as a pip specifier.
        needs_ops: whether importing it requires the compiled operators of mmcv.
        task: the name of its models' task, for which ``mmadvdefense.tasks`` has a class.
        ground_truth: the annotations in its data samples: a label, a mask of labels, or boxes with labels.
        model_base: the name of the base class of models for this task.
        other_models: its other kinds of models, by base class; each value completes "the model ...".
        native_type: its data preprocessor, which purifiers wrap.
        recipe: suffix of the names of its default recipes.
        inferencer: the class of its inference API for images, by module.
        visualizer: its class that draws predictions on images.
        collate: the function that collates its data samples into a batch.
        progress: the module of its inference API with the switch ``disable_progress_bar``; None if the inferencer
            itself has one.
        fills_loaders: whether its own tools add ``collate`` and pinned memory to every data loader.
        reads_top_level: whether its inference APIs read the top-level ``data_preprocessor`` of a config; other hosts
            read only the one inside the model.
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
    inferencer: str
    visualizer: str
    progress: Optional[str] = None
    collate: str = 'pseudo_collate'
    fills_loaders: bool = False
    reads_top_level: bool = False
    other_models: Mapping[str, str] = field(default_factory=dict)

    @property
    def dense(self) -> bool:
        """Whether the ground truth is spatial, so that image content must not move."""
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
            inferencer='mmpretrain.apis.ImageClassificationInferencer',
            visualizer='mmpretrain.UniversalVisualizer',
            progress='mmpretrain.utils.progress',
            collate='default_collate',
            fills_loaders=True,
            reads_top_level=True,
            other_models={
                'BaseSelfSupervisor': 'learns without labels',
                'BaseRetriever': 'retrieves similar images',
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
            inferencer='mmseg.apis.MMSegInferencer',
            visualizer='mmseg.SegLocalVisualizer',
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
            inferencer='mmdet.apis.DetInferencer',
            visualizer='mmdet.DetLocalVisualizer',
            other_models={
                'BaseMOTModel': 'tracks objects from frame to frame',
                'BaseReID': 'matches objects by their features',
            },
        ),
    )
}


def host_of(*paths: str) -> Optional[Host]:
    """The host of the first dotted name that belongs to one, such as ``'mmdet.models.SSDHead'``; None if none does."""
    packages = (path.partition('.')[0] for path in paths)
    return next((HOSTS[package] for package in packages if package in HOSTS), None)


def host_of_class(cls: type) -> Optional[Host]:
    """The host that a class, or its nearest base class in a host, belongs to; None if there is none."""
    return host_of(*(base.__module__ for base in cls.__mro__))
