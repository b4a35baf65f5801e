"""What the site needs besides its pages: docstrings name objects by Sphinx's roles, which Markdown does not know."""

from __future__ import annotations

import re

# ``:class:`Attack` `` and ``:class:`~mmadvdefense.attacks.Attack` `` as Markdown leaves them.
_ROLE = re.compile(r':(?:attr|class|data|exc|func|meth|mod|obj):<code>(~(?:\w+\.)*)?([^<]+)</code>')


def on_page_content(html: str, **_) -> str:
    """MkDocs calls this with every page after Markdown; what a role names stays, as code."""
    return _ROLE.sub(r'<code>\2</code>', html)
