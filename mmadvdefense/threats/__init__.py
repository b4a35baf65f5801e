"""What an attacker has and knows."""

from ..errors import UnsupportedAttackError
from .sources import build_source
from .threat_model import (
    DEFAULT_EOT_SAMPLES,
    DEFENSE_AWARE,
    INFORMED,
    NATURAL,
    NEEDS_PURIFIER,
    THREAT_MODELS,
    THREAT_SETTINGS,
    ThreatModel,
)

__all__ = [
    'DEFAULT_EOT_SAMPLES',
    'DEFENSE_AWARE',
    'INFORMED',
    'NATURAL',
    'NEEDS_PURIFIER',
    'THREAT_MODELS',
    'THREAT_SETTINGS',
    'UnsupportedAttackError',
    'ThreatModel',
    'build_source',
]
