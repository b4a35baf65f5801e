"""Test defenses against attacks under several threat models, cell by cell, and write tables that can be traced.

CONFIG names a target, defenses, attacks and threat models (docs/robustness.md). Start an interrupted run again to
continue it.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from _common import UsageError, add_common_arguments, load_config, run
from mmengine.dist import barrier, is_main_process

from mmadvdefense.evaluation.grid.config import read_grid
from mmadvdefense.evaluation.grid.plan import plan_grid
from mmadvdefense.evaluation.grid.run_folder import RunFolder
from mmadvdefense.evaluation.grid.runner import Grid
from mmadvdefense.evaluation.report.grid_tables import terminal
from mmadvdefense.evaluation.report.markdown_section import check_section, update_section
from mmadvdefense.saving import write_json
from mmadvdefense.training.preparation import join_processes


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a config of configs/robustness')
    add_common_arguments(parser)
    parser.add_argument('--force', action='store_true', help='continue in the work directory of another configuration')
    parser.add_argument('--out', metavar='report.json', help='write the report there as well')
    parser.add_argument('--update', metavar='DOCUMENT.md', help='update the main tables of this grid in a document')
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    config = load_config(arguments)
    # Now, and not with the first runner: all processes must find the same cells finished.
    join_processes(arguments.launcher)
    if arguments.update:
        check_section(arguments.update, arguments.config)
    plan = plan_grid(read_grid(config, arguments.trust_checkpoint), config.work_dir, arguments.launcher)
    folder = RunFolder(config.work_dir)
    if is_main_process():
        try:
            folder.claim(arguments.config, plan.settings, arguments.force)
        except FileExistsError as error:
            raise UsageError(str(error)) from error
    barrier()
    grid = Grid(plan, folder, arguments.config, arguments.launcher)
    report = grid.run()
    if is_main_process():
        print(terminal(report))
        if arguments.out:
            write_json(arguments.out, report)
        # No tables with gaps in a document.
        if arguments.update and not grid.problems:
            own = ('--update', arguments.update, f'--update={arguments.update}', '--force')
            words = [word for word in sys.argv[1:] if word not in own]
            update_section(arguments.update, report, shlex.join(['python', 'tools/robustness.py', *words]))
        print(f'report: {Path(arguments.out or folder.path / "report.json")}; page: {folder.path / "report.html"}')
        if grid.problems:
            more = f', and {len(grid.problems) - 1} more' if len(grid.problems) > 1 else ''
            raise UsageError(
                f'{grid.problems[0]}{more}; the tracebacks are in {folder.path / "cells"} and the log; start the grid '
                'again to retry what failed'
            )


if __name__ == '__main__':
    run(main)
