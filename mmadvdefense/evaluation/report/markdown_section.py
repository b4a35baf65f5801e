"""The tables of a report inside a document written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

from ...checkpoints import save_file_atomically
from ...errors import UsageError
from .grid_tables import facts, report_tables


def section_marks(config: str) -> tuple[str, str]:
    """The lines that enclose the tables of a grid in a document."""
    return f'<!-- robustness: {config} -->', f'<!-- end of {config} -->'


def check_section(path: Union[str, Path], config: str) -> None:
    """Check that a document has a place for the tables of a grid.

    Raises:
        FileNotFoundError: if there is no such document.
        UsageError: if it has no place for this grid; the message says how to add one.
    """
    _split(Path(path).read_text(), path, config)


def update_section(path: Union[str, Path], report: dict[str, Any], command: str) -> None:
    """Write the main tables of a report into their place in a document, with the command that made them.

    Args:
        path: of the document, in Markdown; replaced only when the new text is complete.
        report: of :func:`mmadvdefense.evaluation.report.build_report`.
        command: as typed in a shell.
    """
    before, after = _split(Path(path).read_text(), path, report['config'])
    tables = '\n\n'.join(table.markdown(level=3) for table in report_tables(report))
    section = f'```bash\n{command}\n```\n\n{facts(report)}\n\n{tables}'
    text = f'{before}\n\n{section}\n\n{after}'.encode()
    save_file_atomically(path, lambda file: file.write(text))


def _split(text: str, path: Union[str, Path], config: str) -> tuple[str, str]:
    """The text before and after the section, with the marks."""
    start, end = section_marks(config)
    before, has_start, rest = text.partition(start)
    _, has_end, after = rest.partition(end)
    if not has_start or not has_end:
        raise UsageError(f'{path} has no place for the tables of {config}: put the lines {start} and {end} into it')
    return before + start, end + after
