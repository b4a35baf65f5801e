"""The cells of a grid, each with everything that its results depend on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ...attacks import build_attack
from ...digests import plain_settings, value_digest
from ...model_spec import ModelSpec
from ...models import build_model, read_config
from ...pipelines import channel_order, config_channel_order
from ...tasks import FeatureTap, task_of
from ...threats import ThreatModel, UnsupportedAttackError
from ...threats.attack_key import attack_key
from ...threats.checks import check_num_classes, check_same_classes
from ...threats.former_words import former_settings, former_threat_model
from ...training.purifier_config import purifier_config
from ...version import __version__
from ..results import CLEAN, Condition, fixed_name
from .config import GridConfig, ThreatColumn
from .correct_images import choose_images
from .defenses import Defense, build_defense, data_settings, model_settings, target_config
from .image_selection import compose_indices, inspect_images, open_test_set


@dataclass
class Cell:
    """One test of a grid.

    Attributes:
        defense: its name.
        condition: the attack on the images, or none; named after the attack.
        threat: the title of the threat model, ``'clean'`` for clean images.
        reason: the reason why it cannot run, if known in advance.
        fingerprint: a digest of everything that its results depend on.
    """

    defense: str
    condition: Condition
    threat: str
    reason: Optional[str]
    fingerprint: str

    @property
    def title(self) -> str:
        """A readable title: ``'align, gray-box, PGD'``."""
        return f'{self.defense}, {self.threat}' + ('' if self.threat == CLEAN else f', {self.condition.name}')

    @property
    def file_name(self) -> str:
        """The stem of its file names."""
        words = [self.threat, self.condition.name, self.defense] if self.threat != CLEAN else [CLEAN, self.defense]
        readable = '__'.join(re.sub(r'[^\w.+-]+', '-', word) for word in words)
        return f'{readable}__{self.fingerprint[:12]}'


@dataclass
class GridPlan:
    """A grid with resolved models, images and cells.

    Attributes:
        config: the grid's config.
        defenses: by name, ready to be tested.
        cells: in the order in which they are run: defense after defense, clean images first.
        settings: everything that the results depend on, for comparison with an earlier run.
        images: the number of test images.
        facts: facts about target and data for the report.
    """

    config: GridConfig
    defenses: dict[str, Defense]
    cells: list[Cell]
    settings: dict[str, Any]
    images: int
    facts: dict[str, Any]

    @property
    def shown(self) -> set[str]:
        """The first training of every method, whose images and distributions the page shows."""
        return {names[0] for names in self.config.methods.values()}


def plan_grid(config: GridConfig, folder: Optional[Union[str, Path]] = None, launcher: str = 'none') -> GridPlan:
    """Open the test set, check every image file, and build the target and the sources to check compatibility.

    Args:
        config: of the grid.
        folder: its work directory, where the target's results are cached with ``correct_only``.
        launcher: MMEngine's name of the launcher; used to test the target with ``correct_only``.

    Raises:
        UsageError: for models, layers or images that do not fit together.
        FileNotFoundError: that names the first missing file.
    """
    overrides = {'test_dataloader': config.test_dataloader, 'test_evaluator': config.test_evaluator}
    base = target_config(config.target, overrides)
    dataset = open_test_set(base)
    facts = _check_models(config, base, dataset)
    indices, selection = choose_images(config, base, dataset, folder, launcher)
    digest = inspect_images(dataset, indices)
    if len(indices) < len(dataset) or config.indices is not None:
        part = base.test_dataloader.dataset
        part.indices = compose_indices(part.get('indices'), indices, dataset)
    defenses = {
        name: build_defense(name, spec, config.target, base, launcher) for name, spec in config.defenses.items()
    }
    config, defenses = _with_fixed_draws(config, defenses, base, launcher)
    common = {
        'mmadvdefense': __version__,
        'target': {**model_settings(base), 'checkpoint': plain_settings(config.target['checkpoint'])},
        'data': {**data_settings(base), 'images': digest},
        **{name: plain_settings(getattr(config, name)) for name in ('seed', 'quantize', 'layers')},
    }
    threats = {
        column.threat.title: _threat_settings(column.threat, config_channel_order(base))
        for column in config.threat_models
    }
    parts = {
        'defenses': {name: defense.settings() for name, defense in defenses.items()},
        'attacks': plain_settings(config.attacks),
        'threat_models': {
            column.threat.title: {**threats[column.threat.title], 'attacks': column.attacks}
            for column in config.threat_models
        },
    }
    cells = [cell for defense in defenses.values() for cell in _cells(config, defense, common, parts, threats)]
    facts['data'] = {'type': type(dataset).__name__, 'images': len(indices), 'digest': digest, **facts['data']}
    if selection is not None:
        facts['data']['selection'] = selection
    return GridPlan(config, defenses, cells, {**common, **parts}, len(indices), facts)


def _with_fixed_draws(
    config: GridConfig, defenses: dict[str, Defense], base: Config, launcher: str
) -> tuple[GridConfig, dict[str, Defense]]:
    """The grid with a method more after each random one: the same with a fixed draw, which every attacker knows."""
    methods: dict[str, list[str]] = {}
    found: dict[str, Defense] = {}
    specs, limited = dict(config.defenses), dict(config.limited)
    for method, names in config.methods.items():
        methods[method] = names
        found.update((name, defenses[name]) for name in names)
        # An ensemble of defended models builds its purifiers itself.
        if not all(defenses[name].random and purifier_config(defenses[name].config) is not None for name in names):
            continue
        methods[fixed_name(method)] = [fixed_name(name) for name in names]
        for name, fixed in zip(names, methods[fixed_name(method)]):
            preprocessor = {**(specs[name].get('data_preprocessor') or {}), 'fixed': True}
            specs[fixed] = {**specs[name], 'data_preprocessor': preprocessor}
            found[fixed] = build_defense(fixed, specs[fixed], config.target, base, launcher)
            if name in limited:
                limited[fixed] = limited[name]
    return replace(config, defenses=specs, methods=methods, limited=limited), found


def _check_models(config: GridConfig, base: Config, dataset: BaseDataset) -> dict[str, Any]:
    """Build target and sources, and return facts about them for the report."""
    target = build_model(base)
    check_num_classes(target, dataset)
    for layer in config.layers:
        FeatureTap(target, layer)
    for column in config.threat_models:
        for source in column.threat.sources:
            model = source.build()
            for name in column.attacks:
                check_same_classes(model, target, build_attack(config.attacks[name]))
    task = task_of(target)
    classes = list(dataset.metainfo.get('classes') or range(task.num_classes or 0))
    # Unknown data sets usually hold their images as RGB arrays.
    order = channel_order(base.test_dataloader.dataset) or 'rgb'
    return {
        'task': task.name,
        'data': {'classes': [str(name) for name in classes], 'channel_order': order},
    }


def _cells(config: GridConfig, defense: Defense, common: dict, parts: dict, threats: dict) -> list[Cell]:
    # Uses the former spelling, as in former_words.py, so that fingerprints of finished cells remain valid.
    own = {**common, 'defence': parts['defenses'][defense.name]}
    if defense.random:
        own['defense_samples'] = config.defense_samples
    cells = [Cell(defense.name, Condition(CLEAN), CLEAN, None, value_digest(own))]
    for column, threat in _columns(config, defense):
        settings = threats[column.threat.title] if threat is column.threat else _threat_settings(threat, None)
        for name in column.attacks:
            if name not in config.limited.get(defense.name, column.attacks):
                continue
            about = {
                **own,
                'attack': attack_key(parts['attacks'][name]),
                'threat_model': {**former_settings(settings), 'name': former_threat_model(threat.name)},
            }
            attack = config.attacks[name]
            condition = Condition(name, attack, threat)
            cells.append(
                Cell(defense.name, condition, column.threat.title, _reason(threat, attack), value_digest(about))
            )
    return cells


def _columns(config: GridConfig, defense: Defense) -> list[tuple[ThreatColumn, ThreatModel]]:
    """The threat models under which a defense is tested, and the attacker of each.

    Without a purifier, adaptive attackers are gray-box attackers. They are run once: under gray-box or, in a grid
    without it, under the first of them.
    """
    if defense.purifier is not None:
        return _with_purifier(config, defense)
    names = [column.threat.name for column in config.threat_models]
    columns: list[tuple[ThreatColumn, ThreatModel]] = []
    for column in config.threat_models:
        threat = column.threat.without_purifier()
        if threat is None or (threat is not column.threat and 'gray-box' in names):
            continue
        if threat is not column.threat and any(earlier is not other.threat for other, earlier in columns):
            continue
        columns.append((column, threat))
    return columns


def _with_purifier(config: GridConfig, defense: Defense) -> list[tuple[ThreatColumn, ThreatModel]]:
    """The threat models, where over a fixed draw, of which there is no mean, adaptive-eot is adaptive and run once."""
    if not defense.fixed:
        return [(column, column.threat) for column in config.threat_models]
    adaptive = any(column.threat.name == 'adaptive' for column in config.threat_models)
    return [
        (column, ThreatModel('adaptive') if column.threat.name == 'adaptive-eot' else column.threat)
        for column in config.threat_models
        if not (adaptive and column.threat.name == 'adaptive-eot')
    ]


def _reason(threat: ThreatModel, attack: dict) -> Optional[str]:
    try:
        threat.check_attack(build_attack(attack))
    except UnsupportedAttackError as error:
        return str(error)
    return None


def _threat_settings(threat: ThreatModel, channel_order: Optional[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {'name': threat.name, 'eot_samples': threat.eot_samples}
    settings['substitute'] = plain_settings(threat.substitute)
    settings['sources'] = [_source_settings(source, channel_order) for source in threat.sources]
    return settings


def _source_settings(source: ModelSpec, channel_order: Optional[str]) -> dict[str, Any]:
    config = read_config(source.config)
    settings = {**model_settings(config), 'checkpoint': plain_settings(source.checkpoint)}
    trained_on = source.image_order()
    # Included only if the source's channel order differs from the target's.
    swaps = channel_order and trained_on and channel_order != trained_on
    return {**settings, 'channel_order': trained_on} if swaps else settings
