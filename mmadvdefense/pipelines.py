"""What the pipeline of a data set does, read off its config or off the data set itself."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Optional, Union

from mmengine.config import Config

# Data sets that hold their images instead of loading them, as RGB arrays.
_RGB_ARRAYS = ('CIFAR10', 'CIFAR100', 'HandwrittenDigits')
# Transforms that swap red and blue if the setting is true.
_SWAPS = {'NumpyToPIL': 'to_rgb', 'PILToNumpy': 'to_bgr', 'Normalize': 'to_rgb'}


class Step(NamedTuple):
    """A transform.

    Attributes:
        kinds: the names, without a scope, of its class and of that class's bases, where these are known.
        settings: of its config, or the attributes of the transform itself.
    """

    kinds: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its class."""
        return self.kinds[0] if self.kinds else ''


def pipeline_steps(dataset: Any) -> list[Step]:
    """The transforms of a data set, also of one that is wrapped (repeated, concatenated), in their order.

    Args:
        dataset: a data set, or its config; without a pipeline there are no steps.
    """
    return list(_steps(_pipeline(_innermost(dataset))))


def channel_order(dataset: Any) -> Optional[str]:
    """How a data set gives its images: ``'bgr'`` as MMEngine's loaders do, ``'rgb'``, or None if it cannot be told.

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
    """Whether a data set's pipeline has a step that subtracts a mean, which is for the data preprocessor to do."""
    return any('Normalize' in step.kinds for step in pipeline_steps(dataset))


def config_channel_order(config: Union[str, Config]) -> Optional[str]:
    """How the images come that the model of a config was trained on; None if that cannot be told.

    Its pipelines tell, or else its data preprocessor does by what it converts.

    Args:
        config: of a model, or its file.
    """
    config = Config.fromfile(config) if isinstance(config, str) else config
    for name in ('train_dataloader', 'test_dataloader', 'val_dataloader'):
        order = channel_order((config.get(name) or {}).get('dataset'))
        if order is not None:
            return order
    return native_channel_order(config.get('data_preprocessor') or config.model.get('data_preprocessor') or {})


def native_channel_order(settings: Mapping[str, Any]) -> Optional[str]:
    """How the pipeline loads images, by the settings of a native preprocessor; None if they do not tell."""
    if settings.get('bgr_to_rgb') or settings.get('to_rgb'):
        return 'bgr'
    return 'rgb' if settings.get('rgb_to_bgr') else None


def dataset_pipeline(dataset: Optional[dict]) -> list:
    """The transforms of a data set's config in their order; data sets made of others run those of the others first."""
    dataset = dataset or {}
    inner = dataset.get('dataset') or dataset.get('datasets') or ()
    # Those side by side load alike, or could not be one batch.
    first = inner if isinstance(inner, dict) else next(iter(inner), None)
    return [*(dataset_pipeline(first) if first else ()), *(dataset.get('pipeline') or ())]


def _innermost(dataset: Any) -> Any:
    while _get(dataset, 'pipeline') is None:
        # Wrappers (repeat, concatenation, class balance) hold the data set that has one.
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
            # One of several choices of transforms.
            yield from _steps(transform)
            continue
        settings = transform if isinstance(transform, Mapping) else getattr(transform, '__dict__', {})
        yield Step(tuple(_class_names(transform)), settings)
        inner = settings.get('transforms')
        yield from _steps(getattr(inner, 'transforms', inner) or ())


def _class_names(thing: Any) -> list[str]:
    """The name of the class that something is or that its config says, and those of its bases where they are known."""
    kind = thing.get('type') if isinstance(thing, Mapping) else type(thing)
    if isinstance(kind, str):
        return [kind.replace('/', '.').split('.')[-1]]
    return [cls.__name__ for cls in getattr(kind, '__mro__', ())]


def _get(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
