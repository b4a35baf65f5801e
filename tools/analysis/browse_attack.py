"""Show what an attack does to the images of a data set: clean and adversarial with the model's predictions, and the
perturbation. One picture for each image, drawn by the host's visualizer, as MMDetection's browse_dataset draws.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# This tool is in a folder of its own, as with the hosts.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _attack import add_attack_arguments, attack_config, craft, gray_box_crafter
from _common import UsageError, add_common_arguments, load_config, require_checkpoint, run
from _images import load_images

from mmadvdefense.attacks import build_attack
from mmadvdefense.checkpoints import load_target
from mmadvdefense.hooks.adversarial_visualization import PredictionDrawer, predict_in_input_frame
from mmadvdefense.models import build_model, unwrap
from mmadvdefense.training.preparation import prepare_for_testing


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', nargs='?', help="its weights (default: the config's load_from)")
    add_common_arguments(parser)
    add_attack_arguments(parser)
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='test', help='(default: %(default)s)')
    parser.add_argument('--num-images', type=int, default=16, help='spread over the data set (default: %(default)s)')
    parser.add_argument('--gain', type=float, default=10, help='factor of the perturbation (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the attack')
    return parser.parse_args()


def main() -> None:
    import mmcv

    arguments = parse_arguments()
    settings = attack_config(arguments)
    attack = build_attack(settings)  # refuses settings before any work
    config = load_config(arguments)
    checkpoint = arguments.checkpoint or config.get('load_from')
    if not checkpoint:
        raise UsageError(f'give the checkpoint of {arguments.config} as the second argument')
    require_checkpoint(checkpoint, 'checkpoint', arguments.trust_checkpoint)
    prepare_for_testing(config)
    loader, number = load_images(config, arguments.split, arguments.num_images)
    model = unwrap(build_model(config)).eval()
    load_target(model, checkpoint, arguments.trust_checkpoint)
    crafter = gray_box_crafter(model, loader.dataset, settings, arguments.seed)
    drawer = PredictionDrawer(model, crafter.source.channel_order, loader.dataset.metainfo, arguments.gain)
    folder = Path(config.work_dir) / 'browse_attack'
    done = 0
    for batch in loader:
        samples = batch['data_samples']
        clean, adversarial = craft(crafter, loader.dataset, batch)
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
