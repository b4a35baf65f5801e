"""Tests of the attacks of a grid themselves: how often they succeed where success is possible."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.runner import Runner, set_random_seed

from ...attacks import build_attack
from ...checkpoints import write_json
from ...digests import value_digest
from ...errors import UsageError
from ...models import preprocessor_of, unwrap
from ...pipelines import channel_order
from ...randomness import image_names
from ...tasks import annotations_in_input_frame, ignored_are_crowds, task_of
from ...threats.strength import Frame, StrengthTest, mean_of, self_test_of
from .image_selection import choose_indices
from .plan import Cell
from .self_test_settings import SelfTestSettings

# Who has the gradient of all there is to attack.
_TESTED = ('adaptive', 'adaptive-bpda', 'adaptive-eot')
# Part of the names of finished tests: to be raised with every change of the test itself.
_FORMAT = 1


class SelfTests:
    """The self-tests of a grid, each kept in a file of its own once it is finished.

    Args:
        settings: None for no tests.
        folder: of the run.
        seed: of the grid.
        quantize: of the grid.
    """

    def __init__(self, settings: Optional[SelfTestSettings], folder: Path, seed: int, quantize: bool):
        self.settings = settings
        self.folder = folder / 'self_tests'
        self.seed = seed
        self.quantize = quantize

    def missing(self, cells: Sequence[Cell], purifier: bool) -> list[Cell]:
        """The cells of a defense whose attack has to be tested, the same on all processes.

        Args:
            cells: all of one defense.
            purifier: whether it has a purifier; where it has none, gray-box attackers have the whole gradient.
        """
        names = [cell.file_name for cell in cells if self._is_tested(cell, purifier) and not self._path(cell).exists()]
        shared = [names]
        broadcast_object_list(shared)
        return [cell for cell in cells if cell.file_name in shared[0]]

    def _is_tested(self, cell: Cell, purifier: bool) -> bool:
        threat, attack = cell.condition.threat_model, cell.condition.attack
        if self.settings is None or threat is None or attack is None or cell.reason is not None:
            return False
        known = threat.name in _TESTED or (threat.name == 'gray-box' and not purifier)
        return known and build_attack(attack).access == 'gradients'

    def run(self, runner: Runner, cell: Cell) -> dict[str, Any]:
        """Test the attack of a cell, and keep the result.

        Args:
            runner: of the cell's defense.
            cell: one of :meth:`missing`.
        """
        assert self.settings is not None, 'there is nothing missing without settings'
        runner.load_or_resume()
        # The test loop, which sets the mode of the model, may not have run yet.
        runner.model.eval()
        set_random_seed(self.seed)
        model = unwrap(runner.model)
        rates: list[Optional[float]] = []
        reason: Optional[str] = None
        try:
            rates = self._rates(model, runner.test_dataloader.dataset, cell)
        except UsageError as error:
            reason = str(error)
        rate = mean_of(rates)
        if rate is None and reason is None:
            reason = 'success is possible on none of the images'
        tested = sum(own is not None for own in rates)
        row = {**self._named(cell), 'test': self_test_of(task_of(model)), 'images': tested, 'rate': rate}
        row['reason'] = reason
        if is_main_process():
            write_json(self._path(cell), row)
        return row

    def _rates(self, model: Any, dataset: Any, cell: Cell) -> list[Optional[float]]:
        config, threat = cell.condition.attack, cell.condition.threat_model
        assert self.settings is not None and config is not None and threat is not None, 'only such cells are tested'
        frame = Frame(annotations_in_input_frame(dataset), ignored_are_crowds(dataset), channel_order(dataset))
        options = self.seed, self.quantize, self.settings.drop
        test = StrengthTest(model, build_attack(config), config, threat, frame, *options)
        chosen = choose_indices(len(dataset), min(self.settings.num_images, len(dataset)), None)
        preprocessor = preprocessor_of(model)
        own: dict[int, Optional[float]] = {}
        for index in chosen[get_rank() :: get_world_size()]:
            item = dataset[index]
            samples = [item['data_samples']]
            image = preprocessor.cast_data(item['inputs'])[None].float()
            own[index] = test(image, samples[0], image_names([item['inputs']], samples)[0])
        gathered = {index: rate for part in all_gather_object(own) for index, rate in part.items()}
        return [gathered[index] for index in chosen]

    def rows(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """What is known of the attacks of these cells, under the names that they have now."""
        found = []
        for cell in cells if self.settings is not None else []:
            if self._path(cell).exists():
                found.append({**json.loads(self._path(cell).read_text()), **self._named(cell)})
        return found

    def remove_others(self, cells: Sequence[Cell]) -> None:
        """Remove the files of other grids."""
        names = {self._path(cell).name for cell in cells} if self.settings is not None else None
        for path in self.folder.glob('*.json'):
            if names is not None and path.name not in names:
                path.unlink()

    @staticmethod
    def _named(cell: Cell) -> dict[str, Any]:
        return {'threat_model': cell.threat, 'attack': cell.condition.name, 'defense': cell.defense}

    def _path(self, cell: Cell) -> Path:
        assert self.settings is not None
        digest = value_digest(_FORMAT, asdict(self.settings), cell.fingerprint)[:12]
        return self.folder / f'{cell.file_name}__{digest}.json'
