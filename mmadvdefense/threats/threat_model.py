"""What the attacker has and knows: one word each, with its settings."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ..attacks import Attack

THREAT_MODELS: dict[str, str] = {
    'gray-box': 'has the target and its gradients, knows nothing of the purifier',
    'transfer': 'has another model trained on the same data',
    'adaptive': 'has the target and the purifier, and the gradient through both',
    'adaptive-bpda': 'as adaptive, with the identity or a substitute on the backward pass through the purifier',
    'adaptive-substitute': 'as adaptive, with a purifier of its own in place of the real one',
    'adaptive-eot': 'as adaptive, with the mean gradient over samples of a random purifier (EOT)',
    'query': 'sees only the outputs of purifier and target together',
}
# Their images depend on the purifier: another purifier needs attacks of its own.
DEFENSE_AWARE = ('adaptive', 'adaptive-bpda', 'adaptive-eot', 'query')
# Without a purifier these are the same as gray-box.
NEEDS_PURIFIER = ('adaptive', 'adaptive-bpda', 'adaptive-substitute', 'adaptive-eot')
# Words that were used, or that could mean two things.
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


class UnsupportedAttackError(ValueError):
    """An attack that means nothing under a threat model, or against this purifier or model; the message says why."""


@dataclass
class ThreatModel:
    """A threat model with its settings.

    Attributes:
        name: a key of :data:`THREAT_MODELS`.
        source: for ``'transfer'``: ``dict(config=..., checkpoint=...)`` of the model that the attacker has;
            ``trust=True`` loads a checkpoint that holds more than data, and ``channel_order='bgr'`` or ``'rgb'`` says
            what images it was trained on where its config does not tell. A list of them is an ensemble, whose mean
            class scores are attacked. For ``'adaptive-substitute'`` the same, None for the target itself.
        substitute: a file of ``tools/export_purifier.py``, the attacker's own purifier. For ``'adaptive-bpda'`` the
            backward pass takes its gradient, None for the identity, behind the real purifier's forward pass. For
            ``'adaptive-substitute'`` it is all that the attacker has, forward and backward (Align, section 4.12).
        eot_samples: for ``'adaptive-eot'``: how many random draws of the purifier a gradient is averaged over, by
            default 16.

    Raises:
        ValueError: for an unknown name, or a setting that is missing or belongs to another threat model.
    """

    name: str
    source: Union[dict, list[dict], None] = None
    substitute: Optional[str] = None
    eot_samples: Optional[int] = None

    def __post_init__(self) -> None:
        if self.name in RENAMED:
            raise ValueError(f'threat model {self.name!r} {RENAMED[self.name]}')
        if self.name not in THREAT_MODELS:
            near = difflib.get_close_matches(str(self.name), THREAT_MODELS, n=2, cutoff=0.6)
            hint = f'did you mean {" or ".join(near)}?' if near else f'known: {", ".join(THREAT_MODELS)}'
            raise ValueError(f'unknown threat model {self.name!r}; {hint}')
        for setting, owners in THREAT_SETTINGS.items():
            if getattr(self, setting) is not None and self.name not in owners:
                owner = ' and '.join(map(repr, owners))
                raise ValueError(f'threat model {self.name!r} takes no {setting}, which is for {owner}')
        if self.name == 'transfer' or self.source is not None:
            self.source = _checked_source(self.source, self.name)
        if self.name == 'adaptive-substitute' and self.substitute is None:
            raise ValueError(
                "threat model 'adaptive-substitute' needs the attacker's own purifier, substitute=..., a file of "
                'tools/export_purifier.py'
            )
        if self.name == 'adaptive-eot':
            self.eot_samples = DEFAULT_EOT_SAMPLES if self.eot_samples is None else self.eot_samples
            if self.eot_samples < 1:
                raise ValueError(f"threat model 'adaptive-eot' needs eot_samples >= 1, got {self.eot_samples}")

    @classmethod
    def parse(cls, config: Union[str, dict, ThreatModel, None], source: Optional[dict] = None) -> ThreatModel:
        """A threat model from its word, or a dict with it as ``name``; None for the one that fits ``source``."""
        if isinstance(config, ThreatModel):
            return config
        if config is None:
            config = 'gray-box' if source is None else 'transfer'
        settings = dict(name=config) if isinstance(config, str) else dict(config)
        if source is not None:
            settings['source'] = source
        try:
            return cls(**settings)
        except TypeError as error:
            unknown = sorted(set(settings) - set(cls.__dataclass_fields__)) or ['no name']
            raise ValueError(f'bad threat model {settings}: {", ".join(unknown)}') from error

    def as_dict(self) -> dict[str, Any]:
        """``name`` and the settings that are not None, JSON-plain; :meth:`parse` reads it back."""
        settings = {setting: getattr(self, setting) for setting in ('name', *THREAT_SETTINGS)}
        return {setting: value for setting, value in settings.items() if value is not None}

    @property
    def knows_defense(self) -> bool:
        """Whether another purifier needs attacks of its own."""
        return self.name in DEFENSE_AWARE

    @property
    def sources(self) -> list[dict]:
        """The models that the attacker has instead of the target."""
        return [self.source] if isinstance(self.source, dict) else list(self.source or ())

    @property
    def title(self) -> str:
        """The word with what tells two of its kind apart, as tables show it."""
        text = self.name
        if self.substitute is not None:
            text += f' with {Path(self.substitute).stem}'
        if self.source is not None:
            text += f' from {" & ".join(Path(source["config"]).stem for source in self.sources)}'
        return text if self.eot_samples is None else f'{text}, {self.eot_samples} EOT samples'

    def check_attack(self, attack: Attack) -> None:
        """Raise :class:`UnsupportedAttackError` for an attack that means nothing here, whatever the purifier."""
        name = type(attack).__name__
        if self.name == 'query' and attack.access == 'gradients':
            raise UnsupportedAttackError(f'{name} needs gradients, which a query attacker does not have')
        if self.name in NEEDS_PURIFIER and attack.access != 'gradients':
            use = 'gray-box' if attack.access == 'nothing' else 'query'
            raise UnsupportedAttackError(f'{name} uses no gradients; use {use}')
        if self.name == 'adaptive-eot' and not attack.supports_eot:
            raise UnsupportedAttackError(f'{name} does not average its gradient over samples of a random purifier')


def _checked_source(source: Union[dict, list[dict], None], name: str) -> Union[dict, list[dict]]:
    if isinstance(source, (list, tuple)) and source:
        return [_checked_source(model, name) for model in source]
    given = source.keys() if isinstance(source, dict) else set()
    if not {'config', 'checkpoint'} <= given <= {'config', 'checkpoint', 'trust', 'channel_order'}:
        raise ValueError(
            f'threat model {name!r} needs another model to craft attacks on, '
            f'source=dict(config=..., checkpoint=...), or a list of them; source is {source!r}'
        )
    if source.get('channel_order') not in (None, 'bgr', 'rgb'):
        raise ValueError(f"channel_order of a source is 'bgr' or 'rgb', got {source['channel_order']!r}")
    return dict(source)
