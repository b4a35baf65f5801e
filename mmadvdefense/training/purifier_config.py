"""Locating the purifier in a config, and substituting it wherever a host looks for its preprocessor."""

from __future__ import annotations

import copy
import logging
from typing import Optional, Union

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..errors import UsageError
from ..hosts import HOSTS
from ..models import host_model, host_scope
from ..purifiers import GeneratorPurifier, Purifier, purifier_names
from ..registry import MODELS, find_class, type_name
from ..validation import did_you_mean


def purifier_config(config: Config) -> Optional[ConfigDict]:
    """The data preprocessor in ``config``, at whichever level, if it is a purifier."""
    places = purifier_places(config)
    return places[0].data_preprocessor if places else None


def purifier_places(config: Config) -> list[Union[Config, ConfigDict]]:
    """The parts of a config that hold a purifier: the model's own, which MMEngine prefers, and the top level."""
    holders = (host_model(config), config)
    return [holder for holder in holders if is_purifier(holder.get('data_preprocessor'))]


def trains_purifier(config: Config) -> bool:
    """Whether ``config`` has a trainable purifier; with others, training updates the model behind them."""
    purifier = purifier_config(config)
    return purifier is not None and is_purifier(purifier, GeneratorPurifier)


def is_purifier(preprocessor: Optional[dict], kind: type = Purifier) -> bool:
    # MMPretrain's configs omit the type.
    found = find_class((preprocessor or {}).get('type'), MODELS)
    return found is not None and issubclass(found, kind)


def prepare_purifier(config: Config) -> None:
    """Put the purifier wherever a host looks for a preprocessor, with the settings of the one that it replaces.

    MMSegmentation and MMDetection copy the top-level preprocessor into the model when the config is written, and the
    runner and the inference APIs prefer the copy: a top-level purifier would be silently ignored. MMPretrain keeps mean
    and std in the top-level one, which test-time augmentation prefers: a purifier in the model would lack them. So if
    there are two, both are set to the same purifier.

    Raises:
        UsageError: for a type of preprocessor that is not registered; the message lists similar names.
    """
    _check_types(config)
    if purifier_config(config) is None:
        return
    _share_purifier(config, host_model(config))
    for place in purifier_places(config):
        fill_discriminator_channels(config, place.data_preprocessor)
    imports = config.get('custom_imports')
    imports = imports if isinstance(imports, dict) else dict(imports=imports)
    names = imports.get('imports') or []
    names = [names] if isinstance(names, str) else list(names)
    if 'mmadvdefense' not in names:
        # So that the host's own tools and inference API can load the dumped config.
        names.append('mmadvdefense')
    config.custom_imports = ConfigDict({'allow_failed_imports': False, **imports, 'imports': names})


def override_purifier(config: Config, settings: dict) -> None:
    """Merge ``settings`` into a config's purifier, at whichever level, or else into the top-level preprocessor."""
    places = purifier_places(config)
    if not places and config.get('data_preprocessor') is None:
        config.pop('data_preprocessor', None)  # MMEngine cannot merge into None
    if not places or places[-1] is config:
        config.merge_from_dict(dict(data_preprocessor=copy.deepcopy(settings)))
    for place in places:
        if place is not config:
            merged = Config(dict(data_preprocessor=place.data_preprocessor))
            merged.merge_from_dict(dict(data_preprocessor=copy.deepcopy(settings)))
            place.data_preprocessor = merged.data_preprocessor


def _check_types(config: Config) -> None:
    """Hosts find out only when they build the model, in a long traceback."""
    for holder in (host_model(config), config):
        kind = (holder.get('data_preprocessor') or {}).get('type')
        if not isinstance(kind, str):
            continue
        # The host's own types are in its own registry.
        with MODELS.switch_scope_and_registry(None) as registry:
            found = registry.get(kind)
        if found is None:
            known = [*purifier_names(), *(type_name(host.native_type) for host in HOSTS.values())]
            raise UsageError(
                f'data_preprocessor: unknown type {kind!r}; {did_you_mean(type_name(kind), known)} '
                '(one of your own needs its module in custom_imports)'
            )


def _share_purifier(config: Config, model: ConfigDict) -> None:
    own, top = model.get('data_preprocessor'), config.get('data_preprocessor')
    if own is None:
        model.pop('data_preprocessor', None)  # MMEngine takes the top-level one only where the model has no such key
        host = HOSTS.get(host_scope(config))
        if host is None or not host.reads_top_level:
            model.data_preprocessor = joined(top)  # the inference APIs of the others know no top-level one
    elif top is not None:
        shared = _merged_purifiers(own, top)
        model.data_preprocessor, config.data_preprocessor = joined(shared), joined(shared)


def _merged_purifiers(own: ConfigDict, top: ConfigDict) -> ConfigDict:
    """Merge the model's preprocessor and the top-level one, at least one of which is a purifier."""
    purifier, other = (own, top) if is_purifier(own) else (top, own)
    if not is_purifier(other):
        inherited = joined(other)
        native = dict.pop(inherited, 'type', None)
        return joined(dict(native_type=native) if native else {}, inherited, purifier)
    if find_class(own.type, MODELS) is not find_class(top.type, MODELS):
        ignored = [f'the whole {type_name(top.type)}']
        merged = own
    else:
        ignored = [key for key in top if key != 'type' and key in own and own[key] != top[key]]
        merged = joined(top, own)
    if ignored:
        print_log(
            f'two purifiers in the config: of the top-level data_preprocessor {", ".join(ignored)} is ignored, because '
            'model.data_preprocessor says otherwise and counts; set it there',
            'current',
            logging.WARNING,
        )
    return merged


def joined(*parts: dict) -> ConfigDict:
    """A merged copy of all settings; later ones take precedence. Lazy imports of plain-Python configs stay unresolved,
    because only then can the config be written to a file.
    """
    return copy.deepcopy(ConfigDict({key: value for part in parts for key, value in dict.items(part)}))


def fill_discriminator_channels(config: Config, purifier: ConfigDict) -> None:
    """Set the input channels of a label-conditioned discriminator from the head's number of classes, if not given."""
    discriminator = purifier.get('discriminator')
    if not purifier.get('condition_on_labels') or not discriminator or 'in_channels' in discriminator:
        return
    model = host_model(config)
    head = model.get('decode_head') or model.get('head') or {}
    num_classes = (head[-1] if isinstance(head, (list, tuple)) else head).get('num_classes')
    if num_classes is not None:
        discriminator['in_channels'] = 3 + num_classes
