"""The default recipes, which complete configs that name a purifier in one line."""

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
from ..registry import ATTACKS, HOOKS, MODELS, OPTIM_WRAPPERS, builds, find_class, type_name
from .mixed_precision import use_mixed_precision, wrapper_settings
from .purifier_config import (
    fill_discriminator_channels,
    joined,
    purifier_config,
    purifier_places,
    trains_purifier,
)

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package if installed by setup.py, next to it in a clone.
CONFIGS = (_PACKAGE / '.mim' / 'configs') if (_PACKAGE / '.mim').is_dir() else (_PACKAGE.parent / 'configs')
# By the host's scope; the placeholder is the method, which a purifier's class names in `recipe`.
DEFAULT_RECIPES = {scope: f'_base_/defenses/{{}}_default_{host.recipe}.py' for scope, host in HOSTS.items()}


def complete_purifier(config: Config) -> None:
    """Add the networks of the default recipe to a config whose purifier does not specify them.

    A config with a ``PurifierTrainHook`` is left unchanged, a generator from an export takes precedence, and untrained
    purifiers are complete as they are.
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
    """Add the default recipe of its task to a config that names a purifier but not how to train it.

    Hook, objective, discriminator, optimizer and schedule come from the recipe; data, epochs, evaluation and everything
    else are kept. A config with a ``PurifierTrainHook`` is complete and left unchanged; one with a purifier that needs
    no training trains its model on purified images.

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
    # The base batch size belonged to the learning rate that has just been replaced.
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
    """The default recipe for a config, relative to :data:`CONFIGS` or absolute; None for other hosts."""
    recipe = DEFAULT_RECIPES.get(host_scope(config))
    purifier = find_class((purifier_config(config) or {}).get('type'), MODELS)
    method = getattr(purifier, 'recipe', 'align')
    return recipe and (str(Path(method).absolute()) if method.endswith('.py') else recipe.format(method))


def _load_default_recipe(config: Config) -> Optional[Config]:
    recipe = default_recipe(config) if _needs_recipe(config) else None
    purifier = purifier_config(config)
    if recipe is None or purifier is None:
        return None
    if not (CONFIGS / recipe).exists():
        method = getattr(find_class(purifier.type, MODELS), 'recipe', 'align')
        others = [scope for scope, name in DEFAULT_RECIPES.items() if (CONFIGS / name.format(method)).exists()]
        only = f', only for {" and ".join(others)}' if others else f' ({recipe} is missing)'
        raise UsageError(
            f'{type_name(purifier.type)} has no default recipe for {host_scope(config)}{only}: take another purifier, '
            'or train this one with a PurifierTrainHook in custom_hooks'
        )
    found = Config.fromfile(CONFIGS / recipe)
    _share_sigma(found, purifier)
    return found


def _share_sigma(recipe: Config, purifier: ConfigDict) -> None:
    """Train on the noise that the purifier is for."""
    sigma = purifier.get('sigma')
    for hook in recipe.custom_hooks:
        if sigma is not None and builds(hook.attack, 'GaussianNoise', ATTACKS):
            hook.attack.sigma = sigma


def linear_decay(train_cfg: Optional[dict]) -> list:
    """A schedule that is constant in the first half of training, then decays linearly to 0.

    As in the released code, which has 100 constant and 100 decaying epochs; the paper states no decay.

    Raises:
        ValueError: if ``train_cfg`` does not state the length of training.
    """
    # MMEngine's epoch-based and iteration-based loops each accept only one of the two.
    by_epoch = 'max_epochs' in (train_cfg or {})
    length = (train_cfg or {}).get('max_epochs' if by_epoch else 'max_iters')
    if length is None:
        raise UsageError(
            f'train_cfg has neither max_epochs nor max_iters, which the default recipe needs; got {train_cfg}'
        )
    if length < 2:
        return []
    scheduler = dict(
        type='LinearLR', start_factor=1.0, end_factor=0.0, begin=length // 2, end=length, by_epoch=by_epoch
    )
    if by_epoch:
        scheduler['convert_to_iter_based'] = True
    return [ConfigDict(scheduler)]
