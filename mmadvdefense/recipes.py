"""From a host's config to one that trains or tests a purifier: everything that the one line leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from . import compat
from .purifiers import GeneratorPurifier, HGDPurifier, Purifier
from .registry import MODELS

_PACKAGE = Path(__file__).resolve().parent
# Inside the package where setup.py packed them, beside it in a clone.
CONFIGS = (_PACKAGE / '.mim' / 'configs') if (_PACKAGE / '.mim').is_dir() else (_PACKAGE.parent / 'configs')
# By the host's scope, the middle is the method: `align` or `hgd`.
DEFAULT_RECIPES = {
    'mmpretrain': '_base_/defenses/{}_default_cls.py',
    'mmdet': '_base_/defenses/{}_default_det.py',
    'mmseg': '_base_/defenses/{}_default_seg.py',
}


def purifier_config(config: Config) -> Optional[ConfigDict]:
    """The data preprocessor in ``config`` if it is a purifier, wherever it stands."""
    for holder in (config.get('model') or {}, config):
        preprocessor = holder.get('data_preprocessor')
        if preprocessor and _is_purifier(preprocessor):
            return preprocessor
    return None


def trains_purifier(config: Config) -> bool:
    """Whether ``config`` has a purifier that training is about; others leave training to the model behind them."""
    purifier = purifier_config(config)
    return purifier is not None and _is_purifier(purifier, GeneratorPurifier)


def _is_purifier(preprocessor: dict, kind: type = Purifier) -> bool:
    # MMPretrain's configs give no type, and those in plain Python the class.
    cls = preprocessor.get('type')
    if cls and isinstance(cls, str):
        cls = MODELS.get(cls)
    return isinstance(cls, type) and issubclass(cls, kind)


def settle_purifier(config: Config) -> None:
    """Where a config has two data preprocessors, let the purifier count, with the settings of the other one.

    MMSegmentation and MMDetection copy the top-level one into the model when the config is written, and the runner
    prefers the copy: a purifier in the top-level one would be ignored without a word. MMPretrain keeps mean and std in
    the top-level one: a purifier in the model would do without them.
    """
    purifier = purifier_config(config)
    if purifier is None:
        return
    own, top = config.model.get('data_preprocessor'), config.get('data_preprocessor')
    native = top if own is purifier else own
    if native is not None and not _is_purifier(native):
        inherited = {key: value for key, value in native.items() if key != 'type'}
        if 'type' in native:
            inherited.setdefault('native_type', native.type)
        config.model.data_preprocessor = purifier = ConfigDict({**inherited, **purifier})
    _settle_condition(config, purifier)
    imports = config.setdefault('custom_imports', ConfigDict(imports=[], allow_failed_imports=False))
    if 'mmadvdefense' not in imports['imports']:
        # So that the host's own tools and inference API can read the config that the run writes down.
        imports['imports'] = [*imports['imports'], 'mmadvdefense']


def _settle_condition(config: Config, purifier: ConfigDict) -> None:
    """Give a discriminator that sees labels, and does not say in how many channels, those of the model's head."""
    discriminator = purifier.get('discriminator')
    if not purifier.get('condition_on_labels') or not discriminator or 'in_channels' in discriminator:
        return
    head = config.model.get('decode_head') or config.model.get('head') or {}
    num_classes = (head[-1] if isinstance(head, (list, tuple)) else head).get('num_classes')
    if num_classes is not None:
        discriminator['in_channels'] = 3 + num_classes


def complete_purifier(config: Config) -> None:
    """Give a config that names a purifier with networks, but not which, those of the default recipe.

    Those of a config with a ``PurifierTrainHook`` are left alone, and the generator that an export brings along counts.
    Purifiers that are not trained are complete.
    """
    recipe = _load_default_recipe(config)
    if recipe is None:
        return
    purifier = purifier_config(config)
    for key, value in recipe.data_preprocessor.items():
        if key != 'generator' or not purifier.get('init_cfg'):
            purifier.setdefault(key, value)
    _settle_condition(config, purifier)


def complete_training(config: Config) -> None:
    """Give a config that names a purifier but not how to train it the default recipe of its task.

    The hook, objective, discriminator, optimizer and schedule are the recipe's; data, epochs, evaluation and
    everything else stay. A config with a ``PurifierTrainHook`` is complete and is left alone, and one with a purifier
    that is not trained trains its model on purified images.

    Raises:
        ValueError: if there is no recipe for the config's default scope.
    """
    scope = config.get('default_scope')
    if _needs_recipe(config) and scope not in DEFAULT_RECIPES:
        raise ValueError(f'no default recipe for default_scope={scope!r}; known: {", ".join(DEFAULT_RECIPES)}')
    recipe = _load_default_recipe(config)
    purifier = purifier_config(config)
    if purifier is not None and not trains_purifier(config):
        print_log(f'{purifier.type} is not trained: training the model itself, on purified images', 'current')
    if recipe is None:
        return
    complete_purifier(config)
    config.custom_hooks = [*(config.get('custom_hooks') or []), *recipe.custom_hooks]
    optimizer_wrapper = {k: v for k, v in (config.get('optim_wrapper') or {}).items() if k == 'accumulative_counts'}
    config.optim_wrapper = ConfigDict({**recipe.optim_wrapper, **optimizer_wrapper})
    config.param_scheduler = linear_decay(config.train_cfg)
    # The host's batch size belongs to the learning rate that has just been replaced.
    config.pop('auto_scale_lr', None)
    if 'auto_scale_lr' in recipe:
        config.auto_scale_lr = recipe.auto_scale_lr
    print_log(
        f'no PurifierTrainHook in the config: training with the default recipe {default_recipe(config)}', 'current'
    )


def _needs_recipe(config: Config) -> bool:
    hooks = config.get('custom_hooks') or []
    return trains_purifier(config) and not any(hook.get('type') == 'PurifierTrainHook' for hook in hooks)


def default_recipe(config: Config) -> Optional[str]:
    """The file, below :data:`CONFIGS`, with what a config leaves out that names a purifier; None for other hosts."""
    recipe = DEFAULT_RECIPES.get(config.get('default_scope'))
    return recipe and recipe.format('hgd' if _is_purifier(purifier_config(config), HGDPurifier) else 'align')


def _load_default_recipe(config: Config) -> Optional[Config]:
    recipe = default_recipe(config) if _needs_recipe(config) else None
    return recipe and Config.fromfile(CONFIGS / recipe)


def linear_decay(train_cfg: dict) -> list:
    """Constant in the first half of training, then linear to 0.

    The form of the released code's default, 100 constant and 100 decaying epochs; the paper states no decay.
    """
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
    if checkpoint is None:  # the config wants none
        return
    checkpoint.setdefault('type', 'CheckpointHook')
    checkpoint.setdefault('backend_args', dict(backend='atomic'))
    if checkpoint.get('max_keep_ckpts') == 1:
        # MMEngine removes the old one before it writes the new one.
        print_log('max_keep_ckpts=1 leaves no checkpoint if writing the next one fails; keeping 2', 'current')
        checkpoint.max_keep_ckpts = 2


def settle_seed(config: Config) -> None:
    """Go on with the seed of the run that is resumed.

    MMEngine does so too, but only after it has given the data loader another one.
    """
    if config.get('resume') and Path(config.get('load_from') or '').is_file():
        # No weight is read.
        seed = torch.load(config.load_from, map_location='meta').get('meta', {}).get('seed')
        if seed is not None:
            config.setdefault('randomness', ConfigDict()).seed = seed


def settle_distributed(config: Config, launcher: str, training: bool = True) -> None:
    """Wrap the model so that the frozen target does not stall DDP, and run without GPUs over gloo."""
    if launcher == 'none':
        return
    if training and trains_purifier(config) and not config.get('model_wrapper_cfg'):
        config.model_wrapper_cfg = ConfigDict(type='PurifierDistributedDataParallel')
    if torch.cuda.is_available():
        return
    # MMEngine passes a device, which DDP refuses on a CPU.
    wrapper = config.get('model_wrapper_cfg') or ConfigDict(type='MMDistributedDataParallel', broadcast_buffers=False)
    config.model_wrapper_cfg = ConfigDict({'device_ids': None, **wrapper})
    if not torch.distributed.is_initialized():
        # MMEngine's launcher selects a CUDA device whatever the backend; it steps aside if a group exists.
        torch.distributed.init_process_group('gloo')


def enter_scope(config: Config) -> None:
    """Make types without a prefix resolve as they will in the runner, and mend what is broken in the host."""
    scope = config.get('default_scope', 'mmengine')
    compat.apply_for_scope(scope)
    init_default_scope(scope)
