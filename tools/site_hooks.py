"""Hooks of MkDocs: what reads well where the repository is read, and on the site would not."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the repository."""
    return re.sub(r"\]\(\.\./([^)]*)\)", rf"]({config.extra['repository']}/\1)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings' :class:`Name` becomes the name alone; of ~long.Name too."""
    return re.sub(r":(?:class|data|func|meth|mod|attr):<code>(?:~[\w.]*\.)?", "<code>", html)
