"""Docstrings refer to objects with Sphinx roles, which Markdown does not know; this replaces them in the site."""

from __future__ import annotations

import re

# What Markdown makes of ``:class:`Attack` `` and ``:class:`~mmadvdefense.attacks.Attack` ``.
_ROLE = re.compile(r':(?:attr|class|data|exc|func|meth|mod|obj):<code>(~(?:\w+\.)*)?([^<]+)</code>')


def on_page_content(html: str, **_) -> str:
    """Replace each role with the name it refers to, as code. MkDocs calls this with the HTML of every page."""
    return _ROLE.sub(r'<code>\2</code>', html)
