"""Make the leaderboard, docs/leaderboard.md and docs/leaderboard.html, from the result files in zoo/results.

Run it in a clone. A row whose receipt is not valid ends it: no command, an export that is missing or another one, or a
grid that says something else by now. Without arguments, the pages are written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from _common import UsageError, run
from terminaltables import AsciiTable

from mmadvdefense.evaluation.grid.versions import read_report
from mmadvdefense.evaluation.leaderboard import Row, check_receipt, read_rows, write_row
from mmadvdefense.evaluation.leaderboard.again import forward_passes, verify_row
from mmadvdefense.evaluation.leaderboard.from_report import leaderboard_texts, rows_from_reports
from mmadvdefense.evaluation.leaderboard.page import outdated, pages
from mmadvdefense.saving import save_file_atomically
from mmadvdefense.validation import did_you_mean


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--check', action='store_true', help='write nothing; exit with 1 if a page is not up to date')
    what.add_argument(
        '--add',
        nargs='+',
        metavar='REPORT.json',
        help='make result files from reports of tools/robustness.py, then the pages; the report of images of 8 bits '
        'goes together with that of its grid',
    )
    what.add_argument(
        '--verify', metavar='NAME', help='attack a defense again; exit with 1 if a number is outside its 95 %% interval'
    )
    parser.add_argument('--images', type=int, default=200, help='for --verify: number of images (default: 200)')
    parser.add_argument('--work-dir', help='for --verify: keep the run there, and continue it if it was interrupted')
    arguments = parser.parse_args()
    if arguments.images < 1:
        parser.error(f'--images must be at least 1, got {arguments.images}')
    return arguments


def checked_rows() -> list[Row]:
    rows = read_rows()
    for row in rows:
        check_receipt(row)
    return rows


def add(paths: list[str]) -> None:
    grids = dict.fromkeys(read_report(path).get('config') for path in paths)
    passes = {
        (grid, defense): forward_passes(grid, defense)
        for grid in grids
        if grid and Path(grid).is_file()
        for defense in leaderboard_texts(grid)['rows']
    }
    rows = rows_from_reports(paths, passes)
    for row in rows:
        check_receipt(row)
    for row in rows:
        print(write_row(row))


def write_pages() -> None:
    for path, text in pages(checked_rows()).items():
        data = text.encode()
        save_file_atomically(path, lambda file, data=data: file.write(data), size=len(data))
        print(path)


def check() -> None:
    old = outdated(checked_rows())
    if old:
        raise UsageError(f'{", ".join(map(str, old))}: not up to date; run python tools/leaderboard.py and commit it')


def verify(name: str, images: int, work_dir: str | None) -> None:
    rows = {row.name: row for row in read_rows()}
    if name not in rows:
        raise UsageError(f'no row {name!r} on the leaderboard; {did_you_mean(name, rows)}')
    with tempfile.TemporaryDirectory(prefix='leaderboard-') as temporary:
        checks = verify_row(rows[name], work_dir or temporary, images)
    table = [['mean score of images (%)', 'stored', '95 %', 'now', 'inside']]
    for one in checks:
        found = 'nothing' if one.found is None else f'{one.found:.2f}'
        bounds = '{:.2f} - {:.2f}'.format(*one.interval)
        table.append([one.title, f'{one.stored:.2f}', bounds, found, 'yes' if one.holds else 'NO'])
    print(AsciiTable(table).table)
    outside = [one.title for one in checks if not one.holds]
    print(f'{name}: {len(checks) - len(outside)} of {len(checks)} numbers are inside their intervals')
    if outside:
        sys.exit(1)


def main() -> None:
    arguments = parse_arguments()
    if arguments.verify:
        verify(arguments.verify, arguments.images, arguments.work_dir)
    elif arguments.check:
        check()
    else:
        if arguments.add:
            add(arguments.add)
        write_pages()


if __name__ == '__main__':
    run(main)
