"""Recipes of adversarial training, which a config or a command names in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..errors import UsageError
from ..validation import did_you_mean
from .recipes import CONFIGS

# The key of a config that names one recipe or several.
RECIPE = 'recipe'
FOLDER = CONFIGS / '_base_' / 'adversarial'


def recipe_names() -> list[str]:
    """The names of all recipes, sorted: the files of ``configs/_base_/adversarial``."""
    return sorted(path.stem for path in Path(FOLDER).glob('*.py'))


def apply_recipes(config: Config) -> None:
    """Merge the recipes that a config names into it, one after the other, and remove the key ``recipe``.

    A recipe is a config: its hooks are added to those of the config, ``lr_factor`` multiplies the learning rate,
    ``epochs_factor`` the epochs of training and of its schedules, and everything else is merged. The config that a run
    writes has all that and no key, so that it can be trained again as it is.

    Args:
        config: of a model; changed in place. Without the key nothing happens.

    Raises:
        ValueError: for an unknown name.
    """
    names = config.pop(RECIPE, None)
    for name in [names] if isinstance(names, str) else names or ():
        if name not in recipe_names():
            raise UsageError(f'unknown recipe {name!r}; {did_you_mean(name, recipe_names())}')
        settings = Config.fromfile(FOLDER / f'{name}.py').to_dict()
        hooks = settings.pop('custom_hooks', [])
        # Inherited for the hook, which has it; a config may have an attack of its own under this name.
        settings.pop('attack', None)
        own = config.get('custom_hooks')
        # A dict is made of settings of the command for hooks that a recipe brings; they are merged again afterwards.
        config.custom_hooks = [*(own if isinstance(own, (list, tuple)) else ()), *hooks]
        factor, length = settings.pop('lr_factor', 1), settings.pop('epochs_factor', 1)
        for key, value in settings.items():
            _merge(config, key, value)
        if factor != 1:
            config.optim_wrapper.optimizer.lr *= factor
        if length != 1:
            _scale_epochs(config, length)
        print_log(f'recipe {name!r} of {FOLDER}', 'current')


def _scale_epochs(config: Config, factor: float) -> None:
    def scaled(epochs: float) -> int:
        return max(1, round(factor * epochs)) if epochs else 0

    if (config.get('train_cfg') or {}).get('max_epochs'):
        config.train_cfg.max_epochs = scaled(config.train_cfg.max_epochs)
    schedulers = config.get('param_scheduler') or []
    for scheduler in [schedulers] if isinstance(schedulers, dict) else schedulers:
        if not scheduler.get('by_epoch', True):
            continue
        for name in ('begin', 'end', 'T_max', 'total_steps'):
            if isinstance(scheduler.get(name), int):
                scheduler[name] = scaled(scheduler[name])
        if 'milestones' in scheduler:
            scheduler['milestones'] = [scaled(epoch) for epoch in scheduler['milestones']]


def _merge(config: Config, key: str, value: Any) -> None:
    # Schedulers may be one or several, which do not merge.
    if isinstance(value, dict) and not isinstance(config.get(key), dict):
        value = {name: own for name, own in value.items() if name != '_delete_'}
        config.pop(key, None)
    config.merge_from_dict({key: value})
