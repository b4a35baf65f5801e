"""Purifiers in front of OpenMMLab models, and the attacks to measure them with. Importing registers everything."""

from . import compat
from .version import __version__

compat.apply()

# The rooms import the dependencies that have just been checked.
from . import (  # noqa: E402
    attacks,
    checkpoints,
    datasets,
    evaluation,
    hooks,
    losses,
    networks,
    purifiers,
    threats,
    training,
)

__all__ = [
    '__version__',
    'attacks',
    'checkpoints',
    'compat',
    'datasets',
    'evaluation',
    'hooks',
    'losses',
    'networks',
    'purifiers',
    'threats',
    'training',
]
