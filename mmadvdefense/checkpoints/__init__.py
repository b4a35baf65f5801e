"""Checkpoints, which go into a model as a whole or not at all."""

from ..saving import AtomicLocalBackend, save_file_atomically, write_json
from .comparison import PREPROCESSOR, LoadReport, compare_state_dict
from .loading import CheckpointMismatch, check_loaded, check_state_dict, keep_own, load_target, state_dict_of
from .part import load_part

__all__ = [
    'PREPROCESSOR',
    'AtomicLocalBackend',
    'CheckpointMismatch',
    'LoadReport',
    'check_loaded',
    'check_state_dict',
    'compare_state_dict',
    'keep_own',
    'load_part',
    'load_target',
    'save_file_atomically',
    'state_dict_of',
    'write_json',
]
