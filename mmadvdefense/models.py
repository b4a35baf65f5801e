"""Host models: built from their configs, unwrapped, and the host they are from."""

from __future__ import annotations

from typing import Union

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseAveragedModel, BaseDataPreprocessor, BaseTTAModel, is_model_wrapper
from mmengine.registry import DefaultScope
from torch import nn
from torch.optim.swa_utils import AveragedModel

from . import compat
from .errors import UsageError
from .hosts import host_of
from .registry import MODELS, find_class, type_path
from .validation import did_you_mean

# Besides the wrappers of distributed training: test-time augmentation, and averaged weights.
_WRAPPERS = (BaseTTAModel, BaseAveragedModel, AveragedModel)


def read_config(path: str) -> Config:
    """A config from its file, or one inside a package by its name: ``'mmpretrain::resnet/resnet18_8xb16_cifar10.py'``.

    MMEngine knows such names only as a ``_base_``.

    Raises:
        FileNotFoundError: if there is no such file.
        UsageError: if there is no such package, or no such config in it.
    """
    if '::' not in path:
        return Config.fromfile(path)
    try:
        return Config.fromstring(f'_base_ = {path!r}', '.py')
    except (AssertionError, ImportError, FileNotFoundError) as error:  # MMEngine asserts that it knows the package
        raise UsageError(f'config not found: {path} ({error})') from error


def build_model(config: Union[str, Config]) -> nn.Module:
    """The model of a config (or config file), in the config's own scope, as MMEngine's runner would build it."""
    if isinstance(config, str):
        config = read_config(config)
    scope = host_scope(config)
    compat.apply_for_scope(scope)
    model = config.model.copy()
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def preprocessor_of(model: nn.Module) -> BaseDataPreprocessor:
    """The data preprocessor of a host model: its own, or the purifier in front of it."""
    return model.data_preprocessor


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """A layer by its name in ``model.named_modules()``.

    Raises:
        ValueError: if the model has no such layer; the message lists similar names.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        raise UsageError(f'{type(model).__name__} has no layer {name!r}; {did_you_mean(name, layers, most=5)}')
    return layers[name]


def all_modules(model: nn.Module) -> list[nn.Module]:
    """What ``model.modules()`` yields, each once and the model first, in half the time: without making up names."""
    modules, seen = [model], {model}
    # The list grows while it is gone through.
    for module in modules:
        for child in module._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                modules.append(child)
    return modules


def unwrap(model: nn.Module) -> nn.Module:
    """The host model itself, without the wrappers of distributed training, test-time augmentation, averaged weights."""
    while is_model_wrapper(model) or isinstance(model, _WRAPPERS):
        model = model.get_submodule('module')
    return model


def host_model(config: Config) -> ConfigDict:
    """The part of a config that is the host model itself, inside the test-time augmentation that may wrap it."""
    model = config.get('model') or ConfigDict()
    while isinstance(model.get('module'), dict):
        model = model['module']
    return model


def host_scope(config: Config) -> str:
    """The default scope of a config; for configs in plain Python, which have none, that of the host its model is from.

    It is ``'mmengine'`` where there is no such host.
    """
    scope = config.get('default_scope')
    if scope:
        return scope
    kind = host_model(config).get('type')
    found = find_class(kind, MODELS)
    host = host_of(type_path(kind), *map(type_path, found.__mro__ if found else ()))
    return host.scope if host else 'mmengine'
