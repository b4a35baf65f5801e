"""The report of a certification: one dict, and the tables, CSV files, curve and page that show it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

from ...pixels import PIXEL_MAX
from ...saving import save_file_atomically, write_json
from ..report import charts
from ..report.tables import Table
from .attacked import EOT_SAMPLES, STEPS
from .row_file import FORMAT, VERSION
from .summary import Row, curve, image_summary, pixel_summary, steps, table_radii


def build_report(
    facts: Mapping[str, Any],
    largest_radius: float,
    rows: Mapping[str, Sequence[Row]],
    radii: Optional[Sequence[float]] = None,
    per_pixel: bool = False,
    attacked: Optional[Mapping[str, Sequence[Row]]] = None,
) -> dict[str, Any]:
    """The report as JSON-plain data.

    Args:
        facts: what a reader must know of the run: ``config``, ``checkpoint``, ``sigma``, ``n0``, ``n``, ``alpha``, ...
        largest_radius: in pixels.
        rows: of the images, by what stands in front of the model; those without rows are left out.
        radii: of the table, for images in 0-1; by default the usual ones.
        per_pixel: whether pixels were certified.
        attacked: rows of :func:`~mmadvdefense.evaluation.certification.attacked.check_certificates`, named as ``rows``.
    """
    shown = table_radii(largest_radius, radii)
    summaries = {
        name: pixel_summary(own) if per_pixel else image_summary(own, shown, facts['seed'])
        for name, own in rows.items()
        if own
    }
    for name, own in (attacked or {}).items():
        summaries[name]['attacked'] = {
            'images': len(own),
            'changed': sum(row['predicted'] not in (None, row['label']) for row in own),
            'abstained': sum(row['predicted'] is None for row in own),
        }
    return {
        'format': FORMAT,
        'version': VERSION,
        **facts,
        'per_pixel': per_pixel,
        'largest_radius': largest_radius,
        'results': summaries,
    }


def report_table(report: Mapping[str, Any]) -> Table:
    """Certified accuracy by radius, with a column for each defense; of pixels, a row for each defense."""
    results = report['results']
    title = f'certified accuracy (%), sigma {report["sigma"]:g} pixels'
    if report['per_pixel']:
        header = ['defense', 'radius (0-1)', 'radius (pixels)', 'pixels certified right', 'wrong', 'abstained', 'mIoU']
        values = ('accuracy', 'wrong', 'abstained', 'mean_iou')
        return Table(
            title,
            [header]
            + [
                [name, f'{own["radius"]:.3f}', f'{own["radius_pixels"]:.1f}', *(_shown(own[value]) for value in values)]
                for name, own in results.items()
            ],
        )
    certified = [own['certified'] for own in results.values()]
    lines = [
        [f'{row[0]["radius"]:g}', f'{row[0]["radius_pixels"]:g}', *(_with_interval(cell) for cell in row)]
        for row in zip(*certified)
    ]
    return Table(title, [['L2 radius (0-1)', 'L2 radius (pixels)', *results], *lines])


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader of the table must know, a sentence each."""
    wrong = f'{100 * report["alpha"]:g} %'
    lines = [
        f'n0 = {report["n0"]} votes select the class, n = {report["n"]} estimate its probability; the certificate of '
        f'an image is wrong with a probability of at most {wrong}.'
    ]
    for name, own in report['results'].items():
        unit = 'pixels' if report['per_pixel'] else 'images'
        more = '' if report['per_pixel'] else f'; average certified radius {own["average_radius"]:.3f} (0-1)'
        lines.append(f'{name}: {own["images"]} images, abstains on {own["abstained"]:.1f} % of the {unit}{more}.')
        if own.get('attacked'):
            facts = own['attacked']
            lines.append(
                f'{name}: PGD inside the certified radius ({STEPS} steps, gradients over {EOT_SAMPLES} draws of the '
                f'noise) changes {facts["changed"]} of {facts["images"]} predictions; {facts["abstained"]} become '
                'abstentions.'
            )
    if report.get('skip_wrong'):
        lines.append(
            'Where the selected class was wrong, no probability was estimated: these images count as abstentions, '
            'which changes no accuracy in the table.'
        )
    return lines


def write_report(
    folder: Union[str, Path], report: Mapping[str, Any], rows: Mapping[str, Sequence[Row]]
) -> dict[str, Path]:
    """Write ``report.json``, ``images.csv``, ``report.html`` and, for classifiers, ``curve.csv`` and ``curve.svg``.

    Args:
        folder: where to.
        report: of :func:`build_report`.
        rows: as given there.

    Returns:
        The files by their name without ending.
    """
    folder = Path(folder)
    paths = {name: folder / f'{name}{end}' for name, end in (('images', '.csv'), ('report', '.html'))}
    write_json(folder / 'report.json', report)
    named = [{'defense': name, **row} for name, own in rows.items() for row in own]
    _write_csv(paths['images'], list(named[0]) if named else ['defense'], named)
    picture = None
    if not report['per_pixel']:
        paths['curve'] = folder / 'curve.csv'
        falls = [(name, *step) for name, own in rows.items() if own for step in steps(own)]
        _write_csv(
            paths['curve'],
            ['defense', 'radius', 'radius_pixels', 'certified_accuracy'],
            [
                {'defense': name, 'radius': radius / PIXEL_MAX, 'radius_pixels': radius, 'certified_accuracy': accuracy}
                for name, radius, accuracy in falls
            ],
        )
        lines = {name: curve(own, report['largest_radius']) for name, own in rows.items() if own}
        figure = charts.line_figure(lines, 'L2 radius (images in 0-1)', 'certified accuracy (%)')
        picture = charts.svg(figure)
        _write_text(folder / 'curve.svg', picture)
    _write_text(paths['report'], _page(report, picture))
    return paths


def _page(report: Mapping[str, Any], picture: Optional[str]) -> str:
    from jinja2 import Environment, PackageLoader, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader('mmadvdefense.evaluation.report'), autoescape=select_autoescape(['html']), trim_blocks=True
    )
    return environment.get_template('certification.html').render(
        report=report, table=report_table(report), notes=notes(report), curve=picture and Markup(picture)
    )


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    _write_text(path, buffer.getvalue())


def _write_text(path: Path, text: str) -> None:
    save_file_atomically(path, lambda file: file.write(text.encode()))


def _with_interval(cell: Mapping[str, Any]) -> str:
    low, high = cell['interval']
    return f'{cell["accuracy"]:.1f} ({low:.1f}-{high:.1f})'


def _shown(value: Optional[float]) -> str:
    return '-' if value is None else f'{value:.1f}'
