"""MMEngine's root registries, and two registries of this package: attacks, and the objectives that they maximize.

Modules are registered in the root, so that ``type='AlignPurifier'`` resolves without a prefix in every default scope.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    FUNCTIONS,
    HOOKS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPERS,
    TRANSFORMS,
    WEIGHT_INITIALIZERS,
    Registry,
)

from .errors import UsageError

ATTACKS = Registry('attack', scope='mmadvdefense', locations=['mmadvdefense.attacks'])
OBJECTIVES = Registry('attack objective', scope='mmadvdefense', locations=['mmadvdefense.attacks'])


def build_as_configured(config: dict, registry: Registry) -> Any:
    """What ``config`` describes, of ``ATTACKS`` or ``OBJECTIVES``, in any default scope.

    Raises:
        UsageError: for parameters that its class does not take.
    """
    try:
        return registry.build({**config, '_scope_': 'mmadvdefense'})
    except TypeError as error:
        raise UsageError(f'{type_name(config.get("type"))}: {error}') from error


def in_root_scope(config: dict) -> dict:
    """A copy of ``config`` that root registries resolve among their own modules first.

    MMPretrain has a ``PixelReconstructionLoss`` of its own, which would take precedence in its default scope.
    """
    return {'_scope_': 'mmengine', **config}


# Possible values of a config's ``type``: ``PGD``, ``'PGD'``, ``'mmengine.PGD'``, or, as MMEngine dumps plain-Python
# configs, ``'mmadvdefense.attacks.gradient.fgsm_family.PGD'``.
Kind = Union[str, type, None]


def type_name(kind: Kind) -> str:
    """The bare name of a ``type``, without the scope or module before it."""
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', str(kind))


def type_path(kind: Kind) -> str:
    """A ``type`` as a string that registries can resolve; classes are given with their module, as MMEngine does."""
    return f'{kind.__module__}.{kind.__qualname__}' if isinstance(kind, type) else str(kind)


def find_class(kind: Kind, registry: Registry) -> Optional[type]:
    """The class that a ``type`` refers to; None if it is unknown."""
    if isinstance(kind, str):
        kind = registry.get(kind) if kind else None
    return kind if isinstance(kind, type) else None


def builds(config: Any, name: str, registry: Registry) -> bool:
    """Whether a config, or an object built from one, is of the class registered as ``name`` or a subclass."""
    wanted = registry.get(name)
    if not isinstance(config, dict):
        return isinstance(wanted, type) and isinstance(config, wanted)
    kind = config.get('type')
    found = registry.get(kind) if kind and isinstance(kind, str) else kind
    if isinstance(wanted, type):
        return isinstance(found, type) and issubclass(found, wanted)
    # Functions can be registered, too.
    return found is not None and found is wanted


def named_types(config: Any, *registries: Registry) -> Any:
    """A copy of nested settings in which classes are replaced by names, so that it can be saved.

    Args:
        config: dicts and lists of settings.
        registries: where classes are looked up; a class that is in none of them is named by module and name.
    """
    if isinstance(config, dict):
        return {key: named_types(value, *registries) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(named_types(value, *registries) for value in config)
    if not isinstance(config, type):
        return config
    known = (item for registry in registries for item in registry.module_dict.items())
    return next((name for name, cls in known if cls is config), type_path(config))


__all__ = [
    'ATTACKS',
    'DATA_SAMPLERS',
    'DATASETS',
    'FUNCTIONS',
    'HOOKS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OBJECTIVES',
    'OPTIM_WRAPPERS',
    'TRANSFORMS',
    'WEIGHT_INITIALIZERS',
    'build_as_configured',
    'builds',
    'find_class',
    'in_root_scope',
    'named_types',
    'type_name',
    'type_path',
]
