"""Check which stock models can be protected: build and attack each, train a purifier for one iteration, and predict.

Models have random weights and images are synthetic, so nothing is downloaded. Without arguments, the list of
``mmadvdefense/testing/zoo_configs.py`` is checked: models of all three hosts, across their families.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

from _common import run

from mmadvdefense.testing.zoo import check_zoo
from mmadvdefense.testing.zoo_configs import zoo_configs
from mmadvdefense.testing.zoo_report import zoo_page, zoo_summary, zoo_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'configs',
        nargs='*',
        metavar='CONFIG',
        help="a path, or a host's name for it: mmdet::gfl/gfl_r50_fpn_1x_coco.py",
    )
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='size of the images; default: one that suits the model'
    )
    parser.add_argument('--out', type=Path, metavar='FILE.md', help='also write the results to this page')
    arguments = parser.parse_args()
    configs = arguments.configs or zoo_configs()
    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    checks = []
    for check in check_zoo(configs, arguments.size and tuple(arguments.size)):
        checks.append(check)
        state = 'works' if check.works else f'does not work: {check.problem}'
        print(f'[{len(checks)}/{len(configs)}] {check.config} ({check.seconds:.0f} s): {state}', flush=True)
    print(zoo_table(checks))
    if arguments.out:
        arguments.out.write_text(zoo_page(checks))
        print(f'page written to {arguments.out}')
    print(zoo_summary(checks))
    sys.exit(not all(check.works for check in checks))


if __name__ == '__main__':
    run(main)
