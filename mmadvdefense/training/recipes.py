"""The default recipes: what a config leaves out that names a purifier in one line."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Optional

from mmengine.config import Config, ConfigDict
from mmengine.device import is_cuda_available
from mmengine.logging import print_log

from ..errors import UsageError
from ..hosts import HOSTS
from ..models import host_scope
from ..purifiers import HGDPurifier
from ..registry import HOOKS, OPTIM_WRAPPERS, builds, type_name
from .mixed_precision import use_mixed_precision, wrapper_settings
from .purifier_config import (
    fill_discriminator_channels,
    is_purifier,
    joined,
    purifier_config,
    purifier_places,
    trains_purifier,
)

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package where setup.py packed them, beside it in a clone.
CONFIGS = (_PACKAGE / '.mim' / 'configs') if (_PACKAGE / '.mim').is_dir() else (_PACKAGE.parent / 'configs')
# By the host's scope; the gap is for the method, `align` or `hgd`.
DEFAULT_RECIPES = {scope: f'_base_/defenses/{{}}_default_{host.recipe}.py' for scope, host in HOSTS.items()}


def complete_purifier(config: Config) -> None:
    """Give a config that names a purifier with networks, but not which, those of the default recipe.

    Those of a config with a ``PurifierTrainHook`` are left alone, and the generator that an export brings along counts.
    Purifiers that are not trained are complete.
    """
    recipe = _load_default_recipe(config)
    if recipe is None:
        return
    for place in purifier_places(config):
        purifier = place.data_preprocessor
        for key, value in recipe.data_preprocessor.items():
            if key != 'generator' or not purifier.get('init_cfg'):
                purifier.setdefault(key, copy.deepcopy(value))
        fill_discriminator_channels(config, purifier)


def complete_training(config: Config) -> None:
    """Give a config that names a purifier but not how to train it the default recipe of its task.

    The hook, objective, discriminator, optimizer and schedule are the recipe's; data, epochs, evaluation and
    everything else stay. A config with a ``PurifierTrainHook`` is complete and is left alone, and one with a purifier
    that is not trained trains its model on purified images.

    Raises:
        ValueError: if there is no recipe for the config's default scope.
    """
    scope = host_scope(config)
    if _needs_recipe(config) and scope not in DEFAULT_RECIPES:
        raise UsageError(f'no default recipe for default_scope={scope!r}; known: {", ".join(DEFAULT_RECIPES)}')
    recipe = _load_default_recipe(config)
    purifier = purifier_config(config)
    if purifier is not None and not trains_purifier(config):
        print_log(
            f'{type_name(purifier.type)} is not trained: training the model itself, on purified images', 'current'
        )
    if recipe is None:
        return
    complete_purifier(config)
    config.custom_hooks = [*(config.get('custom_hooks') or []), *recipe.custom_hooks]
    config.optim_wrapper = joined(recipe.optim_wrapper, wrapper_settings(config.get('optim_wrapper') or {}))
    if builds(config.optim_wrapper, 'AmpOptimWrapper', OPTIM_WRAPPERS) and not is_cuda_available():
        print_log('AmpOptimWrapper needs a GPU: training under bfloat16 on the CPU', 'current', logging.WARNING)
        use_mixed_precision(config)
    config.param_scheduler = linear_decay(config.get('train_cfg'))
    # The host's batch size belongs to the learning rate that has just been replaced.
    config.pop('auto_scale_lr', None)
    if 'auto_scale_lr' in recipe:
        config.auto_scale_lr = recipe.auto_scale_lr
    print_log(
        f'no PurifierTrainHook in the config: training with the default recipe {default_recipe(config)}', 'current'
    )


def _needs_recipe(config: Config) -> bool:
    hooks = config.get('custom_hooks') or []
    return trains_purifier(config) and not any(builds(hook, 'PurifierTrainHook', HOOKS) for hook in hooks)


def default_recipe(config: Config) -> Optional[str]:
    """The file, below :data:`CONFIGS`, with what a config leaves out that names a purifier; None for other hosts."""
    recipe = DEFAULT_RECIPES.get(host_scope(config))
    return recipe and recipe.format('hgd' if is_purifier(purifier_config(config), HGDPurifier) else 'align')


def _load_default_recipe(config: Config) -> Optional[Config]:
    recipe = default_recipe(config) if _needs_recipe(config) else None
    return recipe and Config.fromfile(CONFIGS / recipe)


def linear_decay(train_cfg: Optional[dict]) -> list:
    """Constant in the first half of training, then linear to 0.

    The form of the released code's default, 100 constant and 100 decaying epochs; the paper states no decay.

    Raises:
        ValueError: if ``train_cfg`` does not say how long training is.
    """
    # MMEngine's loops by epoch and by iteration each take one of the two, and refuse the other.
    by_epoch = 'max_epochs' in (train_cfg or {})
    length = (train_cfg or {}).get('max_epochs' if by_epoch else 'max_iters')
    if length is None:
        raise UsageError(
            f'train_cfg says neither max_epochs nor max_iters, which the default recipe needs; it is {train_cfg}'
        )
    if length < 2:
        return []
    scheduler = dict(
        type='LinearLR', start_factor=1.0, end_factor=0.0, begin=length // 2, end=length, by_epoch=by_epoch
    )
    if by_epoch:
        scheduler['convert_to_iter_based'] = True
    return [ConfigDict(scheduler)]
