"""What the site does beyond Markdown: docstrings' Sphinx roles, and the tutorials as notebooks. MkDocs calls these."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# What Markdown makes of ``:class:`Attack` `` and ``:class:`~mmadvdefense.attacks.Attack` ``.
_ROLE = re.compile(r':(?:attr|class|data|exc|func|meth|mod|obj):<code>(~(?:\w+\.)*)?([^<]+)</code>')
_TUTORIALS = PurePosixPath('tutorials')


def on_page_content(html: str, **_) -> str:
    """Replace each role with the name it refers to, as code."""
    return _ROLE.sub(r'<code>\2</code>', html)


def is_tutorial(path: str) -> bool:
    """Whether a page, by its path in ``docs``, is a notebook as well."""
    return PurePosixPath(path).parent == _TUTORIALS and PurePosixPath(path).stem != 'index'


def notebook(text: str) -> str:
    """A tutorial as a notebook: its Python and shell blocks are cells, all else is text.

    The header of the page names the kernel; without one, Jupytext takes the language that most cells are in.
    """
    import jupytext

    cells = jupytext.reads(text, fmt='md')
    # Numbered, so that the same text gives the same file.
    for number, cell in enumerate(cells.cells):
        cell['id'] = f'cell-{number}'
    return jupytext.writes(cells, fmt='ipynb')


def on_files(files, config, **_):
    """Add a notebook for each tutorial."""
    from mkdocs.structure.files import File

    for page in [file for file in files if is_tutorial(file.src_uri)]:
        path = str(PurePosixPath(page.src_uri).with_suffix('.ipynb'))
        files.append(File.generated(config, path, content=notebook(page.content_string)))
    return files


def on_page_markdown(markdown: str, page, **_) -> str:
    """Lead from a tutorial to its notebook, below its title."""
    if not is_tutorial(page.file.src_uri):
        return markdown
    title, rest = markdown.split('\n', 1)
    name = PurePosixPath(page.file.src_uri).stem
    return f'{title}\n\n[Download this page as a notebook]({name}.ipynb)\n{rest}'
