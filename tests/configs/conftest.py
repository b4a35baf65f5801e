"""Configs as the tools load them, and what is built of them: once a session, for all tests."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import mmadvdefense  # noqa: F401  registers everything
from mmadvdefense.hooks import PurifierTrainHook
from mmadvdefense.purifiers import Purifier
from mmadvdefense.training import preparation, purifier_config, recipes

CONFIGS = Path(__file__).parents[2] / 'configs'


class Built(NamedTuple):
    """A config that has been completed as for training, its purifier, and its hook if it has one; without memory."""

    config: Config
    purifier: Purifier
    hook: Optional[PurifierTrainHook]


@pytest.fixture(scope='session')
def _read() -> Callable[[str], Config]:
    read: dict[str, Config] = {}

    def get(name: str) -> Config:
        if name not in read:
            read[name] = Config.fromfile(CONFIGS / f'{name}.py')
        return copy.deepcopy(read[name])

    return get


@pytest.fixture
def read(_read) -> Callable[[str], Config]:
    """A config by its name below ``configs/``, as it is in the file, with its host's types in scope."""

    def get(name: str) -> Config:
        config = _read(name)
        if config.get('default_scope'):
            pytest.importorskip(config.default_scope)
            preparation.enter_scope(config)
        return config

    return get


@pytest.fixture
def load(read) -> Callable[[str], Config]:
    """As :func:`read`, prepared as the tools prepare it, and without downloads."""

    def get(name: str) -> Config:
        config = read(name)
        purifier_config.prepare_purifier(config)
        preparation.drop_pretrained_backbones(config.model)
        for hook in config.get('custom_hooks') or ():
            for loss in hook.get('losses') or ():
                if loss.type == 'PerceptualLoss':
                    loss.weights = 'random'
        return config

    return get


@pytest.fixture(scope='session')
def _built() -> dict[str, Built]:
    return {}


@pytest.fixture
def build(load, _built) -> Callable[[str], Built]:
    """Purifier and hook of a config, on the meta device: the paper's larger generator has 180 million weights."""

    def get(name: str) -> Built:
        if name not in _built:
            config = load(name)
            recipes.complete_training(config)
            with torch.device('meta'):
                purifier = MODELS.build(purifier_config.purifier_config(config))
                hooks = [hook for hook in config.get('custom_hooks') or () if hook.type == 'PurifierTrainHook']
                settings = [{key: value for key, value in hook.items() if key != 'type'} for hook in hooks]
                hook = PurifierTrainHook(**settings[0]) if settings else None
            _built[name] = Built(config, purifier, hook)
        return _built[name]

    return get
