"""The host's own preprocessor behind a purifier: built from its settings, or the one that a model has already."""

from __future__ import annotations

import inspect
from typing import Any, Optional, Union

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DefaultScope

from .. import compat
from ..errors import UsageError
from ..hosts import HOSTS
from ..pipelines import native_channel_order, preprocessor_channel_order
from ..registry import MODELS, type_name, type_path
from ..validation import did_you_mean

NativeType = Union[str, type, BaseDataPreprocessor, None]


def native_preprocessor(
    owner: str, native_type: NativeType, settings: dict[str, Any]
) -> tuple[BaseDataPreprocessor, Optional[str]]:
    """The preprocessor, and the channel order of the images that it takes, if it tells.

    Args:
        owner: the purifier's name, for messages.
        native_type: see :class:`~mmadvdefense.purifiers.Purifier`.
        settings: of the preprocessor that is to be built.

    Raises:
        UsageError: if the type cannot be determined; for a setting that neither the purifier nor the
            preprocessor takes.
    """
    if isinstance(native_type, BaseDataPreprocessor):
        if settings:
            raise _unknown(owner, next(iter(settings)), 'the preprocessor behind it is built already')
        return native_type, preprocessor_channel_order(native_type)
    scope = DefaultScope.get_current_instance()
    scope_name = scope.scope_name if scope else None
    if native_type is None:
        if scope_name not in HOSTS:
            raise UsageError(
                f'{owner} cannot tell which preprocessor to wrap in default scope {scope_name!r}: '
                f"set default_scope to one of {', '.join(HOSTS)}, or pass native_type='...DataPreprocessor'"
            )
        native_type = HOSTS[scope_name].native_type
    native_path = type_path(native_type)
    compat.apply_for_scope(native_path.partition('.')[0] if '.' in native_path else scope_name)
    if settings.pop('batch_augments', None) and 'ClsDataPreprocessor' in native_path:
        # Mixup and similar augmentations are dropped, since they would mix images that the attack never saw; but
        # they also enable soft labels, which the host's loss may need.
        settings['to_onehot'] = True
    try:
        return MODELS.build(dict(type=native_type, **settings)), native_channel_order(settings)
    except TypeError as error:
        # Whatever a purifier does not take itself arrives here.
        unknown = next((name for name in settings if f"unexpected keyword argument '{name}'" in str(error)), None)
        if unknown is None:
            raise
        raise _unknown(owner, unknown, f'neither does {type_name(native_type)} behind it') from error


def _unknown(owner: str, name: str, rest: str) -> UsageError:
    """The error about a setting that is none of the purifier's own."""
    classes = [cls for cls in getattr(MODELS.get(owner), '__mro__', ()) if issubclass(cls, BaseDataPreprocessor)]
    parameters = [parameter for cls in classes for parameter in inspect.signature(cls).parameters.values()]
    own = {parameter.name: None for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    return UsageError(f'{owner} takes no {name!r}, and {rest}; {did_you_mean(name, own)}')
