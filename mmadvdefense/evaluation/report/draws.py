"""What a report says of random defenses, of which a single draw says little."""

from __future__ import annotations

from typing import Any

from ..results import CLEAN, fixed_name
from .tables import Table, number_text, spread


def draw_marks(cells: list[dict[str, Any]]) -> list[str]:
    """What stands beside the number of a random defense, which is that of its first draw; else nothing."""
    draws = [cell['scores'].get('draws') for cell in cells]
    known = [own for own in draws if own is not None and own['worst'] is not None]
    if not known or len(known) < len(cells):
        return []
    worst, majority = (spread([own[name] for own in known]) for name in ('worst', 'majority'))
    return [f'one draw; correct in all of {known[0]["number"]} draws {worst}, by majority {majority}']


def random_notes(report: dict[str, Any]) -> list[str]:
    """One line that says which rows are those of a single draw."""
    drawn = dict.fromkeys(cell['defense'] for cell in report['cells'] if cell['scores'].get('draws') is not None)
    if not drawn:
        return []
    return [
        f'{", ".join(drawn)}: one draw of a random defense, which flatters it; more draws are in a table of their own'
    ]


def draws_table(report: dict[str, Any]) -> Table:
    """One row for each attack on a random defense: shares of correct images, in per cent."""
    header = ['threat model', 'attack', 'defense', 'one draw', 'all draws', 'majority', 'draws', 'fixed seed']
    rows = [header]
    titles = [CLEAN, *report['threat_models']]
    for cell in sorted(report['cells'], key=lambda cell: titles.index(cell['threat_model'])):
        draws = cell['scores'].get('draws')
        if draws is not None:
            numbers = [cell['scores']['correct'], draws['worst'], draws['majority']]
            attack = cell['condition']['name']
            who = [cell['threat_model'], attack, cell['defense']]
            rows.append([*who, *map(number_text, numbers), str(draws['number']), _fixed(report, cell)])
    return Table('random defenses, correct images (%)', rows)


def _fixed(report: dict[str, Any], cell: dict[str, Any]) -> str:
    """The same attack on the defense whose draw is fixed; EOT is adaptive there."""
    wanted = cell['condition']['name'], fixed_name(cell['defense'])
    found = [other for other in report['cells'] if (other['condition']['name'], other['defense']) == wanted]
    own = [other for other in found if other['threat_model'] == cell['threat_model']]
    if not own and cell['threat_model'].startswith('adaptive-eot'):
        own = [other for other in found if other['threat_model'] == 'adaptive']
    return number_text(own[0]['scores']['correct']) if own and own[0]['reason'] is None else '-'
