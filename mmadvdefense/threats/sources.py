"""The model that an attack is run on, for each threat model."""

from __future__ import annotations

from typing import Optional, Union

from mmengine.config import Config, ConfigDict
from torch import nn

from ..attacks import Attack, AttackSource, BackwardPass, Defense, EnsembleSource, WorstOf, num_target_classes
from ..checkpoints import load_target
from ..models import build_model, unwrap
from ..pipelines import config_channel_order
from ..purifiers import Purifier
from ..registry import MODELS
from .checks import check_same_classes
from .threat_model import ThreatModel, UnsupportedAttackError


def build_source(
    target: nn.Module,
    threat_model: str = 'gray-box',
    source: Union[dict, list[dict], None] = None,
    substitute: Optional[str] = None,
    eot_samples: Optional[int] = None,
    attack: Optional[Attack] = None,
    channel_order: Optional[str] = None,
) -> AttackSource:
    """What an attack is run on.

    Args:
        target: the model that is defended, with its purifier if it has one.
        threat_model: with the settings after it, see :class:`ThreatModel`.
        attack: what will be run on it; one that asks for no labels may have a source of other classes.
        channel_order: how the target's images are loaded, ``'bgr'`` or ``'rgb'``: sources see them in their own order.
            By default it is what the target's preprocessor converts from, if it converts.

    Raises:
        ValueError: for settings that do not fit the threat model, or a source of other classes than the target.
        UnsupportedAttackError: if this purifier cannot be attacked so; the message says why.
    """
    return source_for(unwrap(target), ThreatModel(threat_model, source, substitute, eot_samples), attack, channel_order)


def fitting_source(
    attack: Attack, threat: ThreatModel, target: nn.Module, channel_order: Optional[str] = None
) -> AttackSource:
    """:func:`source_for` an attack that can run on it.

    Raises:
        UnsupportedAttackError: if it cannot; the message says why.
    """
    source = source_for(target, threat, attack, channel_order)
    parts = [attack]
    if isinstance(attack, WorstOf):
        parts = [candidate.attack for candidate in attack.candidates(num_target_classes(source.task))]
    try:
        for part in parts:
            part.check_source(source)
    except ValueError as error:
        raise UnsupportedAttackError(str(error)) from error
    return source


def source_for(
    target: nn.Module, threat: ThreatModel, attack: Optional[Attack] = None, channel_order: Optional[str] = None
) -> AttackSource:
    """:func:`build_source`, of a threat model."""
    order = channel_order or _converted_order(target.data_preprocessor)
    if threat.name == 'transfer':
        return _other_models(threat, target, attack, order)
    if threat.name == 'gray-box':
        return AttackSource(target, channel_order=order)
    purifier = enabled_purifier(target)
    if threat.name == 'query':
        return AttackSource(target, defense=purifier and purifier.clean, gradients=False, channel_order=order)
    if purifier is None:
        raise UnsupportedAttackError(
            f'{threat.name} attacks the purifier, and {type(target).__name__} has none that is enabled'
        )
    if threat.name == 'adaptive-substitute':
        return _behind_substitute(threat, target, attack, order)
    if threat.name == 'adaptive-bpda':
        other = threat.substitute and _substitute(threat.substitute, purifier)
        return AttackSource(target, defense=BackwardPass(purifier.clean, other))
    if threat.name == 'adaptive' and not purifier.differentiable:
        raise UnsupportedAttackError(f'{type(purifier).__name__} has no gradient to follow; use adaptive-bpda')
    if threat.name == 'adaptive':
        return AttackSource(target, defense=purifier.clean)
    if not purifier.stochastic:
        raise UnsupportedAttackError(
            f'{type(purifier).__name__} is not random, so there is no mean to take over samples'
        )
    defense = purifier.clean if purifier.differentiable else BackwardPass(purifier.clean)
    return AttackSource(target, defense=defense, eot_samples=threat.eot_samples)


def enabled_purifier(target: nn.Module) -> Optional[Purifier]:
    """The purifier in front of a model, None if it has none or it is switched off."""
    preprocessor = target.data_preprocessor
    return preprocessor if isinstance(preprocessor, Purifier) and preprocessor.enabled else None


def _other_models(
    threat: ThreatModel, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    if isinstance(threat.source, list):
        return EnsembleSource([_other_model(source, target, attack, channel_order) for source in threat.source])
    return _other_model(threat.source, target, attack, channel_order)


def _other_model(
    source: dict, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    config = Config.fromfile(source['config'])
    model = build_model(config)
    load_target(model, source['checkpoint'], trust=source.get('trust', False))
    check_same_classes(model, target, attack)
    trained_on = source.get('channel_order') or config_channel_order(config)
    device = target.data_preprocessor.device
    return AttackSource(model.to(device).eval(), channel_order=channel_order, trained_on=trained_on)


def _converted_order(preprocessor: nn.Module) -> Optional[str]:
    """The order that a preprocessor converts images from; None if it leaves them as they are."""
    if isinstance(preprocessor, Purifier):
        return preprocessor.channel_order
    # MMDetection and MMSegmentation keep one flag for both directions, of which stock configs use one.
    converts = getattr(preprocessor, 'to_rgb', False) or getattr(preprocessor, '_channel_conversion', False)
    return 'bgr' if converts else None


def _behind_substitute(
    threat: ThreatModel, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    """The target, or the models that the attacker has instead, each behind the attacker's own purifier."""
    if threat.source is None:
        source = AttackSource(target, channel_order=channel_order)
    else:
        source = _other_models(threat, target, attack, channel_order)
    for member in source.sources if isinstance(source, EnsembleSource) else [source]:
        member.defense = _substitute(threat.substitute, member.model.data_preprocessor)
    return source


def _substitute(path: str, preprocessor: nn.Module) -> Defense:
    """The cleaning of a purifier that was exported, as it would be in front of the model with this preprocessor."""
    native = type(getattr(preprocessor, 'native', preprocessor))
    config = dict(
        type='AlignPurifier',
        native_type=f'{native.__module__.split(".")[0]}.{native.__name__}',
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    substitute = MODELS.build(ConfigDict(config)).to(preprocessor.device).eval()
    return substitute.requires_grad_(False).clean
