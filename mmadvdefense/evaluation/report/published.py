"""A grid's numbers in the layout of a published table, beside those that the table has."""

from __future__ import annotations

from statistics import mean
from typing import Any, Collection, Mapping, Optional, Sequence

from ...errors import UsageError
from ..results import CLEAN, percent
from .tables import Table

_KEYS = ('title', 'columns', 'rows', 'metric', 'note')


def check_published(published: Mapping[str, Any], attacks: Collection[str]) -> None:
    """Check the entry ``published`` of a grid's config.

    Args:
        published: ``title``; ``columns``, by the name in the paper the attack of the grid, ``'clean'``, the title of a
            threat model and the attack, or None for a column that is not run; ``rows``, by the name of the defense one
            number per column, None where the paper has none; optionally ``metric='psnr'`` for tables of image quality,
            and a ``note`` on what differs.
        attacks: the grid's attacks.

    Raises:
        UsageError: for an unknown key or attack, or a row of another length.
    """
    unknown = [name for name in published if name not in _KEYS]
    missing = [name for name in ('title', 'columns', 'rows') if not published.get(name)]
    if unknown or missing:
        problem = f'unknown {unknown[0]!r}' if unknown else f'no {missing[0]!r}'
        raise UsageError(f'published has {problem}; it takes {", ".join(_KEYS)}')
    for column, at in published['columns'].items():
        attack = at if at is None or isinstance(at, str) else at[-1]
        if attack not in (None, CLEAN) and attack not in attacks:
            raise UsageError(f'published: column {column!r} names the attack {attack!r}; known: {", ".join(attacks)}')
    for row, numbers in published['rows'].items():
        if len(numbers) != len(published['columns']):
            raise UsageError(
                f'published: row {row!r} has {len(numbers)} numbers for the columns {", ".join(published["columns"])}'
            )
    if published.get('metric') not in (None, 'psnr'):
        raise UsageError(f"published: metric is None or 'psnr', got {published['metric']!r}")


def published_table(report: Mapping[str, Any]) -> Table:
    """Our number, and in parentheses the paper's and the difference; ``-`` where there is none.

    Args:
        report: of :func:`mmadvdefense.evaluation.grid.report_data.build_report`; without ``published`` the table is
            empty.
    """
    published = report.get('published')
    if not published:
        return Table('', [])
    quality = published.get('metric') == 'psnr'
    columns = published['columns']
    rows = [['PSNR (dB)' if quality else f'{report["metric"]} (%)', *columns]]
    for row, numbers in published['rows'].items():
        ours = [_ours(report, row, at, quality) for at in columns.values()]
        rows.append([row, *(_shown(own, theirs) for own, theirs in zip(ours, numbers))])
    return Table(f'{published["title"]}: ours (published, difference)', rows)


def published_notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader of the table must know, one line each."""
    published = report.get('published') or {}
    scale = report.get('scale')
    lines = [published['note']] if published.get('note') else []
    if scale and published:
        lines.append(
            f'scale {scale!r}: other models, data and training than in the published table; its numbers are beside '
            'ours for their order alone'
        )
    return lines


def _ours(report: Mapping[str, Any], row: str, at: str | Sequence[str] | None, quality: bool) -> Optional[float]:
    """The mean over trainings; None unless all have a number."""
    if at is None:
        return None
    threat, attack = (None, at) if isinstance(at, str) else at
    names = report['methods'].get(row, [])
    numbers = [_number(report, name, threat, attack, quality) for name in names]
    known = [number for number in numbers if number is not None]
    return mean(known) if known and len(known) == len(numbers) else None


def _number(report: Mapping[str, Any], name: str, threat: Optional[str], attack: str, quality: bool) -> Optional[float]:
    # The first threat model that runs this attack, unless one is named.
    threats = [CLEAN] if attack == CLEAN else [threat] if threat else list(report['threat_models'])
    for title in threats:
        for cell in report['cells']:
            if (cell['defense'], cell['threat_model'], cell['condition']['name']) == (name, title, attack):
                if cell['reason'] is not None:
                    return None
                if quality:
                    return cell['measured'].get('purified/psnr')
                return percent(cell['metrics'][report['metric']], report['metric'])
    return None


def _shown(ours: Optional[float], theirs: Optional[float]) -> str:
    own = '-' if ours is None else f'{ours:.1f}'
    if theirs is None:
        return own
    difference = '' if ours is None else f', {ours - theirs:+.1f}'
    return f'{own} ({theirs:.1f}{difference})'
