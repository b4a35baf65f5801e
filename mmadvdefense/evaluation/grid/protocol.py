"""What configs of published tables have beside an ordinary grid: scales, names to fill in, and how to get the files."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional

from mmengine.config import Config

from ...errors import UsageError
from ...validation import did_you_mean, near_names
from ..results import CLEAN

# The text that says how to get a checkpoint, beside ``config`` and ``checkpoint`` of a model.
OBTAIN = 'obtain'
# The entries of a config that only this module reads.
SETTINGS = ('scales', 'fields', 'columns', 'data_files')
_MODELS = ('target', 'source', 'defenses', 'threat_models')


class MissingFile(NamedTuple):
    """A file or folder that a grid needs and that is not there.

    Attributes:
        path: where it has to be.
        what: what needs it: ``'the target'``, ``"defense 'TRADES'"``.
        obtain: how to get it; None if the config does not say.
        defense: the name of the defense that alone needs it; None if it is not for one defense.
        threat: the position of the threat model that alone needs it; None if it is not for one threat model.
    """

    path: str
    what: str
    obtain: Optional[str]
    defense: Optional[str] = None
    threat: Optional[int] = None

    def __str__(self) -> str:
        return f'{self.path} ({self.what}): {self.obtain or "not found"}'


def at_scale(config: Config, name: Optional[str]) -> Config:
    """The grid at another scale: ``scales[name]`` of its config merged into it.

    Args:
        config: of a grid; not changed.
        name: a key of its ``scales``; None for the grid as it is.

    Raises:
        UsageError: if the config has no such scale.
    """
    if name is None:
        return config
    settings = config.to_dict()
    scales = settings.pop('scales', None) or {}
    if name not in scales:
        known = did_you_mean(name, scales) if scales else 'its config has no scales'
        raise UsageError(f'this grid cannot be run at the scale {name!r}; {known}')
    scaled = Config({**settings, 'scale': name})
    scaled.merge_from_dict(scales[name])
    return scaled


def filled(config: Config) -> Config:
    """The grid with the ``fields`` of its config in place of their names in braces, wherever models are named.

    ``fields = dict(target='resnet20_cifar10')`` makes ``'checkpoints/resnet20_cifar10.pth'`` of
    ``'checkpoints/{target}.pth'``, so that many tables share one list of defenses. Of a published table, the numbers
    for ``fields['data']`` are taken, and of the defenses those that it has. Without ``fields`` nothing changes.

    Raises:
        UsageError: for a name in braces that is not one of the fields.
    """
    if not config.get('fields'):
        return config
    settings = config.to_dict()
    fields = settings['fields']
    for key in _MODELS:
        if key in settings:
            settings[key] = _fill(settings[key], fields)
    if settings.get('published'):
        settings['published'] = _of_data(settings, fields)
        rows = settings['published']['rows']
        settings['defenses'] = {row: settings['defenses'][row] for row in rows if row in settings['defenses']}
    return Config(settings)


def _of_data(settings: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The published table of one data set, ``fields['data']``, from a table of several."""
    published = dict(settings['published'], title=_fill(settings['published'].get('title'), fields))
    rows = {row: numbers for row, numbers in published['rows'].items() if not isinstance(numbers, dict)}
    data = fields.get('data')
    rows.update({row: own[data] for row, own in published['rows'].items() if isinstance(own, dict) and data in own})
    # As in the paper.
    published['rows'] = {row: rows[row] for row in published['rows'] if row in rows}
    columns = published.get('columns') or list(settings.get('columns') or ())
    if not isinstance(columns, dict):
        columns = {column: settings['columns'][column] for column in columns}
    return {**published, 'columns': columns}


def _fill(value: Any, fields: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_fill(key, fields): _fill(item, fields) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill(item, fields) for item in value]
    if not isinstance(value, str) or '{' not in value:
        return value
    unknown = [name for _, name, _, _ in string.Formatter().parse(value) if name and name not in fields]
    if unknown:
        near = near_names(unknown[0], fields, most=1)
        hint = f'; did you mean {near[0]!r}?' if near else f'; fields has {", ".join(fields)}'
        raise UsageError(f'{value!r} has {unknown[0]!r} in braces, which is not in fields{hint}')
    return ' '.join(value.format(**fields).split())


def without_instructions(config: Config) -> Config:
    """The grid without ``obtain``, which is for messages alone."""
    if not any(_instructs(config.get(key)) for key in _MODELS):
        return config
    settings = config.to_dict()
    return Config({key: _strip(value) if key in _MODELS else value for key, value in settings.items()})


def _instructs(value: Any) -> bool:
    if isinstance(value, dict):
        return OBTAIN in value or any(map(_instructs, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_instructs, value))


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(item) for key, item in value.items() if key != OBTAIN}
    return [_strip(item) for item in value] if isinstance(value, (list, tuple)) else value


def missing_files(config: Config) -> list[MissingFile]:
    """The data and weights that a grid needs and that are not there, without building a model.

    A file that several defenses or threat models need is there once for each.

    Args:
        config: of a grid, after :func:`filled`.
    """
    needed = [MissingFile(path, 'the data', how) for path, how in (config.get('data_files') or {}).items()]
    needed += _of_model(config.get('target'), 'the target')
    for position, entry in enumerate(_listed(config.get('threat_models'))):
        if isinstance(entry, dict):
            for source in _listed(entry.get('source')):
                needed += _of_model(source, f'a source of {entry.get("name")!r}', threat=position)
    for name, spec in (config.get('defenses') or {}).items():
        needed += _of_model(spec, f'defense {name!r}', name)
    return [file for file in needed if not _is_there(file.path)]


def _is_there(path: Any) -> bool:
    # What is no path at all is another error, of those who read the grid.
    return not isinstance(path, str) or '://' in path or Path(path).expanduser().exists()


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _of_model(
    spec: Any, what: str, defense: Optional[str] = None, threat: Optional[int] = None
) -> Iterator[MissingFile]:
    """The weights of a model, and those of the purifier in front of it."""
    if not isinstance(spec, dict):
        return
    for path in (*_listed(spec.get('checkpoint')), *_of_purifier(spec.get('data_preprocessor') or {})):
        yield MissingFile(path, what, spec.get(OBTAIN) or _default(spec, path), defense, threat)


def _of_purifier(settings: Any) -> Iterator[str]:
    if not isinstance(settings, dict):
        return
    yield from _listed((settings.get('init_cfg') or {}).get('checkpoint'))
    yield from _listed(settings.get('patches'))
    for part in settings.get('purifiers') or ():
        yield from _of_purifier(part)


def _default(spec: dict[str, Any], path: str) -> Optional[str]:
    config = spec.get('config')
    return None if config is None or '::' in config else f'python tools/train.py {config} --out {path}'


def without_missing(config: Config, missing: list[MissingFile]) -> Optional[Config]:
    """The grid without the defenses and threat models whose files are not there.

    Attacks that no other threat model runs go with theirs, and their columns of a published table remain empty.

    Args:
        config: of a grid, after :func:`filled`.
        missing: of :func:`missing_files`.

    Returns:
        The grid; None if nothing can be run without one of the files.
    """
    if any(file.defense is None and file.threat is None for file in missing):
        return None
    defenses, threats = {file.defense for file in missing}, {file.threat for file in missing}
    settings = config.to_dict()
    settings['defenses'] = {name: spec for name, spec in settings['defenses'].items() if name not in defenses}
    entries = _listed(settings['threat_models'])
    settings['threat_models'] = left = [entry for position, entry in enumerate(entries) if position not in threats]
    if not left:
        return None
    run = [_listed(entry['attacks']) if isinstance(entry, dict) and 'attacks' in entry else None for entry in left]
    if len(left) < len(entries) and None not in run:
        known = {name for names in run for name in names or ()}
        settings['attacks'] = {name: attack for name, attack in settings['attacks'].items() if name in known}
        columns = (settings.get('published') or {}).get('columns') or {}
        for column, at in columns.items():
            if (at if isinstance(at, str) else at[-1]) not in {CLEAN, *known}:
                columns[column] = None
    return Config(settings)
