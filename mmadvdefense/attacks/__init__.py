"""Adversarial attacks on raw pixels. A new attack goes into the subpackage of its kind."""

from ..randomness import Randomness, derive_seed
from .autoattack import APGDT, AutoAttack
from .base import Attack, AttackResult, attack_names, attack_settings, build_attack
from .batch import AttackBatch
from .defense import BackwardPass, Defense
from .dense.objectives import PixelObjective
from .dense.pixel_pgd import CosPGD, SegPGD
from .dense.sea import SEA
from .dense.seg_autoattack import SegAutoAttack
from .detection.dag import DetectionDAG
from .detection.objectives import CandidateObjective
from .ensemble import EnsembleSource
from .external.adapters import TorchAttack
from .external.corruptions import Corruption, ImageNetC
from .first_success import FirstSuccess
from .gradient.apgd import APGD, AdaptiveAscent, AscentResult
from .gradient.feature import DR, FDA, SSP, TAP
from .gradient.feature_objectives import FeatureObjective
from .gradient.fgsm_family import BIM, DIFGSM, FGSM, MIFGSM, PGD, TIFGSM
from .gradient.gaussian_noise import GaussianNoise
from .gradient.loop import GradientAttack
from .gradient.nfgsm import NFGSM
from .gradient.padam import PAdam
from .gradient.random_budget import RandomBudget
from .gradient.random_sign import RandomSign
from .gradient.rfgsm import RFGSM
from .minimal.alma_prox import ALMAProx
from .minimal.carlini_wagner import CarliniWagner, CarliniWagnerBounded
from .minimal.dag import DAG
from .minimal.deepfool import DeepFool
from .minimal.fab import FAB
from .minimal.pdpgd import PDPGD
from .patch.attacks import AdversarialPatch, DPatch, PatchAttack
from .patch.universal import UniversalPatch, UniversalPerturbation
from .query.curls_whey import CurlsWhey
from .query.geoda import GeoDA
from .query.ppda import PPDA
from .query.sign_flip import SignFlip
from .query.square import Square
from .source import AttackSource, CleanReference
from .strongest_of import StrongestOf
from .worst_of import Candidate, EachPart, EachTarget, WorstOf, num_target_classes

__all__ = [
    'APGD',
    'APGDT',
    'BIM',
    'DAG',
    'DIFGSM',
    'DR',
    'FAB',
    'FDA',
    'FGSM',
    'MIFGSM',
    'NFGSM',
    'PDPGD',
    'PAdam',
    'PGD',
    'PPDA',
    'PixelObjective',
    'RFGSM',
    'SEA',
    'SSP',
    'TAP',
    'TIFGSM',
    'ALMAProx',
    'AdaptiveAscent',
    'AscentResult',
    'AdversarialPatch',
    'Attack',
    'AttackBatch',
    'AttackResult',
    'AttackSource',
    'AutoAttack',
    'BackwardPass',
    'Candidate',
    'CandidateObjective',
    'CarliniWagner',
    'CarliniWagnerBounded',
    'CleanReference',
    'Corruption',
    'CosPGD',
    'CurlsWhey',
    'DPatch',
    'DeepFool',
    'Defense',
    'EachPart',
    'DetectionDAG',
    'EachTarget',
    'EnsembleSource',
    'FeatureObjective',
    'FirstSuccess',
    'GaussianNoise',
    'GeoDA',
    'GradientAttack',
    'ImageNetC',
    'PatchAttack',
    'RandomBudget',
    'RandomSign',
    'Randomness',
    'SegAutoAttack',
    'SegPGD',
    'SignFlip',
    'Square',
    'StrongestOf',
    'TorchAttack',
    'UniversalPatch',
    'UniversalPerturbation',
    'WorstOf',
    'attack_names',
    'attack_settings',
    'build_attack',
    'num_target_classes',
    'derive_seed',
]
