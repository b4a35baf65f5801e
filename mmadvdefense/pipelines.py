"""Facts about a data set's pipeline, read from its config or from the data set itself."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Optional, Union

from mmengine.config import Config

from .models import read_config

# Data sets that hold their images in memory as RGB arrays.
_RGB_ARRAYS = ('CIFAR10', 'CIFAR100', 'HandwrittenDigits')
# Transforms that swap red and blue, and the setting that enables it.
_SWAPS = {'NumpyToPIL': 'to_rgb', 'PILToNumpy': 'to_bgr', 'Normalize': 'to_rgb'}


class Step(NamedTuple):
    """A transform.

    Attributes:
        kinds: the names, without scope, of its class and of its base classes, if known.
        settings: the settings in its config, or the attributes of the transform itself.
    """

    kinds: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.kinds[0] if self.kinds else ''


def pipeline_steps(dataset: Any) -> list[Step]:
    """The transforms of a data set in order, including those of wrapped (repeated, concatenated) data sets.

    Args:
        dataset: a data set, or its config; without a pipeline the result is empty.
    """
    return list(_steps(_pipeline(_innermost(dataset))))


def channel_order(dataset: Any) -> Optional[str]:
    """The channel order of a data set's images: ``'bgr'`` as from MMEngine's loaders, ``'rgb'``, or None if unknown.

    Args:
        dataset: a data set, or its config.
    """
    order = 'rgb' if set(_class_names(_innermost(dataset))) & set(_RGB_ARRAYS) else None
    for step in pipeline_steps(dataset):
        if any(kind.startswith('LoadImage') for kind in step.kinds):
            order = 'bgr'
        elif order is not None and any(step.settings.get(_SWAPS[kind]) for kind in step.kinds if kind in _SWAPS):
            order = 'rgb' if order == 'bgr' else 'bgr'
    return order


def normalizes(dataset: Any) -> bool:
    """Whether a data set's pipeline subtracts a mean, which is the data preprocessor's task."""
    return any('Normalize' in step.kinds for step in pipeline_steps(dataset))


def config_channel_order(config: Union[str, Config]) -> Optional[str]:
    """The channel order of the images that a config's model was trained on; None if unknown.

    It is read from the pipelines, or else inferred from the data preprocessor's channel conversion.

    Args:
        config: a model's config, or its file.
    """
    config = read_config(config) if isinstance(config, str) else config
    for name in ('train_dataloader', 'test_dataloader', 'val_dataloader'):
        order = channel_order((config.get(name) or {}).get('dataset'))
        if order is not None:
            return order
    return native_channel_order(config.get('data_preprocessor') or config.model.get('data_preprocessor') or {})


def native_channel_order(settings: Mapping[str, Any]) -> Optional[str]:
    """The channel order of loaded images according to a native preprocessor's settings; None if unknown."""
    if settings.get('bgr_to_rgb') or settings.get('to_rgb'):
        return 'bgr'
    return 'rgb' if settings.get('rgb_to_bgr') else None


def preprocessor_channel_order(preprocessor: Any) -> Optional[str]:
    """The channel order that a native preprocessor converts from; None if it leaves images as they are."""
    # MMDetection and MMSegmentation keep one flag for both directions, of which stock configs use one.
    converts = getattr(preprocessor, 'to_rgb', False) or getattr(preprocessor, '_channel_conversion', False)
    return 'bgr' if converts else None


def dataset_pipeline(dataset: Optional[dict]) -> list:
    """The transforms of a data set's config in order; wrappers run the transforms of the inner data sets first."""
    dataset = dataset or {}
    inner = dataset.get('dataset') or dataset.get('datasets') or ()
    # Concatenated data sets must load images alike to form one batch, so the first is representative.
    first = inner if isinstance(inner, dict) else next(iter(inner), None)
    return [*(dataset_pipeline(first) if first else ()), *(dataset.get('pipeline') or ())]


def _innermost(dataset: Any) -> Any:
    while _get(dataset, 'pipeline') is None:
        # Wrappers (repeat, concatenation, class balance) hold the data set with the pipeline.
        inner = _get(dataset, 'dataset') or (_get(dataset, 'datasets') or [None])[0]
        if inner is None:
            break
        dataset = inner
    return dataset


def _pipeline(dataset: Any) -> Any:
    pipeline = _get(dataset, 'pipeline')
    return getattr(pipeline, 'transforms', pipeline) or ()


def _steps(transforms: Any) -> Iterator[Step]:
    for transform in transforms:
        if isinstance(transform, (list, tuple)):
            # Alternative branches, e.g. of RandomChoice.
            yield from _steps(transform)
            continue
        settings = transform if isinstance(transform, Mapping) else getattr(transform, '__dict__', {})
        yield Step(tuple(_class_names(transform)), settings)
        inner = settings.get('transforms')
        yield from _steps(getattr(inner, 'transforms', inner) or ())


def _class_names(thing: Any) -> list[str]:
    """The class name of an object or config, and the names of its base classes if known."""
    kind = thing.get('type') if isinstance(thing, Mapping) else type(thing)
    if isinstance(kind, str):
        return [kind.replace('/', '.').split('.')[-1]]
    return [cls.__name__ for cls in getattr(kind, '__mro__', ())]


def _get(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
