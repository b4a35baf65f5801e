"""Built-in data that needs no download, and transforms that no host has."""

from .digits import HandwrittenDigits
from .scenes import compose_scenes, write_digit_scenes
from .transforms import AddGaussianNoise

__all__ = ['AddGaussianNoise', 'HandwrittenDigits', 'compose_scenes', 'write_digit_scenes']
