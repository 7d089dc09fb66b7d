"""What a chapter finds in a plain script in place of IPython, ipywidgets and great-tables: text instead of pages."""

from __future__ import annotations

import html
import re
import sys
import types
from collections.abc import Callable
from typing import Any

WIDGETS = "upcrack_lite.show.widgets"
NAMES = frozenset({"IPython", "IPython.display", "great_tables", WIDGETS})
"""Modules that `install` replaces."""


class Html:
    """IPython's HTML, Markdown, ...: its repr is the text without tags."""

    def __init__(self, data: Any = "", *args: Any, **kwargs: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        text = re.sub(r"<style.*?</style>", "", str(self.data), flags=re.S)
        text = re.sub(r"</(tr|li|div|p|h\d)>|<br */?>", "\n", text)
        text = html.unescape(re.sub(r"<[^>]+>", " ", text))
        lines = (" ".join(line.split()) for line in text.splitlines())
        return "\n".join(line for line in lines if line)


class Table:
    """great-tables' GT: it takes every call, and gives its frame as text."""

    def __init__(self, frame: Any, *args: Any, **kwargs: Any) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Callable[..., Table]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self

    def as_raw_html(self, *args: Any, **kwargs: Any) -> str:
        """The frame's lines."""
        return "<br>".join(html.escape(line) for line in self._frame.to_string().splitlines())


def display(*things: Any, metadata: dict[str, Any] | None = None, **kwargs: Any) -> None:
    """Print what would be shown; of a figure its size and its alternative text."""
    alt = (metadata or {}).get("image/png", {}).get("alt")
    for thing in things:
        print(f"[{thing}] {alt}" if alt else repr(thing))


def install(skipped: list[str]) -> None:
    """Put the stand-ins into `sys.modules`. skipped: gets the name of each widget that a chapter asks for."""
    shown = types.ModuleType("IPython.display")
    shown.display = display
    for name in ("HTML", "Markdown", "Image", "SVG", "Latex"):
        setattr(shown, name, Html)
    python = types.ModuleType("IPython")
    python.display, python.version_info = shown, (9, 0, 0)
    python.get_ipython = lambda: None  # matplotlib asks
    tables = types.ModuleType("great_tables")
    tables.GT, tables.html = Table, str
    widgets = types.ModuleType(WIDGETS)

    def widget(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def made(*args: Any, **kwargs: Any) -> Html:
            skipped.append(name)
            return Html(f"[the widget {name} is skipped]")

        return made

    widgets.__getattr__ = widget
    sys.modules |= {"IPython": python, "IPython.display": shown, "great_tables": tables, WIDGETS: widgets}
