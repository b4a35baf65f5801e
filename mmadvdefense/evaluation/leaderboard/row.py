"""The result file of one defense, in the form of RobustBench's, with what makes its numbers traceable.

JSON, as there: the files are written by ``tools/leaderboard.py --add`` and never by hand, and the standard library
reads them without running anything in them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ...errors import UsageError
from ...saving import write_json
from ...tasks import has_one_label
from .records import read_record

FORMAT = 'mmadvdefense leaderboard row'
VERSION = 1
FOLDER = Path('zoo') / 'results'
# By the group of attackers, the fields of a row with its number and its attack.
GROUPS = {
    'gray-box': ('gray_box_acc', 'gray_box_attack'),
    'transfer': ('transfer_acc', 'transfer_attack'),
    'informed': ('adaptive_acc', 'adaptive_attack'),
}
# A number may be rounded in another digit than those it comes from.
ROUNDING = 0.01


@dataclass(frozen=True)
class Reference:
    """Where a defense comes from."""

    title: str
    link: str


@dataclass(frozen=True)
class Target:
    """The model behind the defense: its config, its checkpoint and the SHA-256 of that."""

    config: str
    checkpoint: str
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """What makes a row again.

    Attributes:
        command: that made the numbers.
        command_8bit: that made those of images of 8 bits; None if there are none.
        grid: the config of both.
        defense: its name there.
        config: its entry there, without the attacks.
        files: SHA-256 by ``zoo://NAME`` of the exports in ``config``; empty for a defense without weights, which
            ``config`` states completely.
        target: the model behind it.
        software: versions by name.
    """

    command: str
    command_8bit: Optional[str]
    grid: str
    defense: str
    config: dict
    files: dict
    target: Target
    software: dict


@dataclass(frozen=True)
class Measured:
    """One attack on the defense, or clean images.

    Attributes:
        threat_model: its title, ``'clean'`` for clean images.
        attack: its name in the grid.
        config: its settings; None for clean images.
        attackers: the groups in which it counts, keys of :data:`GROUPS`; empty for clean images.
        acc: the task's metric in per cent; None if it is undefined.
        score: the mean score of the images in per cent: of classifiers the share of right ones.
        interval: 95 % of ``score``: of classifiers by Clopper and Pearson, of others by the bootstrap.
        linf_mean, linf_max, l2_mean, l2_max: of the perturbation, in pixels.
        queries: mean number of queries for an image.
        draws: of a random defense, over several draws: ``number``, ``worst`` and ``majority`` in per cent.
    """

    threat_model: str
    attack: str
    config: Optional[dict]
    attackers: list[str]
    acc: Optional[float]
    score: float
    interval: list[float]
    linf_mean: float
    linf_max: float
    l2_mean: float
    l2_max: float
    queries: Optional[float]
    draws: Optional[dict]

    def __post_init__(self) -> None:
        for name in ('acc', 'score'):
            check_percent(name, getattr(self, name))
        if len(self.interval) != 2 or not self.interval[0] <= self.interval[1]:
            raise UsageError(f'interval must be two numbers in ascending order, got {self.interval}')
        for bound in self.interval:
            check_percent('interval', bound)

    @property
    def title(self) -> str:
        """``'PGD, transfer'``, with the threat model without its settings."""
        return self.attack if self.threat_model == self.attack else f'{self.attack}, {self.threat_model}'


@dataclass(frozen=True)
class Row:
    """One defense on the leaderboard. Numbers are in per cent, sizes in pixels (0-255).

    Attributes:
        format, version: of the file.
        name: also that of the file.
        title: as people call it.
        task: of the target: ``'classification'``, ``'segmentation'`` or ``'detection'``.
        dataset, architecture: as people call them.
        metric: what ``*_acc`` are, such as ``'accuracy/top1'`` or ``'mIoU'``.
        threat_model: the norm that bounds perturbations.
        eps: its bound.
        clean_acc: on clean images.
        autoattack_acc: under AutoAttack (Croce and Hein, ICML 2020) through the defense; None where it was not run or
            cannot be, as for dense predictions.
        gray_box_acc, transfer_acc, adaptive_acc: under all attacks together of those who have the target, who have
            another model, and who know the defense: of classifiers the share of images that are right under each of
            them, of others the lowest number. None without such an attack.
        gray_box_attack, transfer_attack, adaptive_attack: the attack with the lowest number.
        adaptive_acc_8bit: as ``adaptive_acc``, on images rounded to whole pixels.
        number_forward_passes: of the target, for one prediction.
        linf, l2: the largest of any perturbation.
        images: number of images.
        digest: of their names, sizes and ground truth.
        seed: of the attacks.
        footnote: what a reader must know.
        reference: None for a defense that is published here.
        attacks: clean images first.
        attacks_8bit: likewise, on images rounded to whole pixels.
        receipt: what makes the row again.
    """

    format: str
    version: int
    name: str
    title: str
    task: str
    dataset: str
    architecture: str
    metric: str
    threat_model: str
    eps: float
    clean_acc: float
    autoattack_acc: Optional[float]
    gray_box_acc: Optional[float]
    gray_box_attack: Optional[str]
    transfer_acc: Optional[float]
    transfer_attack: Optional[str]
    adaptive_acc: float
    adaptive_attack: str
    adaptive_acc_8bit: Optional[float]
    number_forward_passes: int
    linf: float
    l2: float
    images: int
    digest: str
    seed: int
    footnote: Optional[str]
    reference: Optional[Reference]
    attacks: list[Measured]
    attacks_8bit: list[Measured]
    receipt: Receipt

    def __post_init__(self) -> None:
        for name in ('clean_acc', 'autoattack_acc', 'adaptive_acc_8bit', *(number for number, _ in GROUPS.values())):
            check_percent(name, getattr(self, name))
        if (self.format, self.version) != (FORMAT, VERSION):
            raise UsageError(f'its format is {self.format!r} {self.version}, not {FORMAT!r} {VERSION}')
        if not self.attacks or self.attacks[0].config is not None:
            raise UsageError('attacks must begin with clean images, whose config is null')
        if self.images < 1 or self.number_forward_passes < 1 or self.eps <= 0:
            raise UsageError('images, number_forward_passes and eps must be positive')
        self._check_numbers()

    def _check_numbers(self) -> None:
        """The summary is that of the attacks below it."""
        _check_same('clean_acc', self.clean_acc, self.attacks[0].acc)
        for group, (number, named) in GROUPS.items():
            acc, title = getattr(self, number), getattr(self, named)
            own = [one for one in self.attacks if group in one.attackers and one.acc is not None]
            if (acc is None) != (title is None) or (acc is None) != (not own):
                raise UsageError(f'{number} and {named} must be there if and only if there is such an attack')
            if not own:
                continue
            lowest = min(one.acc for one in own if one.acc is not None)
            if title not in [one.title for one in own if one.acc == lowest]:
                raise UsageError(f'{named} is {title!r}, which is not the attack with the lowest number, {lowest}')
            # What is right under all attacks is right under each.
            if acc > lowest + ROUNDING:
                raise UsageError(f'{number} is {acc}, above the {lowest} under {title}')
            if not self.one_label:
                _check_same(number, acc, lowest)
        informed = [one for one in self.attacks if 'informed' in one.attackers]
        known = [one.acc for one in informed if one.acc is not None and runs_autoattack(one.config)]
        if known or self.autoattack_acc is not None:
            _check_same('autoattack_acc', self.autoattack_acc, min(known, default=None))
        rounded = [one.acc for one in self.attacks_8bit if one.config is not None and one.acc is not None]
        if self.adaptive_acc_8bit is not None and (not rounded or self.adaptive_acc_8bit > min(rounded) + ROUNDING):
            raise UsageError(f'adaptive_acc_8bit is {self.adaptive_acc_8bit}, but attacks_8bit say {rounded}')

    @property
    def one_label(self) -> bool:
        """Whether each image is in one class, and its score is 0 or 1."""
        return has_one_label(self.task)

    @property
    def path(self) -> Path:
        """Where its file lies in a clone."""
        return FOLDER / self.task / f'{self.name}.json'


def runs_autoattack(config: Optional[dict]) -> bool:
    """Whether an attack is AutoAttack, or consists of attacks among which it is."""
    if config is None:
        return False
    return config.get('type') == 'AutoAttack' or any(map(runs_autoattack, config.get('attacks') or ()))


def check_percent(name: str, value: Optional[float]) -> None:
    """Raise a ``UsageError`` for a number outside 0-100."""
    if value is not None and not 0 <= value <= 100:
        raise UsageError(f'{name} must be in 0-100, got {value}')


def _check_same(name: str, value: Optional[float], measured: Optional[float]) -> None:
    if value is None or measured is None or abs(value - measured) > ROUNDING:
        raise UsageError(f'{name} is {value}, but its attacks say {measured}')


def read_row(path: Union[str, Path]) -> Row:
    """Read a result file.

    Raises:
        FileNotFoundError: if it is not there.
        UsageError: if it is malformed, or its numbers contradict each other; the message names the file and the field.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f'{path} is no JSON: {error}') from error
    row = read_record(Row, values, str(path))
    if row.name != path.stem or row.task != path.parent.name:
        raise UsageError(
            f'{path} holds the row {row.name!r} of {row.task}, which belongs into {row.task}/{row.name}.json'
        )
    return row


def read_rows(root: Union[str, Path] = '.') -> list[Row]:
    """All result files of a clone, in the order of their paths.

    Raises:
        UsageError: if there is none, and of :func:`read_row`.
    """
    folder = Path(root) / FOLDER
    paths = sorted(folder.glob('*/*.json'))
    if not paths:
        raise UsageError(f'there are no result files in {folder}: run the tool in a clone')
    return [read_row(path) for path in paths]


def write_row(row: Row, root: Union[str, Path] = '.') -> Path:
    """Write a row into its file, which is replaced, and return its path."""
    path = Path(root) / row.path
    values: dict[str, Any] = asdict(row)
    write_json(path, values)
    return path
