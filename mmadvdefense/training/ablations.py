"""The ablations of Align, as named changes to the objective of any config that trains a purifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..errors import UsageError
from ..registry import HOOKS, builds, type_name
from ..validation import did_you_mean
from .purifier_config import purifier_config

# The key of a config that names an ablation.
ABLATION = 'ablation'

_PIXEL, _PERCEPTUAL = 'PixelReconstructionLoss', 'PerceptualLoss'
_GAN, _MATCHING = 'LSGANLoss', 'FeatureMatchingLoss'
_FEATURE, _CLASSES = 'FeatureReconstructionLoss', 'ClassAlignmentLoss'


@dataclass(frozen=True)
class Ablation:
    """One row of the papers' tables of ablations.

    Attributes:
        title: the row's name in the papers.
        terms: by type of loss, the settings that change, or None where the term is left out. Terms that an objective
            does not have are skipped.
        task: whether the target's own loss is kept.
        factor: of all weights of the generator's objective (lambda 1 to lambda 4).
        layer: the layer of the discriminator that feature matching leaves out, from 1; None leaves out none.
    """

    title: str
    terms: Mapping[str, Optional[dict[str, Any]]] = field(default_factory=dict)
    task: bool = True
    factor: float = 1.0
    layer: Optional[int] = None


# Equations 10 and 11: the discriminator compares everything with the clean image, as figure 3(a) shows.
_BOTH = ('purified_clean', 'purified_adversarial')
_TRADITIONAL_GAN: dict[str, Any] = {_GAN: dict(real='clean', fake=_BOTH), _MATCHING: dict(guide='clean', fake=_BOTH)}
_TRADITIONAL = {_PIXEL: dict(adv_guide='clean'), _PERCEPTUAL: dict(adv_guide='clean'), **_TRADITIONAL_GAN}
_NO_FEATURES: dict[str, Any] = {_FEATURE: None, _CLASSES: None}
_NO_PIXELS: dict[str, Any] = dict.fromkeys((_PIXEL, _PERCEPTUAL, _GAN, _MATCHING))

ABLATIONS: dict[str, Ablation] = {
    'full': Ablation('Full'),
    # Table VIII; ICLR version, tables 1, 2, 6, 7 and 12
    'pixel': Ablation('L_I', _NO_FEATURES, task=False),
    'feature_no_class': Ablation('L_F (w/o c)', {**_NO_PIXELS, _CLASSES: None}),
    'no_class': Ablation('L_I+F (w/o c)', {_CLASSES: None}),
    'traditional': Ablation('L_T', {**_TRADITIONAL, **_NO_FEATURES}, task=False),
    'traditional_no_class': Ablation('L_T+F (w/o c)', {**_TRADITIONAL, _CLASSES: None}),
    # Table IX
    'no_reconstruction': Ablation('w/o L_r', {_PIXEL: None}),
    'no_perceptual': Ablation('w/o L_p', {_PERCEPTUAL: None}),
    'no_matching': Ablation('w/o L_m', {_MATCHING: None}),
    # The discriminator still learns, because feature matching reads its layers.
    'no_gan': Ablation('w/o L_GANg', {_GAN: dict(generator_weight=0.0)}),
    'no_task': Ablation('w/o L_Ftask', task=False),
    'no_feature': Ablation('w/o L_Frec', {_FEATURE: None}),
    'no_align': Ablation('w/o L_Falign', {_CLASSES: dict(align_weight=0.0)}),
    'no_inter': Ablation('w/o L_Finter', {_CLASSES: dict(inter_weight=0.0)}),
    'no_intra': Ablation('w/o L_Fintra', {_CLASSES: dict(intra_weight=0.0)}),
    # Table X
    'pixel_1': Ablation('Full-abla-pixel-I', {_PIXEL: dict(adv_guide='clean')}),
    'pixel_2': Ablation('Full-abla-pixel-II', _TRADITIONAL_GAN),
    'feature_1': Ablation('Full-abla-feature-I', {_FEATURE: dict(adv_guide='purified_clean')}),
    'feature_2': Ablation('Full-abla-feature-II', {_CLASSES: dict(guide='purified_clean')}),
    **{f'no_layer_{number}': Ablation(f'deleting layer {number}', layer=number) for number in range(1, 6)},
    # Table XI
    'weights_x0.1': Ablation('lambda x 0.1', factor=0.1),
    'weights_x10': Ablation('lambda x 10', factor=10.0),
}


def apply_ablation(config: Config) -> None:
    """Change the objective of a config as its key ``ablation`` says, and remove the key.

    The config that a run writes has the changed objective and no key, so that it can be trained again as it is.

    Args:
        config: complete, with a ``PurifierTrainHook``; changed in place. Without the key nothing happens.

    Raises:
        ValueError: for an unknown name, a config that trains no purifier, or an objective that has nothing of what
            the ablation changes.
    """
    name = config.pop(ABLATION, None)
    if name is None:
        return
    ablation = ABLATIONS.get(name)
    if ablation is None:
        raise UsageError(f'unknown ablation {name!r}; {did_you_mean(name, ABLATIONS)}')
    hooks = [hook for hook in config.get('custom_hooks') or () if builds(hook, 'PurifierTrainHook', HOOKS)]
    if not hooks:
        raise UsageError(f'ablation={name!r} changes the objective of a PurifierTrainHook, and the config has none')
    for hook in hooks:
        before = hook.to_dict()
        _change(hook, ablation, config)
        if hook.to_dict() == before and ablation != ABLATIONS['full']:
            terms = ', '.join(type_name(loss['type']) for loss in before.get('losses', ())) or 'no terms'
            raise UsageError(
                f'ablation={name!r} ({ablation.title}) changes nothing in an objective with {terms} and '
                f'task_weight={before.get("task_weight", 1.0)}: ablate an objective that has what it leaves out'
            )
    print_log(f'ablation {name!r}: the objective of {ablation.title!r}', 'current')


def _change(hook: ConfigDict, ablation: Ablation, config: Config) -> None:
    losses = []
    for loss in hook.get('losses') or ():
        kind = type_name(loss.type)
        changes = ablation.terms.get(kind, {})
        if changes is None:
            continue
        changed = ConfigDict({**loss.to_dict(), **changes})
        if kind == _MATCHING and ablation.layer is not None:
            changed.layers = _without_layer(changed, ablation.layer, config)
        if ablation.factor != 1:
            name = 'generator_weight' if kind == _GAN else 'loss_weight'
            changed[name] = ablation.factor * changed.get(name, 1.0)
        losses.append(changed)
    hook.losses = losses
    weight = ablation.factor * hook.get('task_weight', 1.0) if ablation.task else 0.0
    if weight != hook.get('task_weight', 1.0):
        hook.task_weight = weight


def _without_layer(loss: ConfigDict, number: int, config: Config) -> list[int]:
    layers = loss.get('layers')
    if layers is None:
        # All but the logits, as for FeatureMatchingLoss; D has two layers more than its num_layers.
        purifier = purifier_config(config) or {}
        layers = range((purifier.get('discriminator') or {}).get('num_layers', 3) + 1)
    if number - 1 not in layers:
        compared = ', '.join(str(layer + 1) for layer in layers)
        raise UsageError(
            f'the ablation leaves out layer {number} of the discriminator, but FeatureMatchingLoss compares layers '
            f'{compared}; the paper takes all five, layers=(0, 1, 2, 3, 4)'
        )
    return [layer for layer in layers if layer != number - 1]
