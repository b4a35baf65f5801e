"""Randomized smoothing: radii in L2 within which no attack of any kind changes a prediction."""

from .bounds import certified_radius, lower_bound
from .smoothed import ABSTAIN, Certificate, PixelCertificate, Prediction, SmoothedModel
from .votes import NoisyVotes

__all__ = [
    'ABSTAIN',
    'Certificate',
    'NoisyVotes',
    'PixelCertificate',
    'Prediction',
    'SmoothedModel',
    'certified_radius',
    'lower_bound',
]
