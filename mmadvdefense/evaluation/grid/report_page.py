"""The HTML page of a grid: the report with example images and feature distributions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.runner import Runner

from ...attacks import build_attack
from ...digests import value_digest
from ...threats.attack_key import attack_key
from ..report.distributions import collect_distributions, distribution_element, load_distributions, save_distributions
from ..report.grid_examples import example_sheets
from ..report.html_page import write_page
from ..report.page import changed_images, class_tables
from .defenses import Defense
from .plan import GridPlan
from .report_data import Finished
from .run_folder import RunFolder


def write_grid_page(plan: GridPlan, folder: RunFolder, finished: Finished, report: dict[str, Any]) -> Path:
    """Write ``report.html`` to a grid's folder.

    Args:
        plan: the grid.
        folder: its run folder.
        finished: its cells with their results.
        report: their report.
    """
    cells = [(cell.threat, result, folder.examples(cell)) for cell, result in finished if cell.defense in plan.shown]
    classes = report['data']['classes']
    shown = {}
    settings = plan.config.distributions
    for defense in (plan.defenses[name] for name in plan.defenses if settings and name in plan.shown):
        path = distribution_path(plan, folder, defense)
        if settings and path.exists():
            attack = settings['attack']
            element = distribution_element(load_distributions(path), classes, plan.config.seed)
            shown[f'{defense.name}, gray-box, {attack}'] = element
    path = folder.path / 'report.html'
    pictures = example_sheets(report, cells)
    scored = [(threat, result) for threat, result, _ in cells]
    changed = changed_images(report, scored, pictures, folder.path)
    write_page(path, report, pictures, shown, class_tables(report, scored), changed)
    return path


def distribution_path(plan: GridPlan, folder: RunFolder, defense: Defense) -> Path:
    """The file with the distributions of a defense, specific to attack and purifier."""
    attacks = attack_key(plan.settings['attacks'])
    about = [plan.config.distributions, attacks, plan.settings['defenses'][defense.name]]
    return folder.path / 'distributions' / f'{defense.name}__{value_digest(about)[:12]}.npz'


def lacks_distributions(plan: GridPlan, folder: RunFolder, defense: Defense) -> bool:
    """Whether the page shows distributions of a defense that have not been collected yet."""
    shown = bool(plan.config.distributions) and defense.purifier is not None and defense.name in plan.shown
    return shown and not distribution_path(plan, folder, defense).exists()


def collect_grid_distributions(plan: GridPlan, folder: RunFolder, defense: Defense, runner: Runner) -> None:
    """Collect the distributions of a defense with a purifier, under the grid's gray-box attack for distributions.

    Does nothing if they have already been collected.
    """
    settings = plan.config.distributions
    if settings is None or not lacks_distributions(plan, folder, defense):
        return
    path = distribution_path(plan, folder, defense)
    runner.load_or_resume()
    found = collect_distributions(
        runner.model,
        build_attack(plan.config.attacks[settings['attack']]),
        runner.test_dataloader.dataset,
        runner.test_dataloader,
        count=settings.get('count', 500),
        layer=settings.get('layer'),
        seed=plan.config.seed,
    )
    save_distributions(path, found)
