"""The adversary: raw pixels in, raw pixels out, inside a norm ball. A new attack goes into ``gradient.py``."""

from .build import attack_names, build_attack
from .gradient import BIM, FGSM, PGD
from .loop import GradientAttack
from .randomness import Randomness, derive_seed
from .source import AttackSource, CleanReference

__all__ = [
    'BIM',
    'FGSM',
    'PGD',
    'AttackSource',
    'CleanReference',
    'GradientAttack',
    'Randomness',
    'attack_names',
    'build_attack',
    'derive_seed',
]
