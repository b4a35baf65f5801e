"""Complete test configs of a grid's defenses, all on the same data."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Optional

from mmengine.config import Config

from ...digests import plain_settings
from ...errors import UsageError
from ...models import build_model, read_config
from ...purifiers import Purifier, purifier_names
from ...registry import MODELS, find_class
from ...training.preparation import prepare_for_testing
from ...training.purifier_config import override_purifier, purifier_config
from ...validation import did_you_mean

# Settings of training, all set to ``None``, because MMEngine requires either all settings of a loop or none.
_TRAINING = (
    'train_cfg', 'train_dataloader', 'optim_wrapper', 'val_cfg', 'val_dataloader', 'val_evaluator', 'param_scheduler',
    'auto_scale_lr',
)  # fmt: skip


@dataclass
class Defense:
    """A defense, ready to be tested.

    Attributes:
        name: its name in tables.
        config: for ``Runner.from_cfg``.
        checkpoint: the checkpoint to load; None for a model that loads its own weights.
        purifier: the class of its purifier, None for a model without one.
        random: whether the purifier draws anew for each image.
        fixed: whether it would, but its draw is fixed.
    """

    name: str
    config: Config
    checkpoint: Optional[str]
    purifier: Optional[type[Purifier]]
    random: bool = False
    fixed: bool = False

    def settings(self) -> dict[str, Any]:
        """Everything that its results depend on, except for the data."""
        return {**model_settings(self.config), 'checkpoint': plain_settings(self.checkpoint)}


def model_settings(config: Config) -> dict[str, Any]:
    """The parts of a config that determine a model's output once its checkpoint is loaded."""
    settings = {name: plain_settings(config.get(name)) for name in ('default_scope', 'data_preprocessor', 'test_cfg')}
    model = {name: value for name, value in config.model.items() if name != 'data_preprocessor'}
    settings['model'] = plain_settings(model, leave_out=('init_cfg', 'pretrained'))
    # A purifier's init_cfg refers to its export, which no checkpoint overwrites.
    settings['model']['data_preprocessor'] = plain_settings(config.model.get('data_preprocessor'))
    return settings


def data_settings(config: Config) -> dict[str, Any]:
    """The parts of a config that determine the test data, without batching and loading."""
    dataset = {name: value for name, value in config.test_dataloader.dataset.items() if name != 'indices'}
    return {'dataset': plain_settings(dataset), 'evaluator': plain_settings(config.test_evaluator)}


def target_config(target: dict, overrides: dict) -> Config:
    """The config of the undefended model, with the grid's overrides of the test data.

    Raises:
        ValueError: if the config has no test data.
    """
    config = read_config(target['config'])
    config.merge_from_dict(copy.deepcopy(overrides))
    for name in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        if config.get(name) is None:
            raise UsageError(f'{target["config"]} has no {name}, which a grid needs for its test data')
    return config


def build_defense(name: str, spec: Optional[dict], target: dict, base: Config, launcher: str = 'none') -> Defense:
    """A defense from its entry in a grid's config.

    Args:
        name: its name.
        spec: None or an empty dict for no defense; ``config`` and ``checkpoint`` of a whole model, protected or
            adversarially trained (``checkpoint=None`` for one that loads its own weights); ``data_preprocessor`` to put
            in front of that or of the target.
        target: ``dict(config=..., checkpoint=...)``.
        base: :func:`target_config`, whose data all defenses share.
        launcher: MMEngine's name of the launcher.

    Raises:
        ValueError: for unknown keys, or an unknown type of purifier; the message suggests similar ones.
    """
    spec = dict(spec or {})
    preprocessor = spec.pop('data_preprocessor', None)
    model = spec or target
    if set(model) - {'trust'} != {'config', 'checkpoint'}:
        raise UsageError(
            f'defense {name!r} takes config and checkpoint, data_preprocessor, or all three; got {sorted(spec)}'
        )
    config = copy.deepcopy(base) if model is target else read_config(model['config'])
    if preprocessor is not None:
        if 'type' in preprocessor or purifier_config(config) is None:
            _check_type(name, preprocessor)
        override_purifier(config, preprocessor)
    for part in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        config[part] = copy.deepcopy(base[part])
    config.load_from = model['checkpoint']
    prepare_for_testing(config, launcher)
    for part in _TRAINING:
        config[part] = None
    # Built once in advance, so that errors show before anything runs.
    found = build_model(config).data_preprocessor
    if not isinstance(found, Purifier):
        return Defense(name, config, model['checkpoint'], None)
    fixed = found.stochastic and not found.is_random
    return Defense(name, config, model['checkpoint'], type(found), found.is_random, fixed)


def _check_type(name: str, preprocessor: dict) -> None:
    wanted = preprocessor.get('type')
    found = find_class(wanted, MODELS)
    if found is None or not issubclass(found, Purifier):
        raise UsageError(f'defense {name!r}: unknown purifier {wanted!r}; {did_you_mean(wanted, purifier_names())}')
