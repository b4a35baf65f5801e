"""Denoising blocks in any backbone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.model import ModuleDict
from torch import Tensor, nn

from ..errors import UsageError
from ..models import find_layer
from ..registry import MODELS
from .denoising_block import DenoisingBlock

# The blocks' attribute in the backbone, and therefore their prefix in checkpoints.
BLOCKS = 'denoising'


@MODELS.register_module(name='DenoisingBackbone')
def build_denoising_backbone(
    backbone: dict,
    after: str | Sequence[str] = 'stages',
    kind: str = 'nonlocal_embedded',
    input_size: Sequence[int] = (64, 64),
) -> nn.Module:
    """A backbone whose layers are followed by denoising blocks (Xie et al., CVPR 2019).

    The result is an instance of the backbone itself, with its type, layers and weight names unchanged: checkpoints of
    the plain backbone load, and the output is unchanged until the blocks are trained. The blocks are registered as the
    submodule ``denoising``.

    Args:
        backbone: config of the backbone.
        after: ``'stages'`` of a ResNet (the paper's four blocks), its residual ``'blocks'``, or names of layers of the
            backbone whose output is a feature map ``(N, C, H, W)``.
        kind: of :class:`DenoisingBlock`.
        input_size: height and width of an input that the backbone accepts, used to determine the channels of its
            layers.

    Raises:
        ValueError: for a layer that the backbone does not have (the message suggests similar names), that is not called
            as a module, or whose output is not a feature map.
    """
    network = MODELS.build(dict(backbone))
    names = _stages(network, after) if isinstance(after, str) else list(dict.fromkeys(after))
    channels = _channels(network, names, input_size)
    blocks = {name.replace('.', '_'): DenoisingBlock(channels[name], kind) for name in names}
    network.add_module(BLOCKS, ModuleDict(blocks))
    for name, block in zip(names, blocks.values()):
        # Inserting layers would rename the others, and hosts index into sequential containers.
        network.get_submodule(name).register_forward_hook(partial(_denoise, block))
    return network


def _denoise(block: DenoisingBlock, layer: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    return block(output)


def _stages(network: nn.Module, after: str) -> list[str]:
    if after not in ('stages', 'blocks'):
        raise UsageError(f"after must be 'stages', 'blocks' or a list of layers, got {after!r}")
    stages = [name for name, _ in network.named_children() if re.fullmatch(r'layer\d+', name)]
    if not stages:
        children = ', '.join(name for name, _ in network.named_children())
        raise UsageError(
            f'{type(network).__name__} has no stages layer1, layer2, ... like a ResNet; name its layers with '
            f'after=[...]; its children are {children}'
        )
    if after == 'stages':
        return stages
    return [f'{stage}.{name}' for stage in stages for name, _ in network.get_submodule(stage).named_children()]


def _channels(network: nn.Module, names: Sequence[str], input_size: Sequence[int]) -> dict[str, int]:
    """Number of channels of each layer's output, found by a forward pass on one image."""
    shapes: dict[str, tuple] = {}
    handles = []
    for name in names:
        handles.append(find_layer(network, name).register_forward_hook(partial(_note_shape, shapes, name)))
    # Eval mode preserves BatchNorm statistics; flags are restored one by one, because some backbones override train().
    training = [module for module in network.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.no_grad():
            network(next(network.parameters()).new_zeros(1, 3, *input_size))
    finally:
        for module in training:
            module.training = True
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in shapes:
            raise UsageError(
                f'{type(network).__name__} never calls its layer {name!r} as a module; name a layer inside it'
            )
        if len(shapes[name]) != 4:
            raise UsageError(f'the output of layer {name!r} is not a feature map (N, C, H, W) but {shapes[name]}')
    return {name: shape[1] for name, shape in shapes.items()}


def _note_shape(shapes: dict, name: str, layer: nn.Module, inputs: tuple, output) -> None:
    shapes[name] = tuple(output.shape) if isinstance(output, Tensor) else (type(output).__name__,)
