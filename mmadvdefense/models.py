"""Host models from their configs."""

from __future__ import annotations

import difflib
from typing import Any, Union

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from . import compat
from .registry import MODELS


def build_model(config: Union[str, Config]) -> nn.Module:
    """The model of a config file, in the config's own scope, as MMEngine's runner would build it."""
    if isinstance(config, str):
        config = Config.fromfile(config)
    scope = config.get('default_scope', 'mmengine')
    compat.apply_for_scope(scope)
    model = config.model.copy()
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """A layer by its name in ``model.named_modules()``.

    Raises:
        ValueError: if the model has no such layer; the message lists near names.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        near = difflib.get_close_matches(name, layers, n=5, cutoff=0.3)
        raise ValueError(f'{type(model).__name__} has no layer {name!r}; near names: {", ".join(near)}')
    return layers[name]


def unwrap(model: nn.Module) -> nn.Module:
    """The host model itself, without what distributed training wraps it in."""
    return model.module if is_model_wrapper(model) else model


@MODELS.register_module(name='DefendedEnsemble')
def build_defended_ensemble(**settings: Any) -> nn.Module:
    """A :class:`~mmadvdefense.ensembles.DefendedEnsemble`; MMPretrain, which it is a model of, is imported only now."""
    from .ensembles import DefendedEnsemble

    return DefendedEnsemble(**settings)
