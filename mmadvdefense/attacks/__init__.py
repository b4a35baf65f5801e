"""Adversarial attacks on raw pixels. A new attack goes into the subpackage of its kind."""

from ..randomness import Randomness, derive_seed
from .base import Attack, AttackResult, attack_names, attack_settings, build_attack
from .batch import AttackBatch
from .defense import BackwardPass, Defense
from .dense.objectives import PixelObjective
from .dense.pixel_pgd import CosPGD, SegPGD
from .dense.sea import SEA
from .dense.seg_autoattack import SegAutoAttack
from .ensemble import EnsembleSource
from .external.adapters import TorchAttack
from .external.autoattack import AutoAttack
from .first_success import FirstSuccess
from .gradient.apgd import APGD, AdaptiveAscent, AscentResult
from .gradient.feature import DR, FDA, SSP, TAP
from .gradient.feature_objectives import FeatureObjective
from .gradient.fgsm_family import BIM, DIFGSM, FGSM, MIFGSM, PGD, TIFGSM
from .gradient.loop import GradientAttack
from .gradient.padam import PAdam
from .gradient.random_budget import RandomBudget
from .gradient.random_sign import RandomSign
from .gradient.rfgsm import RFGSM
from .minimal.carlini_wagner import CarliniWagner, CarliniWagnerBounded
from .minimal.deepfool import DeepFool
from .query.curls_whey import CurlsWhey
from .query.geoda import GeoDA
from .query.ppda import PPDA
from .query.sign_flip import SignFlip
from .query.square import Square
from .source import AttackSource, CleanReference
from .worst_of import Candidate, EachPart, EachTarget, WorstOf, num_target_classes

__all__ = [
    'APGD',
    'BIM',
    'DIFGSM',
    'DR',
    'FDA',
    'FGSM',
    'MIFGSM',
    'PAdam',
    'PGD',
    'PPDA',
    'PixelObjective',
    'RFGSM',
    'SEA',
    'SSP',
    'TAP',
    'TIFGSM',
    'AdaptiveAscent',
    'AscentResult',
    'Attack',
    'AttackBatch',
    'AttackResult',
    'AttackSource',
    'AutoAttack',
    'BackwardPass',
    'Candidate',
    'CarliniWagner',
    'CarliniWagnerBounded',
    'CleanReference',
    'CosPGD',
    'CurlsWhey',
    'DeepFool',
    'Defense',
    'EachPart',
    'EachTarget',
    'EnsembleSource',
    'FeatureObjective',
    'FirstSuccess',
    'GeoDA',
    'GradientAttack',
    'RandomBudget',
    'RandomSign',
    'Randomness',
    'SegAutoAttack',
    'SegPGD',
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
