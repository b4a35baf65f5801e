"""A quickstart, stage by stage, from what training, grids and reports offer."""

from __future__ import annotations

import copy
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from rich.console import Console

from ...errors import UsageError
from ...evaluation.grid.config import GridConfig, read_grid
from ...evaluation.grid.image_selection import open_test_set
from ...evaluation.grid.plan import plan_grid
from ...evaluation.grid.run_folder import RunFolder
from ...evaluation.grid.runner import Grid
from ...evaluation.results import CLEAN
from ...hosts import HOSTS
from ...model_spec import ModelSpec
from ...models import host_scope, read_config
from ...training.preparation import enter_scope
from ...training.recipes import CONFIGS
from .fitting import fit_purifier, write_protected_config
from .own_images import with_own_images
from .stages import Stages

# Images that show how fast the model is, and bounds on how many are attacked.
_TRIAL, _FEWEST, _MOST = 2, 8, 200
# Of the times of a grid's cells, in seconds.
_RESOLUTION = 0.1
# The fewest iterations that a general purifier of zoo/ took. After 41, one for the same detector changed nothing yet.
_ENOUGH = 292
# Images per batch of a test, at most: attacks keep gradients.
_BATCH = 50


@dataclass(frozen=True)
class QuickstartFiles:
    """What a quickstart writes into its folder.

    Attributes:
        folder: holds all that follows, and the logs.
        page: tables and pictures, one HTML file.
        report: the numbers as JSON (``docs/robustness.md``).
        export: the purifier, as ``tools/export_purifier.py`` writes it.
        config: of the protected model, for the tools of this package and of the host.
    """

    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / 'report.html'

    @property
    def report(self) -> Path:
        return self.folder / 'report.json'

    @property
    def export(self) -> Path:
        return self.folder / 'purifier.pth'

    @property
    def config(self) -> Path:
        return self.folder / 'protected.py'


class Quickstart:
    """Attacks a model, fits a purifier to it with the default recipe, and attacks both.

    Args:
        config: config file of a model of any host.
        checkpoint: its weights.
        minutes: how long to fit. Attacks take about as long once more, or longer if eight images take longer.
        images: folder of images to use instead of the config's data: one folder for each class, or images without
            labels, which get the model's own predictions as ground truth (classifiers only).
        work_dir: where everything goes; by default ``work_dirs/quickstart/CONFIG_NAME``, where an earlier
            quickstart is replaced.
        num_images: how many test images to attack; by default as many as there is time for, 8 to 200.
        overrides: settings of the config by dotted key.
        trust_checkpoint: load a checkpoint that holds more than weights and plain data.
        console: where progress is printed.

    Raises:
        UsageError: for a config that has no host, no data or no class of model that can be attacked.
        FileNotFoundError: if a file is missing.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        minutes: float = 5,
        images: Optional[str] = None,
        work_dir: Optional[str] = None,
        num_images: Optional[int] = None,
        overrides: Optional[dict[str, Any]] = None,
        trust_checkpoint: bool = False,
        console: Optional[Console] = None,
    ):
        if not minutes > 0:
            raise UsageError(f'minutes must be positive, got {minutes}')
        self.spec = ModelSpec(config, checkpoint, trust=trust_checkpoint)
        self.spec.check_files()
        self.seconds = 60 * minutes
        self.num_images = num_images
        self.files = QuickstartFiles(Path(work_dir or Path('work_dirs') / 'quickstart' / Path(config).stem))
        titles = ['how fast is the model?', 'attacking the model', 'fitting a purifier', 'attacking both', 'writing']
        self.stages = Stages(titles, [5, self.seconds / 3, self.seconds, self.seconds * 2 / 3, 2], console)
        loaded = read_config(config)
        if overrides:
            loaded.merge_from_dict(overrides)
        scope = host_scope(loaded)
        if scope not in HOSTS:
            raise UsageError(f'{config} is for {scope!r}; a quickstart takes models of {", ".join(HOSTS)}')
        self.plan = Config.fromfile(CONFIGS / 'quickstart' / f'{HOSTS[scope].recipe}.py')
        enter_scope(loaded)
        self._claim()
        if images is not None:
            loaded = with_own_images(loaded, self.spec, Path(images), self.files.folder / 'images')
        # A file of its own, so that the grid and those who look at the folder find what was run.
        self.files.folder.mkdir(parents=True, exist_ok=True)
        loaded.load_from = checkpoint
        loaded.dump(self.target)

    def run(self) -> dict[str, Any]:
        """Run all stages.

        Returns:
            The report of the last grid, of which the table is part.

        Raises:
            UsageError: if an attack fails; the message names the reason.
        """
        stages = self.stages
        stages.begin()
        seconds_per_image = self._measure()
        number = self._choose_number(seconds_per_image)
        passes = self._passes()
        stages.seconds[1] = seconds_per_image * number * passes[0]
        stages.seconds[3] = seconds_per_image * number * passes[1]
        stages.begin(f'{number} images')
        self._grid({'none': {}}, number, self.files.folder)
        # More images tell more about the time.
        seconds_per_image = self._attack_time(self.files.folder, number)
        stages.seconds[3] = seconds_per_image * number * passes[1]
        stages.begin(f'{self.seconds:.0f} s')
        iterations = self._fit(seconds_per_image)
        stages.begin(f'after {iterations} iterations{self._if_few(iterations)}')
        init_cfg = dict(type='Pretrained', checkpoint=str(self.files.export.resolve()))
        defenses = {'none': {}, 'purifier': dict(data_preprocessor=dict(type='AlignPurifier', init_cfg=init_cfg))}
        report = self._grid(defenses, number, self.files.folder)
        stages.begin()
        write_protected_config(Config.fromfile(self.target), self.files.export, self.files.config)
        stages.finish(f'page: {self.files.page}; config: {self.files.config}; purifier: {self.files.export}')
        return report

    def _if_few(self, iterations: int) -> str:
        if iterations >= _ENOUGH:
            return ''
        minutes = math.ceil(self.seconds / 60 * _ENOUGH / max(iterations, 1))
        return f', which are few: the general ones of the zoo took {_ENOUGH} and more (--minutes {minutes})'

    @property
    def target(self) -> str:
        """The config of the bare model, as it is tested."""
        return str(self.files.folder / 'target.py')

    def _claim(self) -> None:
        """Refuse the folder of something else, whose results would be lost."""
        note = self.files.folder / 'run.json'
        if note.exists() and json.loads(note.read_text()).get('config') != self.target:
            raise UsageError(f'{self.files.folder} holds the results of another run; choose another --work-dir')
        shutil.rmtree(self.files.folder / 'trial', ignore_errors=True)

    def _grid_config(self, defenses: dict[str, dict], number: int, attacks: Optional[list[str]] = None) -> GridConfig:
        plan = self.plan.to_dict()
        wanted = attacks or list(plan['attacks'])
        threats = plan['threat_models'] if attacks is None else ['gray-box']
        batch_size = self._batch_size(number)
        settings = dict(
            target=dict(config=self.target, checkpoint=self.spec.checkpoint, trust=self.spec.trust),
            defenses=defenses,
            attacks={name: plan['attacks'][name] for name in wanted},
            threat_models=threats,
            num_images=number,
            num_examples=8 if attacks is None else 0,
            test_dataloader=dict(batch_size=batch_size, num_workers=0, persistent_workers=False, prefetch_factor=None),
            log_level='ERROR',
        )
        return read_grid(Config(copy.deepcopy(settings)), self.spec.trust)

    def _batch_size(self, number: int) -> int:
        own = Config.fromfile(self.target).test_dataloader.get('batch_size', 1)
        return max(1, min(own, number, _BATCH))

    def _grid(
        self, defenses: dict[str, dict], number: int, folder: Path, attacks: Optional[list[str]] = None
    ) -> dict[str, Any]:
        plan = plan_grid(self._grid_config(defenses, number, attacks), folder)
        run_folder = RunFolder(folder)
        run_folder.claim(self.target, plan.settings, force=True)
        grid = Grid(plan, run_folder, f'{self.spec.config}, {self.spec.checkpoint}')
        report = grid.run()
        if grid.problems:
            raise UsageError(f'{grid.problems[0]}; the traceback is in {folder / "cells"}')
        return report

    def _measure(self) -> float:
        """Seconds that one attack takes for an image."""
        trial = self.files.folder / 'trial'
        attack = next(iter(self.plan.attacks))
        number = min(_TRIAL, self._size())
        self._grid({'none': {}}, number, trial, [attack])
        return self._attack_time(trial, number)

    def _attack_time(self, folder: Path, number: int) -> float:
        """Seconds that the first attack has taken for an image of the bare model, by the cells of a grid."""
        cells = [json.loads(path.read_text()) for path in (folder / 'cells').glob('*__none__*.json')]
        taken = {cell['cell']['condition']['name']: cell['seconds'] for cell in cells}
        # Both have to start the data loader, and the clean one has loaded the model before.
        return max(taken[next(iter(self.plan.attacks))] - taken[CLEAN], _RESOLUTION) / number

    def _size(self) -> int:
        return len(open_test_set(Config.fromfile(self.target)))

    def _passes(self) -> tuple[float, float]:
        """Attacks and tests on the bare model and on the protected one, in attacks on the bare model."""
        gray, adaptive = (self._attacks_of(index) for index in (0, 1))
        # The purifier adds its own passes.
        return gray + 0.1, 2.0 * adaptive + 0.2 * gray + 0.2

    def _attacks_of(self, index: int) -> int:
        threat = self.plan.threat_models[index]
        return len(self.plan.attacks if isinstance(threat, str) else threat['attacks'])

    def _choose_number(self, seconds_per_image: float) -> int:
        size = self._size()
        if self.num_images is not None:
            return min(self.num_images, size)
        affordable = int(self.seconds / (sum(self._passes()) * max(seconds_per_image, 1e-6)))
        return min(max(affordable, _FEWEST), _MOST, size)

    def _fit(self, seconds_per_image: float) -> int:
        config = Config.fromfile(self.target)
        config.work_dir = str(self.files.folder / 'logs' / 'fitting')
        config.experiment_name = 'quickstart'
        config.log_level = 'ERROR'
        config.randomness = dict(seed=0)
        return fit_purifier(
            config, self.files.export, self.seconds, seconds_per_image, self.stages.advance, self.spec.trust
        )
