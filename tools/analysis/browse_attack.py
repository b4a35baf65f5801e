"""Show what an attack does to the images of a data set: clean and adversarial with the model's predictions, and the
perturbation. One picture for each image, drawn by the host's visualizer, as MMDetection's browse_dataset draws.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from mmengine.config import Config

# This tool is in a folder of its own, as with the hosts.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from _images import load_images

from mmadvdefense.attacks import AttackSource, attack_names, attack_settings, build_attack
from mmadvdefense.checkpoints import load_target
from mmadvdefense.hooks.adversarial_visualization import PredictionDrawer, predict_in_input_frame
from mmadvdefense.models import build_model, unwrap
from mmadvdefense.pipelines import channel_order
from mmadvdefense.randomness import image_names
from mmadvdefense.tasks import annotations_in_input_frame, check_frame
from mmadvdefense.threats import ThreatModel
from mmadvdefense.threats.crafter import Crafter
from mmadvdefense.training.preparation import prepare_for_testing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', nargs='?', help="its weights (default: the config's load_from)")
    add_common_arguments(parser)
    parser.add_argument(
        '--attack',
        metavar='NAME_OR_CONFIG',
        default='PGD',
        help=f'one of {", ".join(attack_names())}, or a config file with attack=dict(...) (default: %(default)s)',
    )
    parser.add_argument('--eps', type=float, help='radius in pixels, 0-255 (default for PGD: 8)')
    parser.add_argument('--step-size', type=float, help='pixels, 0-255, per step (default for PGD: a quarter of eps)')
    parser.add_argument('--steps', type=int, help='number of steps (default for PGD: 10)')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='test', help='(default: %(default)s)')
    parser.add_argument('--num-images', type=int, default=16, help='spread over the data set (default: %(default)s)')
    parser.add_argument('--gain', type=float, default=10, help='factor of the perturbation (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the attack')
    return parser.parse_args()


def attack_config(arguments: argparse.Namespace) -> dict:
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


def main() -> None:
    import mmcv

    arguments = parse_arguments()
    settings = attack_config(arguments)
    attack = build_attack(settings)
    config = load_config(arguments)
    checkpoint = arguments.checkpoint or config.get('load_from')
    if not checkpoint:
        raise UsageError(f'give the checkpoint of {arguments.config} as the second argument')
    require_checkpoint(checkpoint, 'checkpoint', arguments.trust_checkpoint)
    prepare_for_testing(config)
    loader, number = load_images(config, arguments.split, arguments.num_images)
    model = unwrap(build_model(config)).eval()
    load_target(model, checkpoint, arguments.trust_checkpoint)
    source = AttackSource(model, channel_order=channel_order(loader.dataset))
    attack.check_source(source)
    if source.task.dense:
        check_frame(loader.dataset)
    crafter = Crafter(attack, source, settings, ThreatModel('gray-box'), seed=arguments.seed)
    drawer = PredictionDrawer(model, source.channel_order, loader.dataset.metainfo, arguments.gain)
    folder = Path(config.work_dir) / 'browse_attack'
    done = 0
    for batch in loader:
        samples = batch['data_samples']
        inputs = model.data_preprocessor.cast_data(batch['inputs'])
        clean = inputs.float() if isinstance(inputs, torch.Tensor) else [image.float() for image in inputs]
        prepared = source.task.in_input_frame(samples, annotations_in_input_frame(loader.dataset))
        adversarial = crafter(clean, prepared, image_names(batch['inputs'], samples)).images
        states = [predict_in_input_frame(model, images, samples, False) for images in (clean, adversarial)]
        for sample, images, predictions in zip(samples, zip(clean, adversarial), zip(*states)):
            name = Path(sample.get('img_path') or f'{done}').stem
            picture = drawer(images, predictions, images[0])
            mmcv.imwrite(picture[..., ::-1], str(folder / f'{done:04}_{name}.png'))
            done += 1
        print(f'{done} of {number} images', flush=True)
    print(f'{attack.describe()}: pictures of clean, adversarial and perturbation x {arguments.gain:g} in {folder}')


if __name__ == '__main__':
    run(main)
