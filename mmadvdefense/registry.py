"""MMEngine's root registries, and one of our own for attacks.

Modules are registered in the root, so that ``type='AlignPurifier'`` resolves from every default scope without a prefix.
"""

from mmengine.registry import DATASETS, FUNCTIONS, HOOKS, MODEL_WRAPPERS, MODELS, OPTIM_WRAPPERS, TRANSFORMS, Registry

ATTACKS = Registry('attack', scope='mmadvdefense', locations=['mmadvdefense.attacks'])


def in_own_scope(config: dict) -> dict:
    """A copy of ``config`` that ``ATTACKS`` builds whatever the default scope is: no host has attacks of its own."""
    return {**config, '_scope_': 'mmadvdefense'}


def in_root_scope(config: dict) -> dict:
    """A copy of ``config`` for which root registries look at their own modules first.

    MMPretrain has a ``PixelReconstructionLoss`` too, which would win in its default scope.
    """
    return {'_scope_': 'mmengine', **config}


__all__ = [
    'ATTACKS',
    'DATASETS',
    'FUNCTIONS',
    'HOOKS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIM_WRAPPERS',
    'TRANSFORMS',
    'in_own_scope',
    'in_root_scope',
]
