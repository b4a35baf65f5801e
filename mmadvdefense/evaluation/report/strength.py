"""What a report says of the strength of its attacks: pass rates beside the numbers."""

from __future__ import annotations

from typing import Any, Optional

from .tables import Table

# An attack that finds the planted adversarial image less often says nothing about robustness (Zimmermann et al.).
PASSES_FROM = 0.95
TOO_WEAK = 'attack too weak to tell'


def strength_marks(report: dict[str, Any], cells: list[dict[str, Any]]) -> list[str]:
    """What stands beside the number of an attack: its lowest pass rate over the trainings; nothing if untested."""
    rates = [test['rate'] for test in map(_index(report).get, map(_key, cells)) if test and test['rate'] is not None]
    if not rates:
        return []
    return [f'self-test {min(rates):.2f}', *([TOO_WEAK] if min(rates) < PASSES_FROM else [])]


def beside(report: dict[str, Any], text: str, cells: list[dict[str, Any]]) -> str:
    """A number with :func:`strength_marks`."""
    marks = strength_marks(report, cells)
    return f'{text} ({"; ".join(marks)})' if marks else text


def _index(report: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(test['threat_model'], test['attack'], test['defense']): test for test in report.get('self_tests', ())}


def _key(cell: dict[str, Any]) -> tuple[str, str, str]:
    return cell['threat_model'], cell['condition']['name'], cell['defense']


def self_test_outcome(test: dict[str, Any]) -> str:
    """The pass rate of one self-test, or why there is none."""
    if test['rate'] is None:
        return f'cannot run: {test["reason"]}'
    weak = f', {TOO_WEAK}' if test['rate'] < PASSES_FROM else ''
    return f'{test["rate"]:.2f} of {test["images"]} images{weak}'


def strength_table(report: dict[str, Any]) -> Table:
    """One row for each self-test."""
    rows = [['threat model', 'attack', 'defense', 'self-test', 'images', 'pass rate', '']]
    for test in report.get('self_tests', ()):
        rate: Optional[float] = test['rate']
        said = test['reason'] or (TOO_WEAK if rate is not None and rate < PASSES_FROM else '')
        shown = '-' if rate is None else f'{rate:.2f}'
        row = [test['threat_model'], test['attack'], test['defense'], test['test'], str(test['images']), shown, said]
        rows.append(row)
    return Table('strength self-test', rows)
