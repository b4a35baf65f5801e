"""Convert a checkpoint from another code base into one that OpenMMLab configs load.

Example::

    python tools/convert_checkpoint.py cifar_resnet resnet20.pth checkpoints/resnet20_cifar10.pth
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmadvdefense import __version__
from mmadvdefense.saving import save_file_atomically

StateDict = dict[str, Tensor]


def convert_cifar_resnet(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Convert a CIFAR ResNet of He et al. with option-A shortcuts to an ``ImageClassifier`` with a ``CIFARResNet``.

    Args:
        state_dict: keys ``conv1``, ``bn1``, ``layer{1,2,3}.{i}.{conv1,bn1,conv2,bn2}`` and ``linear``.

    Raises:
        ValueError: if keys or shapes are not those of such a network.
    """
    from mmadvdefense.networks.cifar_resnet import CIFARResNet

    rest = dict(state_dict)
    head = {f'head.fc.{name}': rest.pop(f'linear.{name}', None) for name in ('weight', 'bias')}
    weight, bias = head.values()
    if weight is None or bias is None or weight.dim() != 2 or weight.shape[1] != 64 or bias.shape != weight.shape[:1]:
        raise ValueError('no linear layer with 64 inputs (linear.weight, linear.bias)')
    num_blocks = len({match[1] for key in rest if (match := re.match(r'layer1\.(\d+)\.', key))})
    if not num_blocks:
        raise ValueError('no residual blocks (layer1.0.*)')
    backbone = CIFARResNet(depth=6 * num_blocks + 2)
    try:
        backbone.load_state_dict(rest, strict=True)
    except RuntimeError as error:
        raise ValueError(f'not a CIFAR ResNet-{6 * num_blocks + 2}: {error}') from error
    return {**{f'backbone.{key}': value for key, value in backbone.state_dict().items()}, **head}


def convert_rfbnet300(state_dict: Mapping[str, Tensor]) -> StateDict:
    """Convert the authors' RFBNet300 with a VGG-16 trunk to the detector of ``configs/_base_/models/rfbnet300.py``.

    Their class 0 is the background, which MMDetection puts last, and their trunk takes BGR images.

    Args:
        state_dict: keys ``base``, ``Norm``, ``extras``, ``loc`` and ``conf``.

    Raises:
        ValueError: if keys or shapes are not those of such a network, or MMDetection, which knows them, is missing.
    """
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mmadvdefense.compat import require_host
    from mmadvdefense.training.recipes import CONFIGS

    try:
        require_host('mmdet')
    except ImportError as error:
        raise ValueError(str(error)) from error
    from mmdet.registry import MODELS

    if 'conf.0.weight' not in state_dict or 'base.0.weight' not in state_dict:
        raise ValueError('no trunk and no class scores (base.0.weight, conf.0.weight)')
    num_anchors = 6
    num_scores = len(state_dict['conf.0.weight']) // num_anchors
    ours = {}
    for key, value in state_dict.items():
        if key == 'base.0.weight':
            value = value.flip(1)
        elif key.startswith('conf.') and num_scores and len(value) % num_scores == 0:
            value = value.unflatten(0, (-1, num_scores)).roll(-1, 1).flatten(0, 1)
        for pattern, name in _RFBNET_NAMES:
            key = re.sub(pattern, name, key)
        ours[key] = value
    model = Config.fromfile(CONFIGS / '_base_/models/rfbnet300.py').model
    model.bbox_head.num_classes = num_scores - 1
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(model)
    try:
        detector.load_state_dict(ours, strict=True)
    except RuntimeError as error:
        raise ValueError(f'not an RFBNet300 with {num_scores - 1} classes: {error}') from error
    return detector.state_dict()


_RFBNET_NAMES = (
    (r'^base\.', 'backbone.features.'),
    (r'^Norm\.', 'neck.rfb_a.'),
    (r'^extras\.', 'neck.extras.'),
    (r'\.branch(\d)\.', r'.branches.\1.'),
    (r'\.ConvLinear\.', '.fuse.'),
    (r'^loc\.(\d)\.', r'bbox_head.reg_convs.\1.0.'),
    (r'^conf\.(\d)\.', r'bbox_head.cls_convs.\1.0.'),
)


def convert_pix2pixhd_generator(state_dict: Mapping[str, Tensor]) -> StateDict:
    """See :func:`mmadvdefense.networks.converters.convert_pix2pixhd_generator`."""
    from mmadvdefense.networks import converters

    return converters.convert_pix2pixhd_generator(dict(state_dict))


def convert_pix2pixhd_discriminator(state_dict: Mapping[str, Tensor]) -> StateDict:
    """See :func:`mmadvdefense.networks.converters.convert_pix2pixhd_discriminator`."""
    from mmadvdefense.networks import converters

    return converters.convert_pix2pixhd_discriminator(dict(state_dict))


# A converter takes a state dict and raises ValueError where the layout does not fit.
CONVERTERS: dict[str, Callable[[Mapping[str, Tensor]], StateDict]] = {
    'cifar_resnet': convert_cifar_resnet,
    'rfbnet300': convert_rfbnet300,
    'pix2pixhd_generator': convert_pix2pixhd_generator,
    'pix2pixhd_discriminator': convert_pix2pixhd_discriminator,
}


def load_state_dict(path: Path) -> StateDict:
    """Read a bare state dict, or one under ``state_dict``, and drop the ``module.`` that ``DataParallel`` adds.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not a checkpoint, needs arbitrary code to load, or holds anything but tensors.
    """
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # on a broken file the unpickler raises nearly anything
        raise ValueError(f'not a checkpoint of plain tensors ({type(error).__name__})') from error
    state_dict = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else checkpoint
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise ValueError('it has no state dict')
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state_dict.items()):
        raise ValueError('its state dict holds more than named tensors')
    return {key.removeprefix('module.'): value for key, value in state_dict.items()}


def _one_line(error: BaseException) -> str:
    """The message in one line; PyTorch's have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first line of load_state_dict only names the class; the second says what is wrong.
    message = ' '.join(lines[:2]) or type(error).__name__
    return message if len(message) <= 300 else f'{message[:297]}...'


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 after one line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('kind', choices=CONVERTERS, help='what the checkpoint holds')
    parser.add_argument('src', type=Path, help='checkpoint to read')
    parser.add_argument('dst', type=Path, help='checkpoint to write')
    args = parser.parse_args(argv)
    try:
        state_dict = CONVERTERS[args.kind](load_state_dict(args.src))
    except OSError as error:
        print(f'error: {error.filename or args.src}: {error.strerror or error}', file=sys.stderr)
        return 2
    except ValueError as error:
        print(f'error: {args.src} as {args.kind}: {_one_line(error)}', file=sys.stderr)
        return 2
    meta = dict(converted_from=args.src.name, kind=args.kind, mmadvdefense_version=__version__)
    try:
        save_file_atomically(args.dst, lambda file: torch.save(dict(state_dict=state_dict, meta=meta), file))
    except OSError as error:
        print(f'error: {error.strerror}', file=sys.stderr)
        return 2
    print(f'{args.dst}: {len(state_dict)} tensors')
    return 0


if __name__ == '__main__':
    sys.exit(main())
