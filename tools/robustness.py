"""Test defenses against attacks under several threat models, cell by cell, and write tables that can be traced.

CONFIG names a target, defenses, attacks and threat models (docs/robustness.md). Start an interrupted run again to
continue it. Cells are independent: --list-cells and --cell spread them over processes and machines that share the
work directory (docs/many_machines.md); a run without them then collects the results and writes the report.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Optional

from _common import UsageError, add_common_arguments, load_config, run
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process

from mmadvdefense.evaluation.grid.config import GridConfig, read_grid
from mmadvdefense.evaluation.grid.plan import Cell, GridPlan, plan_grid
from mmadvdefense.evaluation.grid.protocol import MissingFile, at_scale, filled, missing_files, without_missing
from mmadvdefense.evaluation.grid.run_folder import RunFolder
from mmadvdefense.evaluation.grid.runner import Grid
from mmadvdefense.evaluation.report.grid_tables import terminal
from mmadvdefense.evaluation.report.markdown_section import check_section, update_section
from mmadvdefense.saving import write_json
from mmadvdefense.training.preparation import join_processes


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a grid: a config of configs/robustness, or your own (docs/robustness.md)')
    add_common_arguments(parser)
    parser.add_argument('--scale', metavar='NAME', help='run the grid at another scale of its config, such as small')
    parser.add_argument(
        '--skip-missing',
        action='store_true',
        help='leave out defenses and attackers whose weights are not there, instead of ending',
    )
    parser.add_argument('--force', action='store_true', help='continue in the work directory of another configuration')
    parser.add_argument('--out', metavar='report.json', help='write the report there as well')
    parser.add_argument('--update', metavar='DOCUMENT.md', help='update the main tables of this grid in a document')
    cells = parser.add_mutually_exclusive_group()
    cells.add_argument(
        '--list-cells',
        action='store_true',
        help='only print the cells, one per line, separated by tabs: number, defense, threat model, attack, and '
        "'done', 'open', 'failed' or 'cannot run'",
    )
    cells.add_argument(
        '--cell', type=int, metavar='I', help='run only the cell with this number, and leave the report to a full run'
    )
    arguments = parser.parse_args()
    if (arguments.list_cells or arguments.cell is not None) and (arguments.out or arguments.update):
        parser.error('--out and --update need all cells: give them to the run that collects the results')
    return arguments


def present(config: Config, skip: bool) -> Config:
    """The config, if everything that it needs is there; otherwise say what to get and where it goes."""
    missing = missing_files(config)
    # Other grids are read first, see read_present.
    if not missing or not (skip or config.get('published')):
        return config
    problem = list_missing(config, missing, skip)
    rest = without_missing(config, missing)
    if skip and rest is not None:
        return rest
    raise problem


def list_missing(config: Config, missing: list[MissingFile], skip: bool) -> UsageError:
    """Print which files are missing and how to get them."""
    listed = {file.path: file for file in reversed(missing)}
    print('\n'.join(map(str, reversed(listed.values()))))
    nothing_left = skip or without_missing(config, missing) is None
    count, them = ('1 file is', 'it') if len(listed) == 1 else (f'{len(listed)} files are', 'them')
    return UsageError(
        f'{count} missing, listed above with how to get {them}: get {them} first'
        f'{"" if nothing_left else f", or leave out what needs {them} with --skip-missing"}'
    )


def read_present(config: Config, trust: bool) -> GridConfig:
    """The grid of a config; if a file is missing, all that are missing are listed."""
    try:
        return read_grid(config, trust)
    except FileNotFoundError as error:
        missing = missing_files(config)
        if not missing:
            raise
        raise UsageError(f'{error}; {list_missing(config, missing, skip=False)}') from error


def print_cells(plan: GridPlan, folder: RunFolder) -> None:
    for number, cell in enumerate(plan.cells, start=1):
        print(number, cell.defense, cell.threat, cell.condition.name, folder.state(cell), sep='\t')


def chosen_cell(plan: GridPlan, number: Optional[int]) -> Optional[Cell]:
    if number is not None and not 1 <= number <= len(plan.cells):
        raise UsageError(f'--cell {number}: this grid has the cells 1 to {len(plan.cells)}, see --list-cells')
    return None if number is None else plan.cells[number - 1]


def problem(grid: Grid, folder: RunFolder) -> UsageError:
    more = f', and {len(grid.problems) - 1} more' if len(grid.problems) > 1 else ''
    return UsageError(
        f'{grid.problems[0]}{more}; the tracebacks are in {folder.path / "cells"} and the log; start the grid '
        'again to retry what failed'
    )


def main() -> None:
    arguments = parse_arguments()
    named = load_config(arguments)
    config = at_scale(named, arguments.scale)
    if arguments.scale and arguments.cfg_options:
        # Once more: a scale changes what the command has set as well.
        config.merge_from_dict(arguments.cfg_options)
    config = filled(config)
    if arguments.scale and not arguments.work_dir and config.work_dir == named.work_dir:
        config.work_dir = f'{config.work_dir}_{arguments.scale}'
    # A list of cells is read by other programs.
    with redirect_stdout(sys.stderr if arguments.list_cells else sys.stdout):
        config = present(config, arguments.skip_missing)
        # Now, and not with the first runner: all processes must find the same cells finished.
        join_processes(arguments.launcher)
        if arguments.update:
            check_section(arguments.update, arguments.config)
        plan = plan_grid(read_present(config, arguments.trust_checkpoint), config.work_dir, arguments.launcher)
    folder = RunFolder(config.work_dir)
    if is_main_process():
        try:
            folder.claim(arguments.config, plan.settings, arguments.force)
        except FileExistsError as error:
            raise UsageError(str(error)) from error
    barrier()
    if arguments.list_cells:
        if is_main_process():
            print_cells(plan, folder)
        return
    only = chosen_cell(plan, arguments.cell)
    grid = Grid(plan, folder, arguments.config, arguments.launcher, only)
    report = grid.run()
    if is_main_process() and only is not None:
        print(f'cell {arguments.cell} ({only.title}): {folder.state(only)}')
    elif is_main_process():
        print(terminal(report))
        if arguments.out:
            write_json(arguments.out, report)
        # No tables with gaps in a document.
        if arguments.update and not grid.problems:
            own = ('--update', arguments.update, f'--update={arguments.update}', '--force')
            words = [word for word in sys.argv[1:] if word not in own]
            update_section(arguments.update, report, shlex.join(['python', 'tools/robustness.py', *words]))
        print(f'report: {Path(arguments.out or folder.path / "report.json")}; page: {folder.path / "report.html"}')
    if is_main_process() and grid.problems:
        raise problem(grid, folder)


if __name__ == '__main__':
    run(main)
