"""Write the generator of a trained purifier alone, to be put in front of another model.

Use the file with ``data_preprocessor=dict(type='AlignPurifier', init_cfg=dict(type='Pretrained', checkpoint=OUT))``.
"""

from __future__ import annotations

import argparse

import torch
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from mmengine.registry import MODELS

from mmadvdefense.checkpoints import compare_state_dict, state_dict_of
from mmadvdefense.purifiers import GeneratorPurifier
from mmadvdefense.purifiers.trained.export import save_purifier_export
from mmadvdefense.registry import type_name
from mmadvdefense.training.preparation import prepare_for_testing
from mmadvdefense.training.purifier_config import purifier_config

PREFIX = 'data_preprocessor.'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config that the purifier was trained with')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('out', help='file to write')
    add_common_arguments(parser)
    arguments = parser.parse_args()
    require_checkpoint(arguments.checkpoint, 'checkpoint', arguments.trust_checkpoint)
    config = load_config(arguments)
    prepare_for_testing(config)
    settings = purifier_config(config)
    if settings is None:
        raise UsageError(f'{arguments.config} has no purifier')
    purifier = MODELS.build(settings)
    if not isinstance(purifier, GeneratorPurifier):
        raise UsageError(f'{type(purifier).__name__} has no generator to export')
    checkpoint = torch.load(arguments.checkpoint, map_location='cpu')
    state = {
        name.removeprefix('module.').removeprefix(PREFIX): value
        for name, value in state_dict_of(checkpoint, arguments.checkpoint).items()
        if name.removeprefix('module.').startswith(PREFIX) and 'discriminator.' not in name
    }
    missing = compare_state_dict(purifier, state, ignore=('discriminator.',)).missing
    if missing:
        raise UsageError(
            f'{arguments.checkpoint} holds no purifier that fits the config: {PREFIX}{missing[0]} is missing'
        )
    purifier.load_state_dict(state, strict=False)
    purifier.check_ready()
    save_purifier_export(purifier.export(), arguments.out)
    parameters = sum(parameter.numel() for parameter in purifier.generator.parameters())
    print(f'{type_name(purifier.generator_config["type"])} with {parameters:,} parameters written to {arguments.out}')


if __name__ == '__main__':
    run(main)
