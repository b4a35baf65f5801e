"""Distributed training of a purifier in front of a frozen model."""

from __future__ import annotations

from typing import Optional, Sequence

from mmengine.dist import all_reduce_params
from mmengine.model import MMDistributedDataParallel
from torch import nn

from ...registry import MODEL_WRAPPERS
from .generator import GeneratorPurifier


def freeze_target(model: nn.Module) -> None:
    """Disable gradients and set eval mode in a host model, except for its purifier."""
    for name, child in model.named_children():
        if name != 'data_preprocessor':
            child.requires_grad_(False).eval()
    # A host may have parameters outside its submodules.
    for parameter in model.parameters(recurse=False):
        parameter.requires_grad_(False)


def share_statistics(model: nn.Module) -> None:
    """Average BatchNorm statistics over all ranks, so that they evaluate and save the same generator."""
    purifier = model.data_preprocessor
    if isinstance(purifier, GeneratorPurifier):
        all_reduce_params([own for own in purifier.generator.buffers() if own.is_floating_point()], op='mean')


@MODEL_WRAPPERS.register_module()
class PurifierDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper with the target frozen beforehand: the gradient reducer is created in the constructor, before
    any hook runs, and would otherwise wait for the target's gradients forever.

    Set by ``tools/train.py --launcher``; otherwise set
    ``model_wrapper_cfg=dict(type='PurifierDistributedDataParallel')``.
    """

    def __init__(self, module: nn.Module, device_ids: Optional[Sequence[int]] = None, **kwargs):
        freeze_target(module)
        on_cpu = next(module.parameters()).device.type == 'cpu'
        # Nor may a discriminator that the objective does not use stall the reducer.
        kwargs.setdefault('find_unused_parameters', True)
        kwargs.setdefault('broadcast_buffers', False)
        super().__init__(module=module, device_ids=None if on_cpu else device_ids, **kwargs)
