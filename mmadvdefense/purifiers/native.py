"""The host's own preprocessor behind a purifier: built from its settings, or the one that a model has already."""

from __future__ import annotations

from typing import Any, Optional, Union

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DefaultScope

from .. import compat
from ..errors import UsageError
from ..hosts import HOSTS
from ..pipelines import native_channel_order, preprocessor_channel_order
from ..registry import MODELS, type_path

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
        UsageError: if the type cannot be determined; for settings of a preprocessor that is built already.
    """
    if isinstance(native_type, BaseDataPreprocessor):
        if settings:
            raise UsageError(f'{owner} got a preprocessor that is built already, and settings for it: {list(settings)}')
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
    return MODELS.build(dict(type=native_type, **settings)), native_channel_order(settings)
