"""The model that an attack runs on, for each threat model."""

from __future__ import annotations

from typing import Optional

from mmengine.config import ConfigDict
from mmengine.model import BaseDataPreprocessor
from torch import nn

from ..attacks import Attack, AttackSource, BackwardPass, Defense, EnsembleSource, WorstOf, num_target_classes
from ..errors import UnsupportedAttackError, UsageError
from ..model_spec import ModelSpec
from ..models import preprocessor_of, unwrap
from ..pipelines import preprocessor_channel_order
from ..purifiers import Purifier
from ..registry import MODELS
from .checks import check_same_classes
from .threat_model import DEFAULT_EOT_SAMPLES, NATURAL, Source, ThreatModel


def build_source(
    target: nn.Module,
    threat_model: str = 'gray-box',
    source: Optional[Source] = None,
    substitute: Optional[str] = None,
    eot_samples: Optional[int] = None,
    attack: Optional[Attack] = None,
    channel_order: Optional[str] = None,
) -> AttackSource:
    """The source that an attack runs on.

    Args:
        target: the model that is defended, with its purifier if it has one.
        threat_model: with ``source``, ``substitute`` and ``eot_samples``, see :class:`ThreatModel`.
        attack: what will run on the source; one that needs no labels may have a source of other classes.
        channel_order: how the target's images are loaded, ``'bgr'`` or ``'rgb'``: sources see them in their own order.
            By default it is what the target's preprocessor converts from, if it converts.

    Raises:
        UsageError: for settings that do not fit the threat model, or a source of other classes than the target.
        UnsupportedAttackError: if this purifier cannot be attacked in this way; the message says why.
    """
    return source_for(unwrap(target), ThreatModel(threat_model, source, substitute, eot_samples), attack, channel_order)


def fitting_source(
    attack: Attack, threat: ThreatModel, target: nn.Module, channel_order: Optional[str] = None
) -> AttackSource:
    """:func:`source_for`, with a check that the attack can run on the source.

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
    except UsageError as error:
        raise UnsupportedAttackError(str(error)) from error
    return source


def source_for(
    target: nn.Module, threat: ThreatModel, attack: Optional[Attack] = None, channel_order: Optional[str] = None
) -> AttackSource:
    """:func:`build_source`, from a :class:`ThreatModel`."""
    order = channel_order or _converted_order(preprocessor_of(target))
    if threat.name == 'transfer':
        return _other_models(threat, target, attack, order)
    if threat.name in ('gray-box', NATURAL):
        return AttackSource(target, channel_order=order)
    purifier = enabled_purifier(target)
    if threat.name == 'query':
        return AttackSource(target, defense=purifier and purifier.clean, gradients=False, channel_order=order)
    if purifier is None:
        raise UnsupportedAttackError(
            f'{threat.name} attacks the purifier, and {type(target).__name__} has none that is enabled; use gray-box'
        )
    if threat.name == 'adaptive-substitute' and threat.substitute is not None:
        return _behind_substitute(threat.substitute, threat, target, attack, order)
    if threat.name == 'adaptive-bpda':
        other = None if threat.substitute is None else _substitute(threat.substitute, purifier)
        return AttackSource(target, defense=BackwardPass(purifier.clean, other))
    if threat.name == 'adaptive' and not purifier.differentiable:
        raise UnsupportedAttackError(f'{type(purifier).__name__} has no gradient to follow; use adaptive-bpda')
    if threat.name == 'adaptive':
        return AttackSource(target, defense=purifier.clean)
    if not purifier.is_random:
        raise UnsupportedAttackError(
            f'{type(purifier).__name__} is not random, so there are no samples to average over; use adaptive'
        )
    defense = purifier.clean if purifier.differentiable else BackwardPass(purifier.clean)
    return AttackSource(target, defense=defense, eot_samples=threat.eot_samples or DEFAULT_EOT_SAMPLES)


def enabled_purifier(target: nn.Module) -> Optional[Purifier]:
    """The purifier in front of a model; None if there is none or it is switched off."""
    preprocessor = preprocessor_of(target)
    return preprocessor if isinstance(preprocessor, Purifier) and preprocessor.enabled else None


def _other_models(
    threat: ThreatModel, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    sources = [_other_model(source, target, attack, channel_order) for source in threat.sources]
    return EnsembleSource(sources) if isinstance(threat.source, list) else sources[0]


def _other_model(
    source: ModelSpec, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    model = source.load()
    check_same_classes(model, target, attack)
    device = preprocessor_of(target).device
    return AttackSource(model.to(device).eval(), channel_order=channel_order, trained_on=source.image_order())


def _converted_order(preprocessor: BaseDataPreprocessor) -> Optional[str]:
    """The channel order that a preprocessor converts from; None if it leaves images as they are."""
    if isinstance(preprocessor, Purifier):
        return preprocessor.channel_order
    return preprocessor_channel_order(preprocessor)


def _behind_substitute(
    substitute: str, threat: ThreatModel, target: nn.Module, attack: Optional[Attack], channel_order: Optional[str]
) -> AttackSource:
    """The target, or the models that the attacker has instead of it, each behind the attacker's own purifier."""
    if threat.source is None:
        source = AttackSource(target, channel_order=channel_order)
    else:
        source = _other_models(threat, target, attack, channel_order)
    for member in source.sources if isinstance(source, EnsembleSource) else [source]:
        member.defense = _substitute(substitute, preprocessor_of(member.model))
    return source


def _substitute(path: str, preprocessor: BaseDataPreprocessor) -> Defense:
    """What an exported purifier does to images in front of the model that has this preprocessor."""
    native = type(getattr(preprocessor, 'native', preprocessor))
    config = dict(
        type='AlignPurifier',
        native_type=f'{native.__module__.split(".")[0]}.{native.__name__}',
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    purifier = MODELS.build(ConfigDict(config)).to(preprocessor.device).eval()
    return purifier.requires_grad_(False).clean
