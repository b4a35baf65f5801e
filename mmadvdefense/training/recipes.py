"""From a host's config to one that trains or tests a purifier: everything that the one line leaves out."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import is_cuda_available
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from .. import compat
from ..errors import UsageError
from ..hosts import HOSTS
from ..models import host_model, host_scope
from ..optim import use_mixed_precision, wrapper_settings
from ..purifiers import GeneratorPurifier, HGDPurifier, Purifier
from ..registry import HOOKS, MODELS, OPTIM_WRAPPERS, WEIGHT_INITIALIZERS, builds, find_class, type_name

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package where setup.py packed them, beside it in a clone.
CONFIGS = (_PACKAGE / '.mim' / 'configs') if (_PACKAGE / '.mim').is_dir() else (_PACKAGE.parent / 'configs')
# By the host's scope; the gap is for the method, `align` or `hgd`.
DEFAULT_RECIPES = {scope: f'_base_/defenses/{{}}_default_{host.recipe}.py' for scope, host in HOSTS.items()}


def purifier_config(config: Config) -> Optional[ConfigDict]:
    """The data preprocessor in ``config`` if it is a purifier, wherever it stands."""
    places = _purifier_places(config)
    return places[0].data_preprocessor if places else None


def _purifier_places(config: Config) -> list[Union[Config, ConfigDict]]:
    """The parts of a config that hold a purifier: the model's own, which MMEngine prefers, and the top level."""
    holders = (host_model(config), config)
    return [holder for holder in holders if _is_purifier(holder.get('data_preprocessor'))]


def trains_purifier(config: Config) -> bool:
    """Whether ``config`` has a purifier that training is about; others leave training to the model behind them."""
    purifier = purifier_config(config)
    return purifier is not None and _is_purifier(purifier, GeneratorPurifier)


def _is_purifier(preprocessor: Optional[dict], kind: type = Purifier) -> bool:
    # MMPretrain's configs give no type.
    found = find_class((preprocessor or {}).get('type'), MODELS)
    return found is not None and issubclass(found, kind)


def prepare_purifier(config: Config) -> None:
    """Let a purifier count wherever a host looks for it, with the settings of the preprocessor that it replaces.

    MMSegmentation and MMDetection copy the top-level preprocessor into the model when the config is written, and the
    runner and the inference APIs prefer the copy: a purifier in the top-level one would be ignored without a word.
    MMPretrain keeps mean and std in the top-level one, and test-time augmentation prefers that: a purifier in the model
    would do without them. So where there are two, both become the same.
    """
    if purifier_config(config) is None:
        return
    _share_purifier(config, host_model(config))
    for place in _purifier_places(config):
        _prepare_condition(config, place.data_preprocessor)
    imports = config.get('custom_imports')
    imports = imports if isinstance(imports, dict) else dict(imports=imports)
    names = imports.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'mmadvdefense' not in names:
        # So that the host's own tools and inference API can read the config that the run writes down.
        names.append('mmadvdefense')
    config.custom_imports = ConfigDict({'allow_failed_imports': False, **imports, 'imports': names})


def override_purifier(config: Config, settings: dict) -> None:
    """Merge ``settings`` into a config's purifier, wherever it stands, or else into the top-level preprocessor."""
    places = _purifier_places(config)
    if not places and config.get('data_preprocessor') is None:
        config.pop('data_preprocessor', None)  # MMEngine merges into no None
    if not places or places[-1] is config:
        config.merge_from_dict(dict(data_preprocessor=copy.deepcopy(settings)))
    for place in places:
        if place is not config:
            merged = Config(dict(data_preprocessor=place.data_preprocessor))
            merged.merge_from_dict(dict(data_preprocessor=copy.deepcopy(settings)))
            place.data_preprocessor = merged.data_preprocessor


def _share_purifier(config: Config, model: ConfigDict) -> None:
    own, top = model.get('data_preprocessor'), config.get('data_preprocessor')
    if own is None:
        model.pop('data_preprocessor', None)  # MMEngine takes the top-level one only where the model has no such key
        host = HOSTS.get(host_scope(config))
        if host is None or not host.reads_top_level:
            model.data_preprocessor = _joined(top)  # the inference APIs of the others know no top-level one
    elif top is not None:
        shared = _merged_purifiers(own, top)
        model.data_preprocessor, config.data_preprocessor = _joined(shared), _joined(shared)


def _merged_purifiers(own: ConfigDict, top: ConfigDict) -> ConfigDict:
    """One purifier of the model's preprocessor and the top-level one, of which at least one is a purifier."""
    purifier, other = (own, top) if _is_purifier(own) else (top, own)
    if not _is_purifier(other):
        inherited = _joined(other)
        native = dict.pop(inherited, 'type', None)
        return _joined(dict(native_type=native) if native else {}, inherited, purifier)
    if find_class(own.type, MODELS) is not find_class(top.type, MODELS):
        ignored = [f'the whole {type_name(top.type)}']
        merged = own
    else:
        ignored = [key for key in top if key != 'type' and key in own and own[key] != top[key]]
        merged = _joined(top, own)
    if ignored:
        print_log(
            f'two purifiers in the config: of the top-level data_preprocessor {", ".join(ignored)} is ignored, because '
            'model.data_preprocessor says otherwise and counts; set it there',
            'current',
            logging.WARNING,
        )
    return merged


def _joined(*parts: dict) -> ConfigDict:
    """A copy of all settings, later ones first in rank. What plain-Python configs import stays unbuilt, because only
    that can be written down.
    """
    return copy.deepcopy(ConfigDict({key: value for part in parts for key, value in dict.items(part)}))


def _prepare_condition(config: Config, purifier: ConfigDict) -> None:
    """Give a discriminator that sees labels, and does not say in how many channels, those of the model's head."""
    discriminator = purifier.get('discriminator')
    if not purifier.get('condition_on_labels') or not discriminator or 'in_channels' in discriminator:
        return
    model = host_model(config)
    head = model.get('decode_head') or model.get('head') or {}
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
    for place in _purifier_places(config):
        purifier = place.data_preprocessor
        for key, value in recipe.data_preprocessor.items():
            if key != 'generator' or not purifier.get('init_cfg'):
                purifier.setdefault(key, copy.deepcopy(value))
        _prepare_condition(config, purifier)


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
    config.optim_wrapper = _joined(recipe.optim_wrapper, wrapper_settings(config.get('optim_wrapper') or {}))
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
    return recipe and recipe.format('hgd' if _is_purifier(purifier_config(config), HGDPurifier) else 'align')


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


def drop_pretrained_backbones(node) -> None:
    """Remove ``init_cfg=dict(type='Pretrained')`` from a model whose checkpoint overwrites it: no needless download."""
    if isinstance(node, dict):
        if node.get('init_cfg'):
            node['init_cfg'] = _without_downloads(node['init_cfg'])
        if isinstance(node.get('pretrained'), str):
            node['pretrained'] = None
        for key, value in node.items():
            # A purifier's init_cfg is its own export and stays.
            if key != 'data_preprocessor':
                drop_pretrained_backbones(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            drop_pretrained_backbones(value)


def _without_downloads(init_cfg: Any) -> Any:
    """``init_cfg``, which is one dict or several, without those that load a file."""
    if isinstance(init_cfg, (list, tuple)):
        return [item for item in init_cfg if _without_downloads(item) is not None] or None
    pretrained = isinstance(init_cfg, dict) and builds(init_cfg, 'Pretrained', WEIGHT_INITIALIZERS)
    return None if pretrained else init_cfg


def prepare_dataloaders(config: Config) -> None:
    """Set for every data loader what the host's own tools would set."""
    host = HOSTS.get(host_scope(config))
    if host is None or not host.fills_loaders:
        return
    for stage in ('train', 'val', 'test'):
        loader = config.get(f'{stage}_dataloader')
        if loader is not None:
            loader.setdefault('collate_fn', dict(type=host.collate))
            loader.setdefault('pin_memory', torch.cuda.is_available())


def dataset_pipeline(dataset: Optional[dict]) -> list:
    """The transforms of a data set's config in their order; data sets made of others run those of the others first."""
    dataset = dataset or {}
    inner = dataset.get('dataset') or dataset.get('datasets') or ()
    # Those side by side load alike, or could not be one batch.
    first = inner if isinstance(inner, dict) else next(iter(inner), None)
    return [*(dataset_pipeline(first) if first else ()), *(dataset.get('pipeline') or ())]


def prepare_checkpoints(config: Config) -> None:
    """Checkpoints that a full disk or a kill cannot spoil."""
    checkpoint = _section(config, 'default_hooks').setdefault('checkpoint', ConfigDict())
    if checkpoint is None:  # the config wants none
        return
    checkpoint.setdefault('type', 'CheckpointHook')
    if checkpoint.get('backend_args') is None:
        checkpoint.backend_args = dict(backend='atomic')
    if checkpoint.get('max_keep_ckpts') == 1:
        # MMEngine removes the old one before it writes the new one.
        print_log('max_keep_ckpts=1 leaves no checkpoint if writing the next one fails; keeping 2', 'current')
        checkpoint.max_keep_ckpts = 2


def prepare_seed(config: Config) -> None:
    """Go on with the seed of the run that is resumed.

    MMEngine does so too, but only after it has given the data loader another one.
    """
    if config.get('resume') and Path(config.get('load_from') or '').is_file():
        # No weight is read.
        seed = torch.load(config.load_from, map_location='meta').get('meta', {}).get('seed')
        if seed is not None:
            _section(config, 'randomness').seed = seed


def _section(config: Config, name: str) -> ConfigDict:
    """A part of a config that may be missing or None, to be filled."""
    if config.get(name) is None:
        config[name] = ConfigDict()
    return config[name]


def prepare_distributed(config: Config, launcher: str, training: bool = True) -> None:
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
    scope = host_scope(config)
    if config.get('default_scope') is None and scope != 'mmengine':
        config.default_scope = scope  # a purifier asks it which preprocessor to wrap
    compat.apply_for_scope(scope)
    init_default_scope(scope)
