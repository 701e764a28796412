"""Hooks of MkDocs: change links and roles that the site cannot show."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the repository."""
    return re.sub(r"\]\(\.\./([^)]*)\)", rf"]({config.extra['repository']}/\1)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Replace the role :class:`Name` in docstrings by the name, and :class:`~long.Name` by its last part."""
    return re.sub(r":(?:class|data|func|meth|mod|attr):<code>(?:~[\w.]*\.)?", "<code>", html)
