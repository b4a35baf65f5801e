"""The leaderboard as Markdown and as one HTML page whose tables can be sorted, both made of the result files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Union

from ...errors import UsageError
from ..report.tables import Table
from ..results import unit
from ..statistics import share_interval
from .row import Row

MARKDOWN = Path('docs') / 'leaderboard.md'
HTML = Path('docs') / 'leaderboard.html'
START, END = '<!-- leaderboard -->', '<!-- end of leaderboard -->'
NORM_TITLES = {'Linf': 'L∞', 'L2': 'L2'}
NOTHING = '–'
# By field: the header of its column.
COLUMNS = {
    'clean_acc': 'clean',
    'gray_box_acc': 'gray-box',
    'transfer_acc': 'transfer',
    'adaptive_acc': 'defense-aware',
    'autoattack_acc': 'AutoAttack',
    'adaptive_acc_8bit': '8 bit',
}


@dataclass(frozen=True)
class Board:
    """Rows whose numbers can be compared: of one task, data set, budget and metric, the most robust first."""

    rows: list[Row]

    @property
    def title(self) -> str:
        first = self.rows[0]
        norm = NORM_TITLES[first.threat_model]
        return f'{first.task.capitalize()}, {first.dataset}, {norm} {first.eps:g}, {first.metric}{unit(first.metric)}'

    @property
    def shown(self) -> dict[str, str]:
        """The columns that some row has."""
        return {
            field: title
            for field, title in COLUMNS.items()
            if any(getattr(row, field) is not None for row in self.rows)
        }

    @property
    def notes(self) -> list[str]:
        """The footnotes, each once, in the order in which the rows first have them."""
        return list(dict.fromkeys(row.footnote for row in self.rows if row.footnote))

    def note_number(self, row: Row) -> Optional[int]:
        """The number of a row's footnote, from 1."""
        return self.notes.index(row.footnote) + 1 if row.footnote else None


def boards(rows: Sequence[Row]) -> list[Board]:
    """The rows by what can be compared."""
    grouped: dict[tuple, list[Row]] = {}
    for row in sorted(rows, key=_order):
        grouped.setdefault((row.task, row.dataset, row.threat_model, row.eps, row.metric), []).append(row)
    return [Board(own) for _, own in sorted(grouped.items())]


def _order(row: Row) -> tuple:
    """The most robust first: against who knows the defense, then against who does not."""
    unaware = min([acc for acc in (row.gray_box_acc, row.transfer_acc) if acc is not None], default=0.0)
    return (-row.adaptive_acc, -unaware, -row.clean_acc, row.name)


def number(value: Optional[float]) -> str:
    """With one digit."""
    return NOTHING if value is None else f'{value:.1f}'


def interval_text(row: Row) -> str:
    """95 % of the number under attackers who know the defense; nothing for metrics that are no share of images."""
    if not row.one_label:
        return ''
    low, high = share_interval(row.adaptive_acc / 100, row.images)
    return f'{100 * low:.1f}–{100 * high:.1f}'


def markdown(rows: Sequence[Row]) -> str:
    """All boards as Markdown."""
    parts = []
    for board in boards(rows):
        header = ['name', 'defense', 'target', *board.shown.values(), 'strongest attack', 'images']
        table = [header, *(_cells(board, row) for row in board.rows)]
        notes = [f'{index}. {note}' for index, note in enumerate(board.notes, start=1)]
        parts += [Table(board.title, table).markdown(level=3), *(['\n'.join(notes)] if notes else [])]
    return '\n\n'.join(parts)


def _cells(board: Board, row: Row) -> list[str]:
    numbers = [number(getattr(row, field)) for field in board.shown]
    interval = interval_text(row)
    if interval:
        numbers[list(board.shown).index('adaptive_acc')] += f' ({interval})'
    title = row.title if row.reference is None else f'[{row.title}]({row.reference.link})'
    note = board.note_number(row)
    title += f' <sup>{note}</sup>' if note else ''
    return [f'`{row.name}`', title, row.architecture, *numbers, row.adaptive_attack, str(row.images)]


def html(rows: Sequence[Row]) -> str:
    """All boards as one page that needs no other file."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader('mmadvdefense.evaluation.leaderboard'),
        autoescape=select_autoescape(['html']),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template('leaderboard.html')
    return template.render(boards=boards(rows), number=number, interval=interval_text, norms=NORM_TITLES) + '\n'


def pages(rows: Sequence[Row], root: Union[str, Path] = '.') -> dict[Path, str]:
    """The text of each page by its path in a clone; what is written by hand in the Markdown stays.

    Raises:
        FileNotFoundError: if there is no Markdown page.
        UsageError: if it has no place for the tables.
    """
    path = Path(root) / MARKDOWN
    before, has_start, rest = path.read_text().partition(START)
    _, has_end, after = rest.partition(END)
    if not has_start or not has_end:
        raise UsageError(f'{path} has no place for the tables: put the lines {START} and {END} into it')
    text = f'{before}{START}\n\n{markdown(rows)}\n\n{END}{after}'
    return {path: text, Path(root) / HTML: html(rows)}


def outdated(rows: Sequence[Row], root: Union[str, Path] = '.') -> list[Path]:
    """The pages that do not show what the result files say."""
    found = pages(rows, root)
    return [path for path, text in found.items() if not path.is_file() or path.read_text() != text]
