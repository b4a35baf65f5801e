"""Conversion of reports and run folders from version 1 to version 2.

Version 1 calls gray-box ``white-box``, adaptive ``adaptive-full``, the worst case ``all_or_nothing``, correct
``right``, EOT samples ``draws``, the success threshold ``pixel_share`` and a defense ``defence``, and it spreads the
settings of a threat model over the condition of a cell. The numbers are the same.
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Optional, Union

from ...checkpoints import save_file_atomically
from ...errors import UsageError
from ...threats import THREAT_MODELS
from ...threats.former_words import THREAT_MODELS as FORMER_THREAT_MODELS
from ...threats.former_words import current_settings, current_threat_model

VERSION = 2
RUN_FORMAT = 'mmadvdefense robustness run'
REPORT_FORMAT = 'mmadvdefense robustness report'
RESULTS_FORMAT = 'mmadvdefense results'

# In titles of threat models ('adaptive-eot, 8 draws'), and in the names of files that are made of them
# ('adaptive-eot-8-draws__PGD__resize').
_NAME = re.compile(rf'^({"|".join(FORMER_THREAT_MODELS)})(?=[ ,:_-]|$)')
_DRAWS = re.compile(r'^(adaptive-eot.*?)(, |-)(\d+)( |-)draws(?=[ ,:_-]|$)')
_IN_TEXT = re.compile(rf'\b({"|".join(FORMER_THREAT_MODELS)})\b')


def read_report(path: Union[str, Path]) -> dict[str, Any]:
    """Read a report of ``tools/robustness.py`` or results of ``tools/test.py`` of any version.

    Args:
        path: ``report.json`` of a run folder, or a file written with ``--out``.

    Returns:
        The fields described in ``docs/robustness.md``.

    Raises:
        UsageError: if it is neither, or has a later version.
    """
    report = json.loads(Path(path).read_text())
    found = report.get('format') if isinstance(report, dict) else None
    if found not in (REPORT_FORMAT, RESULTS_FORMAT):
        raise UsageError(
            f'{path} is not a report: its format is {found!r}, not {REPORT_FORMAT!r} or {RESULTS_FORMAT!r}'
        )
    if report['version'] > VERSION:
        raise UsageError(f'{path} has version {report["version"]}; this version of mmadvdefense reads up to {VERSION}')
    return upgrade_report(report)


def upgrade_report(report: dict[str, Any]) -> dict[str, Any]:
    """Convert a report of any version to the current version."""
    if report['version'] == VERSION:
        return report
    if report['format'] == RESULTS_FORMAT:
        return {**report, 'version': VERSION, 'results': [upgrade_cell(cell) for cell in report['results']]}
    titles = {title: _current_title(title) for title in report['threat_models']}
    parts = {
        'version': VERSION,
        'data': _upgrade_data(report['data']),
        'defenses': report['defences'],
        'attacks': {
            name: {**attack, 'config': current_settings(attack['config'])} for name, attack in report['attacks'].items()
        },
        'threat_models': {titles[title]: _upgrade_column(about) for title, about in report['threat_models'].items()},
        'cells': [_upgrade_reported(cell) for cell in report['cells']],
        'worst_case': [
            _renamed({**row, 'threat_model': titles[row['threat_model']]}, right='correct', defence='defense')
            for row in report['all_or_nothing']
        ],
        'comparisons': [
            _renamed({**row, 'threat_model': titles[row['threat_model']]}, defences='defenses')
            for row in report['comparisons']
        ],
        'cautions': [_current_title(line) for line in report.get('cautions', ())],
    }
    # In the order of the current version.
    order = {'defences': 'defenses', 'all_or_nothing': 'worst_case'}
    kept = {order.get(key, key): value for key, value in report.items()}
    return {**kept, **parts}


def _upgrade_data(data: dict[str, Any]) -> dict[str, Any]:
    if 'selection' not in data:
        return data
    return {**data, 'selection': _renamed(data['selection'], right='correct')}


def _upgrade_column(about: dict[str, Any]) -> dict[str, Any]:
    name = current_threat_model(about['name'])
    return {**about, 'name': name, 'meaning': THREAT_MODELS[name]}


def _upgrade_reported(cell: dict[str, Any]) -> dict[str, Any]:
    """Convert a cell of a report, which also names its threat model and its files."""
    places = {'threat_model': _current_title(cell['threat_model']), 'file': _current_title(cell['file'])}
    own = {key: value for key, value in cell.items() if key not in places}
    return {**places, **upgrade_cell(own)}


def upgrade_cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Convert the result of a cell from version 1 to the current version."""
    old = cell['condition']
    threat: Optional[dict[str, Any]] = None
    if old['threat_model'] != 'none':
        settings = {name: old.get(name) for name in ('source', 'substitute', 'draws')}
        known = {name: value for name, value in current_settings(settings).items() if value is not None}
        threat = {'name': current_threat_model(old['threat_model']), **known}
    condition = {'name': old['name'], 'attack': current_settings(old['attack']), 'threat_model': threat}
    reason = cell['reason'] and _IN_TEXT.sub(lambda word: current_threat_model(word[0]), cell['reason'])
    new = {**cell, 'condition': condition, 'scores': _renamed(cell['scores'], right='correct'), 'reason': reason}
    return _renamed(new, defence='defense')


def upgrade_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Convert the settings of a run folder from version 1 to the current version."""
    threats = {
        _current_title(title): {**current_settings(about), 'name': current_threat_model(about['name'])}
        for title, about in settings['threat_models'].items()
    }
    attacks = {name: current_settings(attack) for name, attack in settings['attacks'].items()}
    return {**_renamed(settings, defences='defenses'), 'attacks': attacks, 'threat_models': threats}


def upgrade_answers(stored: dict[str, Any]) -> dict[str, Any]:
    """Convert ``correct_images.json`` of any version to the current version."""
    return _renamed(stored, right='correct')


def upgrade_files(folder: Path) -> None:
    """Rewrite the finished cells of a run folder of version 1, under the file names of the current version.

    After a crash, each cell is in one of the two versions, and the next call converts the rest.
    """
    for path in sorted(folder.glob('cells/*.json')):
        stored = json.loads(path.read_text())
        if stored.get('version') == VERSION:
            continue
        name = _current_title(path.stem)
        examples = folder / 'examples' / f'{path.stem}.npz'
        if examples.exists():
            os.replace(examples, examples.with_name(f'{name}.npz'))
        samples = stored['samples'] and _renamed(stored['samples'], right='correct')
        new = {'version': VERSION, **stored, 'cell': upgrade_cell(stored['cell']), 'samples': samples}
        data = json.dumps(new).encode()
        save_file_atomically(path.with_name(f'{name}.json'), partial(_write, data), size=len(data))
        if name != path.stem:
            path.unlink()


def _write(data: bytes, file: BinaryIO) -> None:
    file.write(data)


def _current_title(text: str) -> str:
    """The current form of text that begins with the title of a threat model."""
    text = _NAME.sub(lambda name: current_threat_model(name[0]), text)
    return _DRAWS.sub(r'\1\2\3\4EOT\4samples', text)


def _renamed(values: dict[str, Any], **names: str) -> dict[str, Any]:
    """Rename some keys while keeping the order."""
    return {names.get(key, key): value for key, value in values.items()}
