"""Write the generator of a trained purifier alone, to be put in front of another model, or deployed.

The default format is for this package:
``data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=OUT))``.
The others take images (N, 3, H, W) in 0-255 and return them purified or, with --with-model, their class scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mmadvdefense.apis.deployment import FORMATS, PixelGenerator, ProtectedScores, export_module, load_exported
from mmadvdefense.apis.parity import check_outputs, compare_outputs
from mmadvdefense.apis.settings import purifier_settings
from mmadvdefense.checkpoints import PREPROCESSOR, compare_state_dict, load_target, state_dict_of
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import GeneratorPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.registry import type_name
from mmadvdefense.training.preparation import prepare_for_testing
from mmadvdefense.training.purifier_config import override_purifier, purifier_config

PREFIX = 'data_preprocessor.'


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that the purifier was trained with')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('out', help='file to write')
    add_common_arguments(parser)
    parser.add_argument(
        '--format',
        choices=['pth', *FORMATS],
        default='pth',
        help='of the file (default: %(default)s, for this package)',
    )
    parser.add_argument(
        '--purifier',
        metavar='FILE',
        help="a file of this tool or zoo://NAME, instead of the checkpoint's; the checkpoint is then that of the model",
    )
    parser.add_argument('--with-model', action='store_true', help='with the model behind it, a classifier or segmentor')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='of all images (default: any size)')
    parser.add_argument('--batch-size', type=int, metavar='N', help='of all batches (default: any number of images)')
    parser.add_argument('--no-check', action='store_true', help='do not compare the file with what it was made of')
    return parser.parse_args()


def trained_purifier(config: Config, arguments: argparse.Namespace) -> GeneratorPurifier:
    """The purifier with the weights of the checkpoint, or of its own file."""
    settings = purifier_config(config)
    if settings is None:
        raise UsageError(f'{arguments.config} has no purifier')
    purifier = MODELS.build(settings)
    if not isinstance(purifier, GeneratorPurifier):
        raise UsageError(f'{type(purifier).__name__} has no generator to export')
    if arguments.purifier is None:
        load_purifier(purifier, arguments.checkpoint)
    purifier.check_ready()
    return purifier.eval()


def load_purifier(purifier: GeneratorPurifier, path: str) -> None:
    checkpoint = torch.load(path, map_location='cpu')
    state = {
        name.removeprefix('module.').removeprefix(PREFIX): value
        for name, value in state_dict_of(checkpoint, path).items()
        if name.removeprefix('module.').startswith(PREFIX) and 'discriminator.' not in name
    }
    missing = compare_state_dict(purifier, state, ignore=('discriminator.',)).missing
    if missing:
        raise UsageError(f'{path} holds no purifier that fits the config: {PREFIX}{missing[0]} is missing')
    purifier.load_state_dict(state, strict=False)


def exported_module(config: Config, purifier: GeneratorPurifier, arguments: argparse.Namespace) -> nn.Module:
    if not arguments.with_model:
        return PixelGenerator(purifier).eval()
    model = build_model(config)
    load_target(model, arguments.checkpoint, arguments.trust_checkpoint, PREPROCESSOR)
    model.data_preprocessor = purifier
    return ProtectedScores(model.eval()).eval()


def shapes(arguments: argparse.Namespace) -> list[tuple[int, int, int]]:
    """The batches that the file is tested with."""
    numbers = [arguments.batch_size] * 3 if arguments.batch_size else [1, 3, 2]
    sizes = [tuple(arguments.size)] * 3 if arguments.size else [(32, 32), (61, 75), (96, 128)]
    return [(number, *size) for number, size in zip(numbers, sizes)]


def main() -> None:
    arguments = parse_arguments()
    if arguments.format == 'pth' and (arguments.with_model or arguments.size or arguments.batch_size):
        raise UsageError(f'--with-model, --size and --batch-size are for --format {", ".join(FORMATS)}')
    require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    config = load_config(arguments)
    if arguments.purifier is not None:
        override_purifier(config, purifier_settings(arguments.purifier))
    prepare_for_testing(config)
    purifier = trained_purifier(config, arguments)
    parameters = sum(parameter.numel() for parameter in purifier.generator.parameters())
    name = f'{type_name(purifier.generator_config["type"])} with {parameters:,} parameters'
    if arguments.format == 'pth':
        save_purifier_export(purifier.export(), arguments.out)
        print(f'{name} written to {arguments.out}')
        return
    module = exported_module(config, purifier, arguments)
    out = Path(arguments.out)
    export_module(module, out, arguments.format, arguments.size, arguments.batch_size)
    print(f'{name}{" and the model behind it" if arguments.with_model else ""} written to {arguments.out}')
    if not arguments.no_check:
        parity = compare_outputs(module, load_exported(out, arguments.format), shapes(arguments), arguments.with_model)
        print(parity)
        check_outputs(parity)


if __name__ == '__main__':
    run(main)
