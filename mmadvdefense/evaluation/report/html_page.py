"""A grid's report as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ...checkpoints import save_file_atomically
from . import charts
from .grid_curves import Curve, amplification_curves, budget_curves
from .grid_tables import CHANGED, SINGLE_IMAGES, detail_tables, notes, report_tables, selection_text
from .page import ChangedImages
from .summary_table import TITLE
from .tables import Table

PICTURES = 'Images'


def write_page(
    path: Union[str, Path],
    report: dict[str, Any],
    pictures: Optional[Mapping[str, str]] = None,
    distributions: Optional[Mapping[str, str]] = None,
    classes: Sequence[Table] = (),
    changed: Sequence[ChangedImages] = (),
) -> None:
    """Write the page with all tables, curves and pictures in it; it loads nothing from elsewhere.

    Without its script the tables cannot be sorted and filtered, and are all there.

    Args:
        path: of the ``.html`` file, replaced only when it is complete.
        report: of :func:`mmadvdefense.evaluation.report.build_report`.
        pictures: by heading, ``<img>`` elements of images before and after attack and purifier.
        distributions: by heading, elements that show distributions of features.
        classes: tables with results class by class.
        changed: the images that attacks have changed, to which the tables of single images lead.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader('mmadvdefense.evaluation.report'), autoescape=select_autoescape(['html']), trim_blocks=True
    )
    tables = [*report_tables(report), *detail_tables(report)] if report['metric'] else []
    threats = report['threat_models']
    text = environment.get_template('report.html').render(
        report=report,
        notes=notes(report),
        selection=''.join(selection_text(report['data'].get('selection'))).rstrip('.\n'),
        summary=next((table for table in tables if table.title == TITLE), None),
        main_tables=[(table, threats[table.title]) for table in tables if table.title in threats],
        tables=[_linked(table, changed) for table in tables if table.title not in (*threats, TITLE)],
        classes=classes,
        changed=changed,
        pictures_title=PICTURES,
        sections=[
            ('Robustness against the budget', _elements(budget_curves(report), 'eps (pixels)', 'score (%)')),
            ('Error amplification over the layers', _elements(amplification_curves(report), '', 'relative size')),
            (PICTURES, _marked(pictures)),
            ('Distributions of features', _marked(distributions)),
        ],
    )
    save_file_atomically(path, lambda file: file.write(text.encode()))


def _linked(table: Table, changed: Sequence[ChangedImages]) -> Table:
    """A table of single images whose shares of changed images lead to these images."""
    from markupsafe import Markup

    places = {
        (group.attack, group.defense): group.anchor
        for group in changed
        if table.title == f'{SINGLE_IMAGES}, {group.threat}'
    }
    if not places:
        return table
    column = table.rows[0].index(CHANGED)
    rows = [list(row) for row in table.rows]
    for row in rows[1:]:
        place = places.get((row[0], row[1]))
        if place:
            row[column] = Markup('<a href="#{}">{}</a>').format(place, row[column])
    return Table(table.title, rows)


def _elements(curves: list[Curve], x_label: str, y_label: str) -> dict[str, str]:
    return _marked(
        {
            curve.title: charts.svg(charts.line_figure(curve.lines, x_label, y_label, curve.bands, curve.ticks))
            for curve in curves
        }
    )


def _marked(elements: Optional[Mapping[str, str]]) -> dict[str, str]:
    """Elements that the template must not escape."""
    from markupsafe import Markup

    return {title: Markup(element) for title, element in (elements or {}).items()}
