"""What of an attack goes into the names of its cached images and of the finished cells of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..attacks import Attack
from ..digests import plain_settings
from ..registry import ATTACKS, find_class
from .former_words import former_settings


def attack_key(settings: Any) -> Any:
    """Settings of one attack or of several, by which their results are found again.

    An attack whose algorithm has changed under the same settings has its :attr:`~mmadvdefense.attacks.Attack.revision`
    among them, wherever it stands in the settings of others; all other keys stay as they are.

    Args:
        settings: a config, or configs by name.
    """
    return former_settings(_with_revisions(plain_settings(settings)))


def _with_revisions(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        inner = {key: _with_revisions(value) for key, value in settings.items()}
        cls = find_class(settings.get('type'), ATTACKS)
        revision = cls.revision if isinstance(cls, type) and issubclass(cls, Attack) else 1
        return {**inner, 'revision': revision} if revision > 1 else inner
    return [_with_revisions(value) for value in settings] if isinstance(settings, (list, tuple)) else settings
