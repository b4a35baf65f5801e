"""What the attacker has and knows: one word for each threat model, with its settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Union

from ..attacks import Attack
from ..errors import UnsupportedAttackError, UsageError
from ..model_spec import ModelSpec
from ..validation import did_you_mean

# A model that the attacker has, or several, which are attacked as an ensemble.
Source = Union[dict, ModelSpec, list]

THREAT_MODELS: dict[str, str] = {
    'gray-box': 'has the target and its gradients, knows nothing of the purifier',
    'transfer': 'has another model trained on the same data',
    'adaptive': 'has the target and the purifier, and the gradient through both',
    'adaptive-bpda': 'as adaptive, with the identity or a substitute on the backward pass through the purifier',
    'adaptive-substitute': 'has a purifier of its own in front of the target or another model, nothing of the real one',
    'adaptive-eot': 'as adaptive, with the mean gradient over samples of a random purifier (EOT)',
    'query': 'sees only the outputs of purifier and target together',
    'natural': 'is nobody: noise, weather and compression change images, whatever the model',
}
# Without an attacker.
NATURAL = 'natural'
# Their images depend on the purifier: another purifier needs attacks of its own.
DEFENSE_AWARE = ('adaptive', 'adaptive-bpda', 'adaptive-eot', 'query')
# These know the defense, or at least that there is one.
INFORMED = ('adaptive', 'adaptive-bpda', 'adaptive-eot', 'adaptive-substitute', 'query')
# These attack the purifier.
NEEDS_PURIFIER = ('adaptive', 'adaptive-bpda', 'adaptive-substitute', 'adaptive-eot')
# Former or ambiguous words.
RENAMED = {
    'white-box': "could mean two attackers: 'gray-box' has the target and knows nothing of the purifier; 'adaptive' "
    'has both, and the gradient through them',
    'adaptive-full': "is called 'adaptive'",
}
DEFAULT_EOT_SAMPLES = 16
THREAT_SETTINGS: dict[str, tuple[str, ...]] = {
    'source': ('transfer', 'adaptive-substitute'),
    'substitute': ('adaptive-bpda', 'adaptive-substitute'),
    'eot_samples': ('adaptive-eot',),
}


@dataclass
class ThreatModel:
    """A threat model with its settings.

    Attributes:
        name: a key of :data:`THREAT_MODELS`.
        source: for ``'transfer'``: ``dict(config=..., checkpoint=...)`` of the model that the attacker has;
            ``trust=True`` loads a checkpoint that holds more than data, and ``channel_order='bgr'`` or ``'rgb'`` says
            what images it was trained on if its config does not tell. A list of them is an ensemble, whose mean class
            scores are attacked. For ``'adaptive-substitute'`` the same; None for the target itself.
        substitute: a file of ``tools/export_purifier.py``, the attacker's own purifier. With ``'adaptive-bpda'`` the
            forward pass goes through the real purifier and the backward pass through the substitute, or through the
            identity if this is None. With ``'adaptive-substitute'`` the substitute is all that the attacker has, for
            both passes (Align, section 4.12).
        eot_samples: for ``'adaptive-eot'``: the number of random draws of the purifier over which a gradient is
            averaged, by default 16.

    Raises:
        UsageError: for an unknown name, or a setting that is missing or belongs to another threat model.
    """

    name: str
    source: Optional[Source] = None
    substitute: Optional[str] = None
    eot_samples: Optional[int] = None

    def __post_init__(self) -> None:
        check_name(self.name)
        for setting, owners in THREAT_SETTINGS.items():
            if getattr(self, setting) is not None and self.name not in owners:
                owner = ' and '.join(map(repr, owners))
                raise UsageError(f'threat model {self.name!r} takes no {setting}, which is for {owner}')
        if self.name == 'transfer' or self.source is not None:
            self.source = _checked_source(self.source, self.name)
        if self.name == 'adaptive-substitute' and self.substitute is None:
            raise UsageError(
                "threat model 'adaptive-substitute' needs the attacker's own purifier, substitute=..., a file of "
                'tools/export_purifier.py'
            )
        if self.name == 'adaptive-eot':
            self.eot_samples = DEFAULT_EOT_SAMPLES if self.eot_samples is None else self.eot_samples
            if self.eot_samples < 1:
                raise UsageError(f"threat model 'adaptive-eot' needs eot_samples >= 1, got {self.eot_samples}")

    @classmethod
    def parse(
        cls, config: Union[str, Mapping[str, Any], ThreatModel, None], source: Optional[Source] = None
    ) -> ThreatModel:
        """Read a threat model from its name, or from a dict of ``name`` and settings, such as that of :meth:`as_dict`.

        Args:
            config: None for ``'transfer'`` if there is a ``source``, and ``'gray-box'`` otherwise.
            source: takes the place of the source in ``config``.

        Raises:
            UsageError: if there is no such threat model, or it lacks a setting or has one too many.
        """
        if isinstance(config, ThreatModel):
            return config
        if config is None:
            config = 'gray-box' if source is None else 'transfer'
        settings: dict[str, Any] = dict(name=config) if isinstance(config, str) else dict(config)
        if source is not None:
            settings['source'] = source
        unknown = sorted(set(settings) - set(cls.__dataclass_fields__))
        if unknown or 'name' not in settings:
            raise UsageError(
                f'bad threat model {settings}: {", ".join(unknown) or "no name"}; it is a name of '
                f'{", ".join(THREAT_MODELS)}, or dict(name=...) with {", ".join(THREAT_SETTINGS)} where they belong'
            )
        return cls(**settings)

    def as_dict(self) -> dict[str, Any]:
        """``name`` and the settings that are not None, JSON-plain; :meth:`parse` reads it back."""
        settings = {setting: getattr(self, setting) for setting in ('name', *THREAT_SETTINGS)}
        return {setting: _plain(value) for setting, value in settings.items() if value is not None}

    @property
    def knows_defense(self) -> bool:
        """Whether another purifier needs attacks of its own."""
        return self.name in DEFENSE_AWARE

    def without_purifier(self) -> Optional[ThreatModel]:
        """The same attacker of a model without a purifier; None for one that has nothing but a purifier of its own.

        The gradient through purifier and model is then that through the model, so the adaptive attackers are gray-box.
        """
        if self.name == 'adaptive-substitute':
            return None
        return ThreatModel('gray-box') if self.name in NEEDS_PURIFIER else self

    @property
    def sources(self) -> list[ModelSpec]:
        """The models that the attacker has instead of the target."""
        if self.source is None:
            return []
        sources = self.source if isinstance(self.source, list) else [self.source]
        return [ModelSpec.parse(source) for source in sources]

    @property
    def title(self) -> str:
        """The name with what distinguishes two threat models of that name, as tables show it."""
        text = self.name
        if self.substitute is not None:
            text += f' with {Path(self.substitute).stem}'
        if self.source is not None:
            text += f' from {" & ".join(source.name for source in self.sources)}'
        return text if self.eot_samples is None else f'{text}, {self.eot_samples} EOT samples'

    def check_attack(self, attack: Attack) -> None:
        """Raise :class:`UnsupportedAttackError` for an attack that is meaningless here, whatever the purifier."""
        name = type(attack).__name__
        if attack.adversarial == (self.name == NATURAL):
            remedy = f'{name} is no attack; use threat model {NATURAL!r}'
            if attack.adversarial:
                remedy = f'{name} is an attack, and {NATURAL!r} has no attacker: it takes Corruption and ImageNetC'
            raise UnsupportedAttackError(remedy)
        if self.name == 'query' and attack.access == 'gradients':
            raise UnsupportedAttackError(f'{name} needs gradients, which a query attacker does not have')
        if self.name in NEEDS_PURIFIER and attack.access != 'gradients':
            use = 'gray-box' if attack.access == 'nothing' else 'query'
            raise UnsupportedAttackError(f'{name} uses no gradients; use {use}')
        if self.name == 'adaptive-eot' and not attack.supports_eot:
            raise UnsupportedAttackError(f'{name} does not average its gradient over samples of a random purifier')


def check_name(name: str) -> None:
    """Raise a :class:`UsageError` for a word that names no threat model; it says which ones may be meant."""
    if name in RENAMED:
        raise UsageError(f'threat model {name!r} {RENAMED[name]}')
    if name not in THREAT_MODELS:
        raise UsageError(f'unknown threat model {name!r}; {did_you_mean(name, THREAT_MODELS, most=2, cutoff=0.6)}')


def _checked_source(source: Optional[Source], name: str) -> Source:
    """The source as given, as plain dicts."""
    if not source:
        raise UsageError(
            f'threat model {name!r} needs another model to craft attacks on, '
            f'source=dict(config=..., checkpoint=...), or a list of them; source is {source!r}'
        )
    if isinstance(source, (list, tuple)):
        return [_checked_model(model, name) for model in source]
    return _checked_model(source, name)


def _checked_model(model: Union[dict, ModelSpec], name: str) -> dict:
    spec = ModelSpec.parse(model, f'a source of threat model {name!r}')
    return dict(model) if isinstance(model, Mapping) else spec.as_dict()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
