"""Built-in data that needs no download, and transforms that the hosts lack."""

from .digits import HandwrittenDigits
from .images_per_class import take_images_per_class
from .replay import ReplayBatchSampler
from .scenes import compose_scenes, write_digit_scenes
from .transforms import AddGaussianNoise

__all__ = [
    'AddGaussianNoise',
    'HandwrittenDigits',
    'ReplayBatchSampler',
    'compose_scenes',
    'take_images_per_class',
    'write_digit_scenes',
]
