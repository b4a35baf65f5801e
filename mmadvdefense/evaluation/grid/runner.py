"""Runs a grid cell by cell with MMEngine's test loop, with resuming."""

from __future__ import annotations

import csv
import io
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Optional

import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.runner import Runner, set_random_seed

from ...checkpoints import save_file_atomically, write_json
from ...threats import UnsupportedAttackError
from ..report.grid_tables import cell_outcome, failures, markdown
from ..report.strength import self_test_outcome
from ..results import CLEAN, Condition, Result, main_metric
from ..robustness import failed, note_changes, score, warn_of
from .defenses import Defense
from .plan import Cell, GridPlan
from .progress import GridProgress
from .report_data import build_report
from .report_page import collect_grid_distributions, lacks_distributions, write_grid_page
from .run_folder import RunFolder
from .self_test import SelfTests


class Grid:
    """A grid with its output folder.

    Args:
        plan: what to run.
        folder: the output folder; cells that are already finished there are not run again.
        source: the grid's config file, for the report.
        launcher: MMEngine's name of the launcher.
        only: run this cell alone, which other processes may do with other cells at the same time. The report is left
            to a run of all cells.

    Attributes:
        problems: after a run, one line per error.
    """

    def __init__(
        self, plan: GridPlan, folder: RunFolder, source: str, launcher: str = 'none', only: Optional[Cell] = None
    ):
        self.plan = plan
        self.only = only
        self.cells = plan.cells if only is None else [only]
        self.folder = folder
        self.source = source
        self.launcher = launcher
        self.results: dict[str, Result] = {}
        self.problems: list[str] = []
        config = plan.config
        self.self_tests = SelfTests(config.self_test, folder.path, config.seed, config.quantize)

    def run(self) -> dict[str, Any]:
        """Run all cells that are unfinished or have failed, and write the report after every cell.

        Cells that other processes have run on their own are taken as they are.

        A failure of an attack or a defense affects only its own cell, which records the reason and the traceback. An
        error on clean images without a defense is due to the model or the data and is raised. So is any error in a
        distributed run, since the other processes would wait forever.

        Returns:
            The report, on the first process; empty for a single cell.
        """
        alone: AbstractContextManager[None] = nullcontext()
        if self.only is not None and is_main_process():
            alone = self.folder.locked(self.only)
        with alone:
            pending = self._pending()
            kinds = [(cell.threat, cell.condition.name) for cell in pending]
            progress = GridProgress(kinds, self.plan.images, len(self.cells))
            for defense in self.plan.defenses.values():
                self._run_defense(defense, [cell for cell in pending if cell.defense == defense.name], progress)
        if self.only is not None:
            self._note_failure(self.only)
            return {}
        self._complete_changes()
        report = self._write()
        self.problems += failures(report)
        if is_main_process():
            self.folder.remove_others(self.plan.cells)
            self.self_tests.remove_others(self.plan.cells)
            write_samples(self.folder.path / 'samples.csv', self._finished())
            write_grid_page(self.plan, self.folder, self._finished(), report)
        return report

    def _run_defense(self, defense: Defense, cells: list[Cell], progress: GridProgress) -> None:
        own = [cell for cell in self.cells if cell.defense == defense.name]
        # Features are taken from the first images, which only a single process sees in order. They belong to the
        # defense, so a single cell collects them if it is that of the clean images.
        due = get_world_size() == 1 and any(cell.threat == CLEAN for cell in own)
        lacks = due and lacks_distributions(self.plan, self.folder, defense)
        tests = self.self_tests.missing(own, defense.purifier is not None)
        if not (cells or lacks or tests):
            return
        runner = Runner.from_cfg(self._runner_config(defense))
        for cell in cells:
            self._run(runner, cell, progress)
        for cell in tests:
            self._self_test(runner, cell, progress)
        if lacks:
            self._collect_distributions(runner, defense)
        del runner
        torch.cuda.empty_cache()

    def _pending(self) -> list[Cell]:
        """The unfinished cells, the same on all processes."""
        for cell in self.cells if is_main_process() else []:
            result = self.folder.load(cell)
            if result is not None and result.error is None:
                self.results[cell.fingerprint] = result
        left = [[cell.fingerprint for cell in self.cells if cell.fingerprint not in self.results]]
        broadcast_object_list(left)
        return [cell for cell in self.cells if cell.fingerprint in left[0]]

    def _runner_config(self, defense: Defense):
        config = defense.config
        config.launcher = self.launcher
        # Processes that run cells of the same defense must not write the same log.
        logs = Path(defense.name) if self.only is None else Path('cells', self.only.file_name)
        config.work_dir = str(self.folder.path / 'logs' / logs)
        config.experiment_name = f'grid-{defense.name}'
        config.log_level = self.plan.config.log_level
        # Several runners cannot share a config's visualizer.
        config.visualizer = None
        config.randomness = dict(seed=self.plan.config.seed)
        return config

    def _run(self, runner: Runner, cell: Cell, progress: GridProgress) -> None:
        start = time.perf_counter()
        with progress.cell(cell.title, (cell.threat, cell.condition.name)) as batches:
            result = self._score(runner, cell, batches)
        result.defense = cell.defense
        result.purifier = self.plan.defenses[cell.defense].purifier is not None
        if is_main_process():
            note_changes(result, self._clean(cell))
            self.folder.save(cell, result, round(time.perf_counter() - start, 1))
            # Read back, so that the result is the same as in a resumed run.
            stored = self.folder.load(cell)
            assert stored is not None, 'saved just now'
            self.results[cell.fingerprint] = stored
            self._write()
            warn_of(result, list(self.results.values()))
        progress.done(cell.title, cell_outcome(result.as_dict(), main_metric([result]) if result.metrics else ''))

    def _clean(self, cell: Cell) -> Optional[Result]:
        """The result of a cell's defense on clean images, if it is known."""
        clean = next(c for c in self.plan.cells if c.defense == cell.defense and c.threat == CLEAN)
        return self.results.get(clean.fingerprint)

    def _complete_changes(self) -> None:
        """Compare with clean images, where those were not known yet when a cell was run."""
        for cell, result in self._finished():
            if result.samples is not None and 'changed' not in result.samples:
                note_changes(result, self._clean(cell))
                if 'changed' in result.samples:
                    self.folder.amend(cell, result)

    def _note_failure(self, cell: Cell) -> None:
        result = self.results.get(cell.fingerprint)
        if result is not None and result.error is not None:
            self.problems.append(f'{cell.title}: {result.reason}')

    def _score(self, runner: Runner, cell: Cell, batches) -> Result:
        config = self.plan.config
        if cell.reason is not None:
            return Result(cell.condition, purifier=False, reason=cell.reason)
        # A model's random numbers must not depend on previous cells, which an earlier run may have finished.
        set_random_seed(config.seed)
        try:
            return score(
                runner,
                cell.condition,
                config.seed,
                config.quantize,
                config.cache_dir or self.folder.path / 'adversarial',
                config.layers,
                config.num_examples,
                hooks=[batches],
                defense_samples=config.defense_samples,
            )
        except Exception as error:
            bare = cell.threat == CLEAN and not config.defenses[cell.defense]
            if not isinstance(error, UnsupportedAttackError) and (bare or get_world_size() > 1):
                raise
            return failed(cell.condition, error)

    def _self_test(self, runner: Runner, cell: Cell, progress: GridProgress) -> None:
        try:
            row = self.self_tests.run(runner, cell)
        except Exception as error:
            if get_world_size() > 1:
                raise
            # As with cells, continue with the rest; the next run tries again.
            found = failed(Condition(f'self-test of {cell.title}'), error)
            self.problems.append(f'{found.condition.name}: {found.reason}')
            return
        progress.note(f'self-test of {cell.title}: {self_test_outcome(row)}')
        self._write()

    def _collect_distributions(self, runner: Runner, defense: Defense) -> None:
        try:
            collect_grid_distributions(self.plan, self.folder, defense, runner)
        except Exception as error:
            # As with cells, continue with the rest: the page lacks one figure.
            found = failed(Condition(f'distributions of {defense.name}'), error)
            self.problems.append(f'{found.condition.name}: {found.reason}')

    def _finished(self) -> list[tuple[Cell, Result]]:
        return [(cell, self.results[cell.fingerprint]) for cell in self.plan.cells if cell.fingerprint in self.results]

    def _write(self) -> dict[str, Any]:
        if not is_main_process() or self.only is not None:
            return {}
        self_tests = self.self_tests.rows(self.plan.cells)
        report = build_report(self.plan, self._finished(), self.source, self_tests)
        write_json(self.folder.path / 'report.json', report)
        page = markdown(report).encode() if report['metric'] else b''
        save_file_atomically(self.folder.path / 'report.md', lambda file: file.write(page))
        return report


def write_samples(path: Path, finished: list[tuple[Cell, Result]]) -> None:
    """Write a CSV file with one row per image and cell."""
    columns = ['image', 'correct', 'score', 'decision', 'changed', 'linf', 'l2', 'psnr', 'queries', 'nonfinite']
    if any(result.samples is not None and 'area' in result.samples for _, result in finished):
        columns.insert(columns.index('psnr'), 'area')
    save_file_atomically(path, lambda file: _write_rows(file, columns, finished))


def _write_rows(file: BinaryIO, columns: list[str], finished: list[tuple[Cell, Result]]) -> None:
    text = io.TextIOWrapper(file, encoding='utf-8', newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['threat_model', 'attack', 'defense', 'index', *columns])
    for cell, result in finished:
        if result.samples is None:
            continue
        size = len(result.samples['image'])
        values = zip(*(result.samples.get(name) or [None] * size for name in columns))
        head = [cell.threat, cell.condition.name, cell.defense]
        writer.writerows([*head, index, *map(_as_csv, row)] for index, row in enumerate(values))
    text.detach()  # flushed, and left open


def _as_csv(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f'{value:.6g}' if isinstance(value, float) else value
