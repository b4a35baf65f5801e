"""Gray-box attacks of the command line, for tools that need adversarial images and no test."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch
from _common import UsageError, pixels
from mmengine.config import Config
from torch import nn

from mmadvdefense.attacks import AttackSource, attack_names, attack_settings, build_attack
from mmadvdefense.pipelines import channel_order
from mmadvdefense.pixels import Pixels
from mmadvdefense.randomness import image_names
from mmadvdefense.tasks import annotations_in_input_frame, check_frame
from mmadvdefense.threats import ThreatModel
from mmadvdefense.threats.crafter import Crafter


def add_attack_arguments(parser, purpose: str = '') -> None:
    """Flags that :func:`attack_config` reads.

    Args:
        parser: gets them; a parser of argparse, or a group of its arguments.
        purpose: what the attack is for, at the end of the help on ``--attack``.
    """
    names = f'one of {", ".join(attack_names())}, or a config file with attack=dict(...)'
    parser.add_argument(
        '--attack', metavar='NAME_OR_CONFIG', default='PGD', help=f'{names}{purpose} (default: %(default)s)'
    )
    parser.add_argument('--eps', type=pixels, help='radius in pixels, 0-255 (default for PGD: 8)')
    parser.add_argument('--step-size', type=pixels, help='pixels, 0-255, per step (default for PGD: a quarter of eps)')
    parser.add_argument('--steps', type=int, help='number of steps (default for PGD: 10)')


def attack_config(arguments: Namespace) -> dict:
    """The attack of the command line: a name or a config file, overridden by the other flags."""
    given = {name: getattr(arguments, name) for name in ('eps', 'step_size', 'steps')}
    given = {name: value for name, value in given.items() if value is not None}
    if not arguments.attack.endswith('.py'):
        eps = given.get('eps', 8.0)
        defaults = dict(eps=eps, step_size=eps / 4, steps=10) if arguments.attack == 'PGD' else {}
        return dict(type=arguments.attack, **{**defaults, **given})
    if not Path(arguments.attack).exists():
        raise UsageError(f'attack config not found: {arguments.attack}')
    loaded = Config.fromfile(arguments.attack)
    if 'attack' not in loaded:
        raise UsageError(f'{arguments.attack} defines no attack=dict(type=...)')
    return attack_settings({**loaded.attack, **given})


def gray_box_crafter(model: nn.Module, dataset, settings: dict, seed: int = 0) -> Crafter:
    """What attacks images of a data set on a model in eval mode, without a purifier that it may have."""
    attack = build_attack(settings)
    source = AttackSource(model, channel_order=channel_order(dataset))
    attack.check_source(source)
    if source.task.dense:
        check_frame(dataset)
    return Crafter(attack, source, settings, ThreatModel('gray-box'), seed=seed)


def craft(crafter: Crafter, dataset, batch: dict) -> tuple[Pixels, Pixels]:
    """Clean and adversarial images in 0-255 of a batch of the data set's loader, in the form in which it has them."""
    source, samples = crafter.source, batch['data_samples']
    inputs = source.model.data_preprocessor.cast_data(batch['inputs'])
    clean = inputs.float() if isinstance(inputs, torch.Tensor) else [image.float() for image in inputs]
    prepared = source.task.in_input_frame(samples, annotations_in_input_frame(dataset))
    return clean, crafter(clean, prepared, image_names(batch['inputs'], samples)).images
