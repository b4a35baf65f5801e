"""What an attacker has and knows."""

from .sources import build_source
from .threat_model import (
    DEFAULT_DRAWS,
    DEFENCE_AWARE,
    NEEDS_PURIFIER,
    THREAT_MODELS,
    THREAT_SETTINGS,
    CannotRun,
    ThreatModel,
)

__all__ = [
    'DEFAULT_DRAWS',
    'DEFENCE_AWARE',
    'NEEDS_PURIFIER',
    'THREAT_MODELS',
    'THREAT_SETTINGS',
    'CannotRun',
    'ThreatModel',
    'build_source',
]
