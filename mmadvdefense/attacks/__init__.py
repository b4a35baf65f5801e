"""The adversary: raw pixels in, raw pixels out, inside a norm ball. A new attack goes into ``gradient.py``."""

from ..randomness import Randomness, derive_seed
from .base import Attack, AttackResult
from .batch import AttackBatch
from .build import attack_names, build_attack
from .defence import BackwardPass, Defence
from .gradient import BIM, FGSM, PGD
from .loop import GradientAttack
from .source import AttackSource, CleanReference

__all__ = [
    'BIM',
    'FGSM',
    'PGD',
    'Attack',
    'AttackBatch',
    'AttackResult',
    'AttackSource',
    'BackwardPass',
    'CleanReference',
    'Defence',
    'GradientAttack',
    'Randomness',
    'attack_names',
    'build_attack',
    'derive_seed',
]
