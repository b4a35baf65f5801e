"""The config of a grid: defenses x attacks x threat models on one data set, validated before anything runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields, replace
from typing import Any, Optional, Sequence

from mmengine.config import Config

from ...attacks import WorstOf, build_attack
from ...compat import check_checkpoint
from ...errors import UsageError
from ...model_spec import ModelSpec
from ...threats import NATURAL, ThreatModel
from ...validation import check_integer, near_names
from ..report.published import check_published
from .grid_attacks import GridAttacks
from .protocol import SETTINGS, filled, without_instructions
from .self_test_settings import SelfTestSettings

# One draw of a random defense flatters it; this many is what the literature takes.
DEFENSE_SAMPLES = 10
REQUIRED = ('target', 'defenses', 'attacks', 'threat_models')


@dataclass
class ThreatColumn:
    """A threat model and its attacks."""

    threat: ThreatModel
    attacks: list[str]


@dataclass
class GridConfig:
    """The contents of a grid; the entries of its config file are described in ``docs/robustness.md``.

    Attributes:
        target: ``config``, ``checkpoint`` and ``trust`` of the model that is defended.
        defenses: by name, an empty dict or the settings for
            :func:`mmadvdefense.evaluation.grid.defenses.build_defense`. A defense with a list of checkpoints is split
            into one per training, ``'align #1'``, ``'align #2'``, ...
        limited: for each defense with its own ``attacks``, the attacks to which it is limited.
        methods: for each entry of the config's ``defenses``, the names of its trainings in ``defenses``.
        attacks: configs by name, with the members of a set in its place.
        threat_models: each with its attacks.
        num_images: number of images, spread evenly over the test set; None for all.
        indices: explicit image indices instead.
        correct_only: use only images that the undefended target classifies correctly; ``num_images`` and
            ``images_per_class`` then count these.
        images_per_class: number of images per class of a classifier's test set, spread evenly; None for all.
        seed: seed of the attacks and of the confidence intervals.
        quantize: round adversarial images to whole pixels.
        layers: layers of the target at which the amplification of the perturbation is measured.
        num_examples: number of example images kept per cell.
        distributions: settings of the feature distributions on the report page: for every purifier, under this
            ``attack`` of the grid, with ``count`` features (500 by default) of the target's ``layer``; None disables
            them.
        self_test: whether to test the attacks of informed attackers themselves, and how; None does not.
        defense_samples: number of draws of each random defense that every attacked image is tested on.
        cache_dir: cache folder of adversarial images, by default in the work directory.
        test_dataloader: merged into the target's, such as ``dict(batch_size=64)``.
        test_evaluator: likewise.
        log_level: log level of the runners, high enough by default not to bury the table in their logs.
        published: a published table, see :func:`mmadvdefense.evaluation.report.published.check_published`.
        scale: the scale at which the grid is run, if not its own; see
            :func:`mmadvdefense.evaluation.grid.protocol.at_scale`.
    """

    target: dict
    defenses: dict[str, dict]
    limited: dict[str, list[str]]
    methods: dict[str, list[str]]
    attacks: dict[str, dict]
    threat_models: list[ThreatColumn]
    num_images: Optional[int] = None
    indices: Optional[list[int]] = None
    correct_only: bool = False
    images_per_class: Optional[int] = None
    seed: int = 0
    quantize: bool = False
    layers: Sequence[str] = ()
    num_examples: int = 8
    distributions: Optional[dict] = None
    self_test: Optional[SelfTestSettings] = None
    defense_samples: int = DEFENSE_SAMPLES
    cache_dir: Optional[str] = None
    test_dataloader: dict = field(default_factory=dict)
    test_evaluator: dict = field(default_factory=dict)
    log_level: str = 'WARNING'
    published: Optional[dict] = None
    scale: Optional[str] = None


OPTIONAL = tuple(item.name for item in fields(GridConfig) if item.name not in (*REQUIRED, 'limited', 'methods'))


def read_grid(config: Config, trust: bool = False) -> GridConfig:
    """Read a grid's config and check everything that can be checked without building a model.

    Args:
        config: with ``target``, ``defenses``, ``attacks`` and ``threat_models``.
        trust: whether to allow loading checkpoints that contain more than data.

    Raises:
        UsageError: for a missing, misspelt or invalid setting.
        FileNotFoundError: if a config or checkpoint is missing; the message names it.
        mmadvdefense.compat.CheckpointRefused: for an untrusted checkpoint that contains more than data.
    """
    config = without_instructions(filled(_with_current_key(config)))
    _check_names(config)
    for name in ('defenses', 'attacks', 'threat_models'):
        if not config[name]:
            raise UsageError(f'{name} is empty: there is nothing to test')
    attacks = GridAttacks.read(config.attacks)
    _check_distributions(config.get('distributions'), attacks.configs)
    _check_selection(config)
    _check_samples(config.get('defense_samples'))
    if config.get('published') is not None:
        check_published(config.published, attacks.configs)
    threats = [_threat(entry, attacks, trust) for entry in _several(config.threat_models)]
    attacks.check_all_run(threats)
    titles = [column.threat.title for column in threats]
    repeated = next((title for title in titles if titles.count(title) > 1), None)
    if repeated:
        raise UsageError(f'threat_models contains {repeated!r} twice; two sources need configs with different names')
    trainings = {name: _trainings(name, spec) for name, spec in config.defenses.items()}
    specs = {name: dict(spec or {}) for method in trainings.values() for name, spec in method.items()}
    limited = {}
    for name, spec in specs.items():
        chosen = _several(spec.pop('attacks', None))
        if chosen is not None:
            limited[name] = attacks.named(chosen, f'defense {name!r}')
    if len(specs) < sum(map(len, trainings.values())):
        raise UsageError(f'two defenses have the same name among {list(specs)}: rename one of them')
    self_test = SelfTestSettings.parse(config.get('self_test'))
    given = {**config, 'layers': _several(config.get('layers')), 'self_test': self_test}
    return GridConfig(
        target=_model(config.target, 'the target', trust),
        defenses={name: _defense(name, spec, trust) for name, spec in specs.items()},
        limited=limited,
        methods={method: list(names) for method, names in trainings.items()},
        attacks=attacks.configs,
        threat_models=threats,
        **{name: given[name] for name in OPTIONAL if given.get(name) is not None},
    )


def _with_current_key(config: Config) -> Config:
    """Rename the key ``defences``, the former spelling, to ``defenses``."""
    settings = dict(config.items())
    if 'defences' not in settings:
        return config
    if 'defenses' in settings:
        raise UsageError("a grid has both 'defenses' and 'defences', the former name of that key: use 'defenses' alone")
    warnings.warn("the key 'defences' of a grid is deprecated: rename it to 'defenses'", FutureWarning, stacklevel=3)
    return Config({'defenses' if key == 'defences' else key: value for key, value in settings.items()})


def _several(value: Any) -> Any:
    """A list; a single entry may be given without one."""
    return [value] if isinstance(value, (str, dict)) else value


def _check_names(config: Config) -> None:
    names = set(config.keys())
    for name in REQUIRED:
        if name not in names:
            near = near_names(name, names, most=1, cutoff=0.75)
            hint = f'; did you mean {name!r} by {near[0]!r}?' if near else ''
            raise UsageError(f'the config of a grid needs {", ".join(REQUIRED)}; {name!r} is missing{hint}')
    for name in sorted(names - {*REQUIRED, *OPTIONAL, *SETTINGS}):
        # A config may define variables of its own, so only near misses are errors.
        near = near_names(name, [*REQUIRED, *OPTIONAL], most=1, cutoff=0.75)
        if near and near[0] not in names:
            raise UsageError(f'unknown setting {name!r} of a grid; did you mean {near[0]!r}?')


def _check_selection(config: Config) -> None:
    if not isinstance(config.get('correct_only'), (bool, type(None))):
        raise UsageError(f'correct_only must be True or False, got {config.correct_only!r}')
    if config.get('images_per_class') is not None:
        check_integer('the grid', images_per_class=config.images_per_class)


def _check_samples(number: Any) -> None:
    if number is None:
        return
    check_integer('the grid', defense_samples=number)
    if number < 2:
        raise UsageError(
            'defense_samples=1 would report one draw of each random defense alone, which flatters it: set '
            f'defense_samples={DEFENSE_SAMPLES}, or fix the draw of a defense with data_preprocessor=dict(fixed=True)'
        )


def _check_distributions(settings: Optional[dict], attacks: dict) -> None:
    if not settings:
        return
    if set(settings) - {'attack', 'count', 'layer'} or settings.get('attack') not in attacks:
        raise UsageError(
            f'distributions takes an attack of the grid ({", ".join(attacks)}), count and layer; got {dict(settings)}'
        )
    if isinstance(build_attack(attacks[settings['attack']]), WorstOf):
        raise UsageError(f'distributions takes one attack, and {settings["attack"]!r} is the worst of several')


def _threat(entry: Any, attacks: GridAttacks, trust: bool) -> ThreatColumn:
    settings: dict[str, Any] = dict(name=entry) if isinstance(entry, str) else dict(entry)
    chosen = _several(settings.pop('attacks', None))
    what = f'threat model {settings.get("name")!r}'
    natural = settings.get('name') == NATURAL
    names = attacks.of(natural) if chosen is None else attacks.named(chosen, what)
    source = settings.get('source')
    if source is not None:
        sources = list(source) if isinstance(source, (list, tuple)) else [source]
        what = f'a source of {settings.get("name")!r}'
        sources = [_model(model, what, trust, ('trust', 'channel_order')) for model in sources]
        settings['source'] = sources if isinstance(source, (list, tuple)) else sources[0]
    threat = ThreatModel.parse(settings)
    if threat.substitute is not None:
        check_checkpoint(threat.substitute)
    return ThreatColumn(threat, names)


def _trainings(name: str, spec: Optional[dict]) -> dict[str, Optional[dict]]:
    """The defense by name, or one defense per checkpoint."""
    checkpoints = (spec or {}).get('checkpoint')
    if spec is None or not isinstance(checkpoints, (list, tuple)):
        return {name: spec}
    if not checkpoints or len(set(checkpoints)) < len(checkpoints):
        raise UsageError(f'defense {name!r} takes one checkpoint or several different ones, got {list(checkpoints)}')
    return {f'{name} #{index}': {**spec, 'checkpoint': path} for index, path in enumerate(checkpoints, start=1)}


def _defense(name: str, spec: dict, trust: bool) -> dict:
    if not {'config', 'checkpoint'} & set(spec):
        return spec
    model = {key: spec[key] for key in ('config', 'checkpoint', 'trust') if key in spec}
    return {**spec, **_model(model, f'defense {name!r}', trust, loads_itself=True)}


def _model(
    spec: object, what: str, trust: bool, optional: Sequence[str] = ('trust',), loads_itself: bool = False
) -> dict:
    given = ModelSpec.parse(spec, what, optional, loads_itself)
    model = replace(given, trust=trust or given.trust)
    model.check_files(what)
    return model.as_dict()
