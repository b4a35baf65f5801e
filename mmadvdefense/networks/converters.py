"""Converters from the layer names of pix2pixHD, which the released Align checkpoints use."""

from __future__ import annotations

import re

from torch import Tensor

from ..errors import UsageError

_PREFIXES = ('module.', 'netG.', 'netD.')
_PARAMETERS = ('weight', 'bias')
_FIRST_DOWN = 4


def convert_pix2pixhd_generator(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of a pix2pixHD global generator, such as ``model.10.conv_block.1.weight``.

    Args:
        state_dict: theirs, with or without the prefixes ``module.`` and ``netG.``.

    Returns:
        A state dict for a ``GlobalGenerator`` with the numbers of down-samplings and blocks found in the names.

    Raises:
        ValueError: naming the first key that does not belong or is missing.
    """
    state_dict = _without_prefix(state_dict)
    blocks = _numbers(r'model\.(\d+)\.conv_block\.', state_dict)
    if blocks:
        num_downsamples = (blocks[0] - _FIRST_DOWN) // 3
        num_blocks = blocks[-1] - blocks[0] + 1
    else:
        # Apart from stem and head, every down-sampling is paired with an up-sampling.
        num_downsamples = (len(_numbers(r'model\.(\d+)\.', state_dict)) - 2) // 2
        num_blocks = 0
    return _rename(state_dict, _generator_layers(num_downsamples, num_blocks))


def convert_pix2pixhd_discriminator(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of a pix2pixHD multi-scale discriminator, such as ``scale0_layer0.0.weight``.

    pix2pixHD numbers the scales in reverse: the highest number belongs to the full resolution.

    Args:
        state_dict: theirs, with or without the prefixes ``module.`` and ``netD.``.

    Returns:
        A state dict for a ``MultiscaleDiscriminator`` with the numbers of scales and layers found in the names.

    Raises:
        ValueError: naming the first key that does not belong or is missing.
    """
    state_dict = _without_prefix(state_dict)
    num_scales = max(_numbers(r'scale(\d+)_layer', state_dict), default=0) + 1
    num_convs = max(_numbers(r'scale\d+_layer(\d+)\.', state_dict), default=0) + 1
    layers = {
        f'scale{num_scales - 1 - scale}_layer{layer}.0': f'scales.{scale}.layers.{layer}.0'
        for scale in range(num_scales)
        for layer in range(num_convs)
    }
    return _rename(state_dict, layers)


def _generator_layers(num_downsamples: int, num_blocks: int) -> dict[str, str]:
    """Map pix2pixHD layer names to ours. Theirs also number norms and activations, so a unit takes three numbers."""
    first_block = _FIRST_DOWN + 3 * num_downsamples
    first_up = first_block + num_blocks
    head = first_up + 3 * num_downsamples + 1
    layers = {'model.1': 'stem.0', f'model.{head}': 'head'}
    for index in range(num_downsamples):
        layers[f'model.{_FIRST_DOWN + 3 * index}'] = f'down.{index}.0'
        layers[f'model.{first_up + 3 * index}'] = f'up.{index}.0'
    for index in range(num_blocks):
        layers[f'model.{first_block + index}.conv_block.1'] = f'blocks.{index}.body.0'
        layers[f'model.{first_block + index}.conv_block.5'] = f'blocks.{index}.body.3'
    return layers


def _numbers(pattern: str, state_dict: dict[str, Tensor]) -> list[int]:
    return sorted({int(match[1]) for key in state_dict if (match := re.match(pattern, key))})


def _without_prefix(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip prefixes that all keys share, repeatedly, because they may be nested in either order."""
    while state_dict and (prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in state_dict)), None)):
        state_dict = {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return state_dict


def _rename(state_dict: dict[str, Tensor], layers: dict[str, str]) -> dict[str, Tensor]:
    names = {f'{theirs}.{p}': f'{ours}.{p}' for theirs, ours in layers.items() for p in _PARAMETERS}
    for key in state_dict:
        if key not in names:
            raise UsageError(f'{key!r} does not belong to the pix2pixHD layout of the other {len(state_dict) - 1} keys')
    for key in names:
        if key not in state_dict:
            raise UsageError(f'{key!r} is missing from the pix2pixHD layout of the {len(state_dict)} keys given')
    return {names[key]: value for key, value in state_dict.items()}
