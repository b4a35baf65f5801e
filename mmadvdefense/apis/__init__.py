"""What one calls from Python: purifiers in front of models and inference APIs, and what they change."""

from .inferencer import PurifiedInferencer
from .plain import ProtectedModule
from .protection import as_host, protect
from .recording import PurifiedImage, record_purified
from .settings import purifier_settings

__all__ = [
    'ProtectedModule',
    'PurifiedImage',
    'PurifiedInferencer',
    'as_host',
    'protect',
    'purifier_settings',
    'record_purified',
]
