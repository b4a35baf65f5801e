"""Preparing a config for training or testing: the two entry points, and their steps."""

from __future__ import annotations

from typing import Any, Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import init_dist, is_distributed
from mmengine.registry import init_default_scope

from .. import compat
from ..errors import UsageError
from ..hosts import HOSTS
from ..models import host_scope
from ..registry import HOOKS, WEIGHT_INITIALIZERS, builds
from .ablations import apply_ablation
from .model_recipes import RECIPE, apply_recipes
from .purifier_config import prepare_purifier, trains_purifier
from .recipes import complete_purifier, complete_training
from .resume import choose_checkpoint, keep_seed


def prepare_for_training(
    config: Config,
    overrides: Optional[dict] = None,
    launcher: str = 'none',
    resume: Optional[str] = None,
    trust_checkpoint: bool = False,
    random_weights: bool = False,
) -> None:
    """Prepare a config of any host for training its purifier, or its model if it has none, with ``build_runner``.

    Args:
        config: changed in place. One with a purifier and no ``PurifierTrainHook`` gets the default recipe.
        overrides: settings by dotted key, which take precedence over the recipe.
        launcher: MMEngine's name of the launcher.
        resume: of :func:`~mmadvdefense.training.resume.choose_checkpoint`.
        trust_checkpoint: allow loading a checkpoint that contains more than weights and plain data.
        random_weights: load and download nothing, and train in front of a target with random weights, for tests and
            benchmarks.

    Raises:
        ValueError: if there is no recipe for a config that needs one; for an invalid checkpoint.
        FileNotFoundError: if the checkpoint is missing.
        mmadvdefense.compat.CheckpointRefused: for an untrusted checkpoint that contains more than data.
    """
    enter_scope(config)
    apply_recipes(config)
    prepare_purifier(config)
    prepare_dataloaders(config)
    complete_training(config)
    if overrides:
        _override(config, {key: value for key, value in overrides.items() if key != RECIPE})
        prepare_purifier(config)
    apply_ablation(config)
    if random_weights:
        _expect_random_weights(config)
    else:
        choose_checkpoint(config, resume)
        _check_checkpoint(config, trust_checkpoint)
    if random_weights or config.get('load_from') or config.get('resume'):
        drop_pretrained_backbones(config.model)
    keep_seed(config)
    prepare_distributed(config, launcher)


def _override(config: Config, overrides: dict) -> None:
    try:
        config.merge_from_dict(overrides)
    except TypeError as error:
        lists = sorted({key for name in overrides if isinstance(config.get(key := name.partition('.')[0]), list)})
        why = (
            f'with the recipe, {", ".join(lists)} is a list: name an element, as in {lists[0]}.0.KEY'
            if lists
            else error
        )
        raise UsageError(f'cannot set {", ".join(overrides)}: {why}') from error


def prepare_for_testing(config: Config, launcher: str = 'none') -> None:
    """Prepare a config of any host, with or without a purifier, for testing with ``Runner.from_cfg``.

    Call it once: it drops the config's hooks, from which a second call could no longer tell what was trained.

    Args:
        config: changed in place; a purifier without configured networks gets those of the default recipe.
        launcher: MMEngine's name of the launcher.
    """
    enter_scope(config)
    prepare_purifier(config)
    complete_purifier(config)
    prepare_dataloaders(config)
    # The config's hooks are for training; an AttackHook among them would attack twice.
    config.custom_hooks = []
    config.resume = False
    config.pop('model_wrapper_cfg', None)
    prepare_distributed(config, launcher, training=False)


# --- the steps ------------------------------------------------------------------------------------------------------


def enter_scope(config: Config) -> None:
    """Make types without a prefix resolve as in the runner, and apply the host's compatibility patches."""
    scope = host_scope(config)
    if config.get('default_scope') is None and scope != 'mmengine':
        config.default_scope = scope  # tells a purifier which preprocessor to wrap
    compat.apply_for_scope(scope)
    init_default_scope(scope)


def prepare_dataloaders(config: Config) -> None:
    """Apply the data loader settings that the host's own tools would apply."""
    host = HOSTS.get(host_scope(config))
    if host is None or not host.fills_loaders:
        return
    for stage in ('train', 'val', 'test'):
        loader = config.get(f'{stage}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type=host.collate))
            loader.setdefault('pin_memory', torch.cuda.is_available())


def drop_pretrained_backbones(node) -> None:
    """Remove ``init_cfg=dict(type='Pretrained')`` where the checkpoint overwrites it, to avoid a needless download."""
    if isinstance(node, dict):
        if node.get('init_cfg'):
            node['init_cfg'] = _without_downloads(node['init_cfg'])
        if isinstance(node.get('pretrained'), str):
            node['pretrained'] = None
        for key, value in node.items():
            # A purifier's init_cfg refers to its export and is kept.
            if key != 'data_preprocessor':
                drop_pretrained_backbones(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            drop_pretrained_backbones(value)


def _without_downloads(init_cfg: Any) -> Any:
    """``init_cfg`` (one dict or several) without entries that load a file."""
    if isinstance(init_cfg, (list, tuple)):
        return [item for item in init_cfg if _without_downloads(item) is not None] or None
    pretrained = isinstance(init_cfg, dict) and builds(init_cfg, 'Pretrained', WEIGHT_INITIALIZERS)
    return None if pretrained else init_cfg


def _expect_random_weights(config: Config) -> None:
    config.load_from, config.resume = None, False
    for hook in config.get('custom_hooks') or ():
        if builds(hook, 'PurifierTrainHook', HOOKS):
            hook.require_checkpoint = False


def _check_checkpoint(config: Config, trust: bool) -> None:
    """Fail now rather than after minutes of set-up."""
    if not config.get('load_from'):
        return
    try:
        compat.check_checkpoint(config.load_from, trust=trust)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'load_from checkpoint not found: {config.load_from}') from error


def join_processes(launcher: str) -> None:
    """Initialize the process group of a distributed run, for code that needs it before the first runner exists."""
    if launcher == 'none' or is_distributed():
        return
    if torch.cuda.is_available():
        init_dist(launcher)
    else:
        # MMEngine's launcher selects a CUDA device whatever the backend, but skips this if a process group exists.
        torch.distributed.init_process_group('gloo')


def prepare_distributed(config: Config, launcher: str, training: bool = True) -> None:
    """Wrap the model so that the frozen target does not stall DDP, and use gloo without GPUs."""
    if launcher == 'none':
        return
    if training and trains_purifier(config) and not config.get('model_wrapper_cfg'):
        config.model_wrapper_cfg = ConfigDict(type='PurifierDistributedDataParallel')
    if torch.cuda.is_available():
        return
    # MMEngine passes device_ids, which DDP rejects on a CPU.
    wrapper = config.get('model_wrapper_cfg') or ConfigDict(type='MMDistributedDataParallel', broadcast_buffers=False)
    config.model_wrapper_cfg = ConfigDict({'device_ids': None, **wrapper})
    join_processes(launcher)
