"""What the attacker has and knows, one word each, and the source that an attack is given for it."""

from __future__ import annotations

from typing import Optional, Union

from mmengine.config import ConfigDict
from torch import nn

from ..attacks import AttackSource, BackwardPass
from ..checkpoints import load_target
from ..models import build_model
from ..purifiers import Purifier, RandomPurifier
from ..registry import MODELS
from .checks import check_same_classes

THREAT_MODELS: dict[str, str] = {
    'white-box': 'has the target and its gradients, knows nothing of the purifier',
    'transfer': 'has another model trained on the same data',
    'adaptive-full': 'has the target and the purifier, and the gradient through both',
    'adaptive-bpda': 'as adaptive-full, with the identity or a substitute on the backward pass through the purifier',
    'adaptive-eot': 'as adaptive-full, with the mean gradient over draws of a random purifier',
    'query': 'may only ask the purifier and the target together for their output',
}
# Their images depend on the purifier: another purifier needs attacks of its own.
DEFENCE_AWARE = ('adaptive-full', 'adaptive-bpda', 'adaptive-eot', 'query')


def check_threat_model(name: str, source: Optional[Union[dict, list]]) -> None:
    """Raise a ``ValueError`` for an unknown threat model, or one that does not fit whether there is a source."""
    if name not in THREAT_MODELS:
        raise ValueError(f'unknown threat model {name!r}; known: {", ".join(THREAT_MODELS)}')
    if (name == 'transfer') != (source is not None):
        has = 'needs another model to craft attacks on' if source is None else 'attacks the target itself'
        raise ValueError(f'threat model {name!r} {has}; source is {source!r}')


def build_source(
    target: nn.Module,
    threat_model: str = 'white-box',
    source: Optional[dict] = None,
    substitute: Optional[str] = None,
    draws: int = 16,
) -> AttackSource:
    """What an attack is run on.

    Args:
        target: the model that is defended, with its purifier if it has one.
        threat_model: a key of :data:`THREAT_MODELS`.
        source: for ``'transfer'``: ``dict(config=..., checkpoint=..., trust=False)``.
        substitute: for ``'adaptive-bpda'``: a file of ``tools/export_purifier.py``, the attacker's own purifier, whose
            gradient the backward pass takes; None for the identity.
        draws: for ``'adaptive-eot'``: how many draws of the purifier a gradient is averaged over.

    Raises:
        ValueError: if this purifier cannot be attacked so; the message says why.
    """
    check_threat_model(threat_model, source)
    if threat_model == 'transfer':
        return _other_model(source, target)
    if threat_model == 'white-box':
        return AttackSource(target)
    purifier = _enabled_purifier(target)
    if threat_model == 'query':
        return AttackSource(target, defence=purifier and purifier.clean, gradients=False)
    if purifier is None:
        raise ValueError(f'{threat_model} attacks the purifier, and {type(target).__name__} has none that is enabled')
    if threat_model == 'adaptive-bpda':
        other = substitute and _substitute(substitute, purifier).clean
        return AttackSource(target, defence=BackwardPass(purifier.clean, other))
    if threat_model == 'adaptive-full' and not purifier.differentiable:
        raise ValueError(f'{type(purifier).__name__} has no gradient to follow; use adaptive-bpda')
    if threat_model == 'adaptive-full':
        return AttackSource(target, defence=purifier.clean)
    if not isinstance(purifier, RandomPurifier):
        raise ValueError(f'{type(purifier).__name__} draws nothing at random, so there is no mean to take over draws')
    defence = purifier.clean if purifier.differentiable else BackwardPass(purifier.clean)
    return AttackSource(target, defence=defence, draws=draws)


def _enabled_purifier(target: nn.Module) -> Optional[Purifier]:
    preprocessor = target.data_preprocessor
    return preprocessor if isinstance(preprocessor, Purifier) and preprocessor.enabled else None


def _other_model(source: dict, target: nn.Module) -> AttackSource:
    model = build_model(source['config'])
    load_target(model, source['checkpoint'], trust=source.get('trust', False))
    check_same_classes(model, target)
    return AttackSource(model.to(target.data_preprocessor.device).eval())


def _substitute(path: str, purifier: Purifier) -> Purifier:
    native = type(purifier.native)
    config = dict(
        type='AlignPurifier',
        native_type=f'{native.__module__.split(".")[0]}.{native.__name__}',
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    substitute = MODELS.build(ConfigDict(config)).to(purifier.device).eval()
    return substitute.requires_grad_(False)
