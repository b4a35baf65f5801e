"""Words of the first run folders and caches for what has another name today.

Files outlive a renaming, and so this table is read in both directions. What is read from a file is converted to the
current words (:mod:`mmadvdefense.evaluation.grid.versions`). Digests are computed with the former words for good: they
are the names of cached images and of the finished cells of a grid, and with the current words, hours of attacks whose
result is on the disk would be run again although nothing but a name has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

# Former: current.
THREAT_MODELS = {'white-box': 'gray-box', 'adaptive-full': 'adaptive'}
SETTINGS = {'draws': 'eot_samples', 'pixel_share': 'success_threshold'}
_FORMER_THREAT_MODELS = {current: former for former, current in THREAT_MODELS.items()}
_FORMER_SETTINGS = {current: former for former, current in SETTINGS.items()}


def current_threat_model(name: str) -> str:
    """The name that a threat model has today."""
    return THREAT_MODELS.get(name, name)


def former_threat_model(name: str) -> str:
    """The name that digests have for a threat model."""
    return _FORMER_THREAT_MODELS.get(name, name)


def current_settings(settings: Any) -> Any:
    """Settings under the names that they have today, however deep they lie in dicts and lists."""
    return _renamed(settings, SETTINGS, _current_attack)


def former_settings(settings: Any) -> Any:
    """Settings under the names that digests have for them, however deep they lie in dicts and lists."""
    return _renamed(settings, _FORMER_SETTINGS, _former_attack)


# Both attacks of Carlini and Wagner had one name, and eps told which was meant.


def _current_attack(settings: dict[Any, Any]) -> dict[Any, Any]:
    bounded = settings.get('type') == 'CarliniWagner' and settings.get('eps') is not None
    return {**settings, 'type': 'CarliniWagnerBounded'} if bounded else settings


def _former_attack(settings: dict[Any, Any]) -> dict[Any, Any]:
    return {**settings, 'type': 'CarliniWagner'} if settings.get('type') == 'CarliniWagnerBounded' else settings


def _renamed(settings: Any, names: Mapping[str, str], attack: Callable[[dict[Any, Any]], dict[Any, Any]]) -> Any:
    if isinstance(settings, Mapping):
        return attack({names.get(key, key): _renamed(value, names, attack) for key, value in settings.items()})
    return [_renamed(value, names, attack) for value in settings] if isinstance(settings, (list, tuple)) else settings
