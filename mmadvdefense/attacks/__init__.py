"""The adversary: raw pixels in, raw pixels out, inside a norm ball. A new attack goes into ``gradient.py``."""

from ..randomness import Randomness, derive_seed
from .adapters import TorchAttack
from .autoattack import AutoAttack
from .base import Attack, AttackResult
from .batch import AttackBatch
from .build import attack_names, attack_settings, build_attack
from .carlini_wagner import CarliniWagner
from .curls_whey import CurlsWhey
from .deepfool import DeepFool
from .defence import BackwardPass, Defence
from .ensemble import EnsembleSource
from .feature import DR, FDA, SSP, TAP
from .feature_objectives import FeatureObjective
from .first_success import FirstSuccess
from .geoda import GeoDA
from .gradient import BIM, DIFGSM, FGSM, MIFGSM, PGD, TIFGSM
from .loop import GradientAttack
from .ppda import PPDA
from .random_budget import RandomBudget
from .random_sign import RandomSign
from .sign_flip import SignFlip
from .source import AttackSource, CleanReference
from .square import Square
from .worst_of import Candidate, EachTarget, WorstOf, num_target_classes

__all__ = [
    'BIM',
    'DIFGSM',
    'DR',
    'FDA',
    'FGSM',
    'MIFGSM',
    'PGD',
    'PPDA',
    'SSP',
    'TAP',
    'TIFGSM',
    'Attack',
    'AttackBatch',
    'AttackResult',
    'AttackSource',
    'AutoAttack',
    'BackwardPass',
    'Candidate',
    'CarliniWagner',
    'CleanReference',
    'CurlsWhey',
    'DeepFool',
    'Defence',
    'EachTarget',
    'EnsembleSource',
    'FeatureObjective',
    'FirstSuccess',
    'GeoDA',
    'GradientAttack',
    'RandomBudget',
    'RandomSign',
    'Randomness',
    'SignFlip',
    'Square',
    'TorchAttack',
    'WorstOf',
    'attack_names',
    'attack_settings',
    'build_attack',
    'num_target_classes',
    'derive_seed',
]
