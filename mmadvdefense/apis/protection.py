"""Putting a purifier in front of a model object."""

from __future__ import annotations

import copy
from typing import Any, Optional, Sequence, Union

from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import nn

from .. import compat
from ..errors import UsageError
from ..hosts import HOSTS
from ..models import unwrap
from ..purifiers import Purifier
from ..registry import MODELS
from ..zoo import SCHEME, zoo_entry
from .plain import ProtectedModule
from .settings import PurifierChoice, purifier_settings


def protect(
    model: nn.Module,
    purifier: Union[PurifierChoice, Purifier],
    mean: Optional[Sequence[float]] = None,
    std: Optional[Sequence[float]] = None,
    channel_order: Optional[str] = None,
    trained_on: Optional[str] = None,
) -> nn.Module:
    """Put a purifier in front of a model; the model itself is left as it is.

    Args:
        model: a model of MMPretrain, MMSegmentation or MMDetection, or any module that takes a batch of images
            ``(N, 3, H, W)``, such as a classifier of torchvision.
        purifier: see :func:`purifier_settings`; or a purifier that is built already, of which a copy is taken that
            shares its weights.
        mean: of the normalization that the inputs of a plain module have been through, for each channel and in pixels:
            0.485 in the units of torchvision is 123.675. Models of the hosts normalize images themselves.
        std: likewise; ``(255, 255, 255)`` with a mean of 0 for images in 0-1.
        channel_order: ``'rgb'`` or ``'bgr'``, of the images that the model will be given. By default it is what a
            host's preprocessor converts from, and ``'rgb'`` for a plain module.
        trained_on: channel order of the images that the purifier was trained on, if a plain module takes another one.
            By default it is that of the receipt for ``'zoo://NAME'``, and the same for others.

    Returns:
        A model of the same class that shares all weights with ``model``: inference APIs, attacks and tests take it in
        place of the model, and return what they do for the model. A plain module becomes a :class:`ProtectedModule`,
        which takes and returns what the module does. :func:`record_purified` shows what the purifier changes.

    Raises:
        UsageError: for an unknown purifier, one that does not suit the model, or normalization of a host model.
        mmadvdefense.errors.StateError: for a purifier that is untrained.
    """
    for name, order in (('channel_order', channel_order), ('trained_on', trained_on)):
        if order not in ('bgr', 'rgb', None):
            raise UsageError(f"{name} must be 'bgr' or 'rgb', got {order!r}")
    target = unwrap(model)
    if not isinstance(target, BaseModel):
        return _protect_module(model, purifier, mean, std, channel_order or 'rgb', trained_on)
    if mean is not None or std is not None or trained_on is not None:
        raise UsageError(
            f'{type(target).__name__} normalizes images itself, and its pipeline loads them: leave out mean, std and '
            'trained_on'
        )
    own = target.data_preprocessor
    native = own
    if isinstance(own, Purifier):
        native, channel_order = own.native, channel_order or own.channel_order
    return _with_child(target, 'data_preprocessor', _build(purifier, native, channel_order).to(native.device))


def as_host(
    model: nn.Module,
    mean: Sequence[float],
    std: Sequence[float],
    num_classes: Optional[int] = None,
    bgr_to_rgb: bool = False,
) -> BaseModel:
    """A plain classifier as a model of MMPretrain, which attacks, :func:`protect` and tests take.

    Args:
        model: maps normalized images ``(N, 3, H, W)`` to class scores ``(N, K)``; it is shared, not copied.
        mean: what the model's images are normalized with, for each channel and in pixels (0-255).
        std: likewise.
        num_classes: K; by default read off the last linear layer.
        bgr_to_rgb: whether images come in BGR, as OpenMMLab's pipelines load them, for a model that takes RGB.

    Returns:
        A model in eval mode whose ``test_step`` takes raw pixels, ``dict(inputs=(N, 3, H, W) in 0-255)``, and returns
        MMPretrain's data samples with ``pred_score`` ``(K,)`` and ``pred_label``.

    Raises:
        mmadvdefense.errors.DependencyError: if MMPretrain is not installed.
    """
    compat.require_host(next(host.scope for host in HOSTS.values() if not host.dense))
    from .plain_classifier import PlainClassifier

    native = MODELS.build({**_normalization(mean, std), 'bgr_to_rgb': bgr_to_rgb})
    return PlainClassifier(model, num_classes, native).to(next(model.parameters()).device).eval()


def _protect_module(
    model: nn.Module,
    purifier: Union[PurifierChoice, Purifier],
    mean: Optional[Sequence[float]],
    std: Optional[Sequence[float]],
    channel_order: str,
    trained_on: Optional[str],
) -> ProtectedModule:
    if mean is None or std is None:
        raise UsageError(
            f'{type(model).__name__} is not a model of {", ".join(HOSTS)}: give protect() the mean and std that its '
            'inputs are normalized with, in pixels (for images in 0-1: mean=(0, 0, 0), std=(255, 255, 255))'
        )
    if trained_on is None and isinstance(purifier, str) and purifier.startswith(SCHEME):
        trained_on = zoo_entry(purifier).get('channel_order')
    swap = trained_on not in (None, channel_order)
    # Behind the purifier, the channels go back to where the module expects them.
    native = MODELS.build({**_normalization(mean, std), 'bgr_to_rgb': swap})
    built = _build(purifier, native, trained_on or channel_order)
    built.checks_pixels = False
    return ProtectedModule(model, built, mean, std, swap).train(model.training)


def _normalization(mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    return dict(type='mmengine.ImgDataPreprocessor', mean=[float(v) for v in mean], std=[float(v) for v in std])


def _build(
    purifier: Union[PurifierChoice, Purifier], native: BaseDataPreprocessor, channel_order: Optional[str]
) -> Purifier:
    if isinstance(purifier, Purifier):
        built = _with_child(purifier, 'native', native)
    else:
        settings = purifier_settings(purifier)
        if channel_order is not None:
            settings.setdefault('channel_order', channel_order)
        built = MODELS.build({**settings, 'native_type': native})
    built.check_ready()
    return built.eval()


def _with_child(module: nn.Module, name: str, child: nn.Module) -> Any:
    """A copy of a module with another child of this name, which shares parameters and all other children with it."""
    copied = copy.copy(module)
    # A shallow copy has the same dicts of children and hooks as the module.
    vars(copied).update({key: copy.copy(value) for key, value in vars(module).items() if 'hooks' in key})
    vars(copied)['_modules'] = {**module._modules, name: child}
    return copied
