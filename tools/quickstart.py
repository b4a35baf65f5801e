"""Attack a model, fit a purifier to it in a few minutes, and show what it is worth: a table and one HTML page.

    python tools/quickstart.py CONFIG CHECKPOINT --minutes 5

CONFIG is any config of MMPretrain, MMSegmentation or MMDetection whose data is there. The numbers are those of an
attacker who does not know the purifier (gray-box) and of one who does (adaptive): a defense is worth the lower one.
"""

from __future__ import annotations

import argparse

from _common import SettingsAction, run

from mmadvdefense.apis.quickstart import Quickstart
from mmadvdefense.evaluation.report.grid_tables import terminal


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--minutes', type=float, default=5, help='how long to fit; attacks come on top (default: 5)')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help="for classifiers: images to use instead of the config's data, in a folder for each class, or without "
        "folders, where the model's own predictions are the ground truth",
    )
    parser.add_argument('--num-images', type=int, help='test images to attack (default: 8 to 200, as time allows)')
    parser.add_argument('--work-dir', help='where everything goes (default: work_dirs/quickstart/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SettingsAction, help='override settings of the config: key=value'
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load checkpoints that hold more than weights and plain data; loading them can run any code in them',
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    quickstart = Quickstart(
        arguments.config,
        arguments.checkpoint,
        minutes=arguments.minutes,
        images=arguments.images,
        work_dir=arguments.work_dir,
        num_images=arguments.num_images,
        overrides=arguments.cfg_options,
        trust_checkpoint=arguments.trust_checkpoint,
    )
    print(terminal(quickstart.run()))


if __name__ == '__main__':
    run(main)
