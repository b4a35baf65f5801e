"""A defense of the leaderboard run again from its receipt: on some of its images, or on one to see what it costs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union, cast

from mmengine.config import Config
from mmengine.model import BaseModel

from ...errors import UsageError
from ...models import build_model
from ..grid.config import GridConfig, read_grid
from ..grid.defenses import build_defense, target_config
from ..grid.image_selection import choose_indices, open_test_set
from ..grid.plan import GridPlan, plan_grid
from ..grid.protocol import at_scale, filled
from ..grid.run_folder import RunFolder
from ..grid.runner import Grid
from ..statistics import share_interval
from .from_report import measured
from .receipts import check_receipt
from .row import Measured, Row

# Where all scores are equal, the bootstrap's interval has no width.
_LEAST = 1.0
# Of the bounds, which files give with four digits.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Check:
    """A number of a row, and the same measured again, in per cent.

    Attributes:
        title: of the attack.
        stored: in the row.
        interval: 95 % of ``stored``, for as many images as were tested now.
        found: now; None if it could not be measured.
    """

    title: str
    stored: float
    interval: tuple[float, float]
    found: Optional[float]

    @property
    def holds(self) -> bool:
        """Whether the new number lies in the interval."""
        low, high = self.interval
        return self.found is not None and low - _ROUNDING <= self.found <= high + _ROUNDING


def verify_row(row: Row, folder: Union[str, Path], images: int = 200) -> list[Check]:
    """Attack a defense of the leaderboard again, with new adversarial images.

    The images are up to ``images`` of the row's own, spread evenly. All of them have the same seeds as before, and give
    the same numbers up to rounding; a part of them has others, since seeds follow the position in the test set. Numbers
    are compared by the mean score of single images.

    Args:
        row: of a result file, whose relative paths start at the current folder.
        folder: for the run; continued if it is there.
        images: number of images at most.

    Raises:
        UsageError: if the receipt is not valid, or the target is another one now.
    """
    check_receipt(row)
    checks = _checks(row, row.attacks, _run_again(row, None, Path(folder), images))
    if row.attacks_8bit:
        scale = (row.receipt.command_8bit or '').partition('--scale ')[2]
        again = _run_again(row, scale, Path(folder) / '8bit', images)
        checks += [replace(check, title=f'{check.title}, 8 bit') for check in _checks(row, row.attacks_8bit, again)]
    return checks


def _run_again(row: Row, scale: Optional[str], folder: Path, images: int) -> dict[str, Any]:
    """The report of a grid of this defense alone, on a part of its images."""
    receipt = row.receipt
    stated = filled(at_scale(Config.fromfile(receipt.grid), scale or None))
    stated.defenses = {receipt.defense: stated.defenses[receipt.defense]}
    grid = read_grid(stated)
    size = len(open_test_set(target_config(grid.target, {'test_dataloader': grid.test_dataloader})))
    chosen = choose_indices(size, row.images, None)
    grid.num_images, grid.cache_dir = None, None
    grid.indices = [chosen[position] for position in choose_indices(len(chosen), min(images, len(chosen)), None)]
    plan = _without_fixed_draw(plan_grid(grid, folder), receipt.defense)
    found = plan.settings['target']['checkpoint'].removeprefix('sha256:')
    if found != receipt.target.sha256:
        raise UsageError(
            f'{row.name}: {receipt.target.checkpoint} is not the target of the receipt: its SHA-256 is '
            f'{found[:12]}..., not {receipt.target.sha256[:12]}...'
        )
    run = RunFolder(folder)
    run.claim(receipt.grid, plan.settings)
    return Grid(plan, run, receipt.grid).run()


def _without_fixed_draw(plan: GridPlan, defense: str) -> GridPlan:
    """The plan without the defense that a grid adds to a random one."""
    config = replace(plan.config, methods={defense: [defense]}, defenses={defense: plan.config.defenses[defense]})
    cells = [cell for cell in plan.cells if cell.defense == defense]
    return replace(plan, config=config, defenses={defense: plan.defenses[defense]}, cells=cells)


def _checks(row: Row, stored: list[Measured], report: dict[str, Any]) -> list[Check]:
    cells = {
        (cell['threat_model'], cell['condition']['name']): cell
        for cell in report['cells']
        if cell['defense'] == row.receipt.defense and cell['reason'] is None
    }
    checks = []
    for one in stored:
        cell = cells.get((one.threat_model, one.attack))
        found = None if cell is None else measured(report, cell).score
        checks.append(Check(one.title, one.score, interval_for(row, one, report['data']['images']), found))
    return checks


def interval_for(row: Row, one: Measured, images: int) -> tuple[float, float]:
    """95 % of a stored number for so many images (per cent)."""
    if row.one_label:
        low, high = share_interval(one.score / 100, images)
        return 100 * low, 100 * high
    widened = max(row.images / images, 1) ** 0.5
    below, above = (max(widened * abs(one.score - bound), _LEAST) for bound in one.interval)
    return max(one.score - below, 0), min(one.score + above, 100)


def forward_passes(grid_path: str, defense: str) -> int:
    """How often the target runs for one prediction, counted on the first test image.

    Args:
        grid_path: config of a grid.
        defense: one of its defenses.
    """
    grid: GridConfig = read_grid(filled(Config.fromfile(grid_path)))
    base = target_config(grid.target, {'test_dataloader': grid.test_dataloader})
    built = build_defense(defense, grid.defenses[defense], grid.target, base)
    model = build_model(built.config).eval()
    item = open_test_set(base)[0]
    calls: list[str] = []
    for name, layer in model.named_modules():
        if name.rpartition('.')[2] == 'backbone':
            layer.register_forward_hook(lambda *_: calls.append('forward'))
    cast(BaseModel, model).test_step(
        {'inputs': [item['inputs']], 'data_samples': [copy.deepcopy(item['data_samples'])]}
    )
    if not calls:
        raise UsageError(f'{grid_path}: the model behind {defense!r} has no backbone whose passes could be counted')
    return len(calls)
