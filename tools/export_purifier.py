"""Write the generator of a trained purifier alone, to be put in front of another model, or deployed.

The default format is for this package:
``data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=OUT))``.
The others take images (N, 3, H, W) in 0-255 and return them purified or, with --with-model, their class scores; with
--precision, the generator in them computes in float16 or in 8 bits, and images stay float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _attack import add_attack_arguments, attack_config, craft, gray_box_crafter
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from _images import load_images
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmadvdefense.apis.deployment import FORMATS, PixelGenerator, ProtectedScores, export_module, load_exported
from mmadvdefense.apis.parity import check_outputs, check_reduced, compare_on, compare_outputs, smooth_noise
from mmadvdefense.apis.precision import PRECISIONS, check_precision, export_int8, of_shapes
from mmadvdefense.apis.settings import purifier_settings
from mmadvdefense.checkpoints import PREPROCESSOR, compare_state_dict, load_target, state_dict_of
from mmadvdefense.models import build_model
from mmadvdefense.purifiers import GeneratorPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.registry import type_name
from mmadvdefense.training.preparation import prepare_for_testing
from mmadvdefense.training.purifier_config import override_purifier, purifier_config

PREFIX = 'data_preprocessor.'
# Images, and as many attacked, that a file in int8 is compared on, and that its ranges are not taken from.
HELD_OUT = 4


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
    parser.add_argument(
        '--precision',
        choices=list(PRECISIONS),
        default='fp32',
        help='of the generator, in files for other software; int8 with --format onnx (default: %(default)s)',
    )
    parser.add_argument('--no-check', action='store_true', help='do not compare the file with what it was made of')
    int8 = parser.add_argument_group(
        'int8', 'images from which the ranges of activations are taken, clean and attacked'
    )
    int8.add_argument('--num-images', type=int, default=64, help='spread over the data set (default: %(default)s)')
    int8.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='(default: %(default)s)')
    add_attack_arguments(int8, ', on the model without a purifier, that the purifier is for')
    arguments = parser.parse_args()
    if arguments.num_images < 1:
        parser.error('--num-images must be at least 1')
    return arguments


def trained_purifier(config: Config, arguments: argparse.Namespace) -> GeneratorPurifier:
    """The purifier with the weights of the checkpoint, or of its own file."""
    settings = purifier_config(config)
    if settings is None:
        raise UsageError(f'{arguments.config} has no purifier: name one with --purifier FILE or --purifier zoo://NAME')
    purifier = MODELS.build(settings)
    if not isinstance(purifier, GeneratorPurifier):
        raise UsageError(f'{type(purifier).__name__} has no generator to export')
    if arguments.purifier is None:
        load_purifier(purifier, arguments.checkpoint)
    purifier.check_ready()
    return purifier.eval()


def load_purifier(purifier: GeneratorPurifier, path: str) -> None:
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    state = {
        name.removeprefix('module.').removeprefix(PREFIX): value
        for name, value in state_dict_of(checkpoint, path).items()
        if name.removeprefix('module.').startswith(PREFIX) and 'discriminator.' not in name
    }
    missing = compare_state_dict(purifier, state, ignore=('discriminator.',)).missing
    if missing:
        raise UsageError(f'{path} holds no purifier that fits the config: {PREFIX}{missing[0]} is missing')
    purifier.load_state_dict(state, strict=False)


def exported_modules(
    config: Config, purifier: GeneratorPurifier, arguments: argparse.Namespace
) -> tuple[nn.Module, nn.Module]:
    """What the file must compute, and what is written into it."""
    half = arguments.precision == 'fp16'
    if not arguments.with_model:
        return PixelGenerator(purifier).eval(), PixelGenerator(purifier, half).eval()
    model = load_model(config, arguments)
    model.data_preprocessor = purifier
    return ProtectedScores(model).eval(), ProtectedScores(model, half).eval()


def load_model(config: Config, arguments: argparse.Namespace) -> nn.Module:
    model = build_model(config)
    load_target(model, arguments.checkpoint, arguments.trust_checkpoint, PREPROCESSOR)
    return model.eval()


def data_images(config: Config, arguments: argparse.Namespace) -> tuple[list[Tensor], list[Tensor]]:
    """Images of the config's data, clean and attacked, to take ranges from and held out; ``(3, H, W)``, in 0-255.

    Adversarial images drive activations beyond the ranges of clean ones, where a file that knows only these clips them.
    """
    settings = attack_config(arguments)
    loader, number = load_images(config, arguments.split, arguments.num_images + HELD_OUT)
    if number <= HELD_OUT:
        raise UsageError(f'int8 needs more than {HELD_OUT} images, and the {arguments.split} split has {number}')
    crafter = gray_box_crafter(load_model(config, arguments), loader.dataset, settings)
    pairs = [pair for batch in loader for pair in zip(*craft(crafter, loader.dataset, batch))]
    # They may be sorted by class.
    chosen = range(0, number, number // HELD_OUT)[:HELD_OUT]
    ranges = [image for index, pair in enumerate(pairs) if index not in chosen for image in pair]
    return ranges, [image for index in chosen for image in pairs[index]]


def shapes(arguments: argparse.Namespace) -> list[tuple[int, int, int]]:
    """The batches that the file is tested with."""
    numbers = [arguments.batch_size] * 3 if arguments.batch_size else [1, 3, 2]
    sizes = [tuple(arguments.size)] * 3 if arguments.size else [(32, 32), (61, 75), (96, 128)]
    return [(number, *size) for number, size in zip(numbers, sizes)]


def check_file(expected: nn.Module, arguments: argparse.Namespace, images: list[Tensor]) -> None:
    """Print how far the file is from the module, and fail if that is too far."""
    run_file = load_exported(Path(arguments.out), arguments.format)
    if arguments.precision == 'fp32':
        parity = compare_outputs(expected, run_file, shapes(arguments), arguments.with_model)
        print(parity)
        return check_outputs(parity)
    # On images unlike those that its ranges were taken from, a file in int8 clips.
    batches = of_shapes(images, shapes(arguments)) if images else smooth_noise(shapes(arguments))
    parity = compare_on(expected, run_file, batches, arguments.with_model)
    print(f'{arguments.precision}: {parity}')
    check_reduced(parity, PRECISIONS[arguments.precision])


def main() -> None:
    arguments = parse_arguments()
    if arguments.format == 'pth' and (arguments.with_model or arguments.size or arguments.batch_size):
        raise UsageError(f'--with-model, --size and --batch-size are for --format {", ".join(FORMATS)}')
    check_precision(arguments.precision, arguments.format, arguments.with_model)
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
    expected, module = exported_modules(config, purifier, arguments)
    out, held_out = Path(arguments.out), []
    if arguments.precision == 'int8':
        images, held_out = data_images(config, arguments)
        export_int8(module, out, images, arguments.size, arguments.batch_size)
    else:
        export_module(module, out, arguments.format, arguments.size, arguments.batch_size)
    print(f'{name}{" and the model behind it" if arguments.with_model else ""} written to {arguments.out}')
    if not arguments.no_check:
        check_file(expected, arguments, held_out)


if __name__ == '__main__':
    run(main)
