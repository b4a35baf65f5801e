"""From a host's config to one that trains or tests a purifier: everything that the one line leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from .purifiers import Purifier
from .registry import MODELS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
DEFAULT_RECIPES = {'mmpretrain': '_base_/defenses/align_default_cls.py'}


def purifier_config(config: Config) -> Optional[ConfigDict]:
    """The data preprocessor in ``config`` if it is a purifier, wherever it stands."""
    for holder in (config.get('model') or {}, config):
        preprocessor = holder.get('data_preprocessor')
        if preprocessor and isinstance(cls := MODELS.get(preprocessor.get('type') or ''), type):
            if issubclass(cls, Purifier):
                return preprocessor
    return None


def settle_purifier(config: Config) -> None:
    """Let a purifier in the top-level ``data_preprocessor`` count where the model has a preprocessor of its own.

    MMSegmentation and MMDetection copy the top-level one into the model when the config is written, and the runner
    prefers the copy; a purifier in the top-level one would be ignored without a word.
    """
    purifier = purifier_config(config)
    if purifier is None:
        return
    native = config.model.get('data_preprocessor')
    if native is not None and native is not purifier:
        inherited = {key: value for key, value in native.items() if key != 'type'}
        if 'type' in native:
            inherited.setdefault('native_type', native.type)
        config.model.data_preprocessor = ConfigDict({**inherited, **purifier})
    imports = config.setdefault('custom_imports', ConfigDict(imports=[], allow_failed_imports=False))
    if 'mmadvdefense' not in imports['imports']:
        # So that the host's own tools and inference API can read the config that the run writes down.
        imports['imports'] = [*imports['imports'], 'mmadvdefense']


def complete_training(config: Config) -> None:
    """Give a config that names a purifier but not how to train it the default recipe of its task.

    The hook, objective, discriminator, optimizer and schedule are the recipe's; data, epochs, evaluation and
    everything else stay. A config with a ``PurifierTrainHook`` is complete and is left alone.
    """
    purifier = purifier_config(config)
    hooks = list(config.get('custom_hooks') or [])
    if purifier is None or any(hook.get('type') == 'PurifierTrainHook' for hook in hooks):
        return
    scope = config.get('default_scope')
    if scope not in DEFAULT_RECIPES:
        raise ValueError(f'no default recipe for default_scope={scope!r}; known: {", ".join(DEFAULT_RECIPES)}')
    recipe = Config.fromfile(CONFIGS / DEFAULT_RECIPES[scope])
    config.custom_hooks = [*hooks, *recipe.custom_hooks]
    for key, value in recipe.data_preprocessor.items():
        purifier.setdefault(key, value)
    optimizer_wrapper = {k: v for k, v in (config.get('optim_wrapper') or {}).items() if k == 'accumulative_counts'}
    config.optim_wrapper = ConfigDict({**recipe.optim_wrapper, **optimizer_wrapper})
    config.param_scheduler = linear_decay(config.train_cfg)
    print_log(
        f'no PurifierTrainHook in the config: training with the default recipe {DEFAULT_RECIPES[scope]}', 'current'
    )


def linear_decay(train_cfg: dict) -> list:
    """Constant in the first half of training, then linear to 0 (paper, section 4.4)."""
    by_epoch = train_cfg.get('by_epoch', train_cfg.get('type', 'EpochBasedTrainLoop') == 'EpochBasedTrainLoop')
    length = train_cfg['max_epochs' if by_epoch else 'max_iters']
    if length < 2:
        return []
    scheduler = dict(
        type='LinearLR', start_factor=1.0, end_factor=0.0, begin=length // 2, end=length, by_epoch=by_epoch
    )
    if by_epoch:
        scheduler['convert_to_iter_based'] = True
    return [ConfigDict(scheduler)]


def drop_pretrained_backbones(node) -> None:
    """Remove ``init_cfg=dict(type='Pretrained')`` from a model whose checkpoint overwrites it: no needless download."""
    if isinstance(node, dict):
        init_cfg = node.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
            node['init_cfg'] = None
        if isinstance(node.get('pretrained'), str):
            node['pretrained'] = None
        for key, value in node.items():
            # A purifier's init_cfg is its own export and stays.
            if key != 'data_preprocessor':
                drop_pretrained_backbones(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            drop_pretrained_backbones(value)


def settle_dataloaders(config: Config) -> None:
    """What MMPretrain's own tools set for every data loader."""
    if config.get('default_scope') != 'mmpretrain':
        return
    for stage in ('train', 'val', 'test'):
        loader = config.get(f'{stage}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('pin_memory', torch.cuda.is_available())


def settle_checkpoints(config: Config) -> None:
    """Checkpoints that a full disk or a kill cannot spoil."""
    checkpoint = config.setdefault('default_hooks', ConfigDict()).setdefault('checkpoint', ConfigDict())
    checkpoint.setdefault('type', 'CheckpointHook')
    checkpoint.setdefault('backend_args', dict(backend='atomic'))
    if checkpoint.get('max_keep_ckpts') == 1:
        # MMEngine removes the old one before it writes the new one.
        print_log('max_keep_ckpts=1 leaves no checkpoint if writing the next one fails; keeping 2', 'current')
        checkpoint.max_keep_ckpts = 2


def settle_distributed(config: Config, launcher: str) -> None:
    """Wrap the model so that the frozen target does not stall DDP, and run without GPUs over gloo."""
    if launcher == 'none':
        return
    if purifier_config(config) is not None and 'train_cfg' in config:
        config.setdefault('model_wrapper_cfg', ConfigDict(type='PurifierDistributedDataParallel'))
    if not torch.cuda.is_available() and not torch.distributed.is_initialized():
        # MMEngine's launcher selects a CUDA device whatever the backend; it steps aside if a group exists.
        torch.distributed.init_process_group('gloo')


def enter_scope(config: Config) -> None:
    """Make types without a prefix resolve as they will in the runner."""
    init_default_scope(config.get('default_scope', 'mmengine'))
