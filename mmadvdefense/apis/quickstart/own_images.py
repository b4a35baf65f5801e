"""A folder of images in place of the data of a classifier's config."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.config import Config

from ...errors import UsageError
from ...hosts import HOSTS
from ...model_spec import ModelSpec
from ...models import host_scope
from ...pipelines import dataset_pipeline
from ...registry import type_name
from ..inferencer import IMAGES, build_host_inferencer

# Some to fit on, some to test on.
_FEWEST = 8


def with_own_images(config: Config, spec: ModelSpec, folder: Path, out: Path) -> Config:
    """A config that trains on every other image of a folder, and tests on the rest.

    Args:
        config: of a classifier.
        spec: its files.
        folder: with a folder of images for each class, or with images alone: then what the model predicts for an image
            is its ground truth.
        out: where the lists of images are written.

    Raises:
        UsageError: for models other than classifiers, too few images, folders that are not the model's classes, or a
            config that loads images in another way than from files.
        FileNotFoundError: if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder of images {folder}')
    host = HOSTS[host_scope(config)]
    if host.dense:
        raise UsageError(
            f'--images is for classifiers, whose labels can be names of folders or predictions; for {host.task}, set '
            'train_dataloader and test_dataloader in the config'
        )
    files = sorted(path for path in folder.rglob('*') if path.suffix.lower() in IMAGES)
    if len(files) < _FEWEST:
        raise UsageError(f'{folder} has {len(files)} images, and a quickstart needs at least {_FEWEST}')
    classifier: Any = build_host_inferencer(config, spec.checkpoint)
    classes: Optional[Sequence[str]] = classifier.classes
    folders = sorted({path.parent.name for path in files if path.parent != folder})
    if folders:
        index = _class_indices(folders, classes)
        labels = [index[path.parent.name] for path in files if path.parent != folder]
        files = [path for path in files if path.parent != folder]
    else:
        results = classifier([str(path) for path in files], batch_size=16)
        labels = [int(result['pred_label']) for result in results]
    out.mkdir(parents=True, exist_ok=True)
    lines = [f'{path.resolve()} {label}' for path, label in zip(files, labels)]
    # The test set comes first in a list that is sorted by class, so that no class lacks in it.
    for name, part in (('test', lines[::2]), ('train', lines[1::2])):
        (out / f'{name}.txt').write_text('\n'.join(part) + '\n')
        _set_data(config, name, out / f'{name}.txt', classes)
    return config


def _class_indices(folders: Sequence[str], classes: Optional[Sequence[str]]) -> dict[str, int]:
    if classes is None:
        raise UsageError(
            'the checkpoint does not name its classes, so folders cannot be told apart: put all images into one folder '
            "to take the model's own predictions as ground truth"
        )
    unknown = [name for name in folders if name not in classes]
    if unknown:
        raise UsageError(
            f'{unknown[0]!r} is a folder but no class of the model, which has {", ".join(classes[:10])}...'
        )
    return {name: list(classes).index(name) for name in folders}


def _set_data(config: Config, name: str, ann_file: Path, classes: Optional[Sequence[str]]) -> None:
    own = config.get(f'{name}_dataloader') or {}
    loader = dict(own or config.test_dataloader)
    pipeline = dataset_pipeline(loader['dataset'])
    if not any(type_name(step['type']) == 'LoadImageFromFile' for step in pipeline):
        raise UsageError(
            f'the {name} pipeline of the config does not load files (no LoadImageFromFile), so --images cannot replace '
            'its data'
        )
    loader['dataset'] = dict(
        type='CustomDataset',
        data_prefix='',
        ann_file=str(ann_file.resolve()),
        metainfo=None if classes is None else dict(classes=list(classes)),
        pipeline=pipeline,
    )
    config[f'{name}_dataloader'] = loader
