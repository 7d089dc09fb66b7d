"""HTML for pages: a table by great-tables that a phone can scroll and a reader sort, a list, what is folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_CSS = """
#{id} {{ overflow-x: auto; }}
#{id} .gt_table {{ font-size: 0.85rem; margin-left: 0; margin-bottom: 0;
  background: var(--pst-color-background, #fff); color: var(--pst-color-text-base, #222); }}
#{id} :is(.gt_col_heading, .gt_column_spanner_outer, .gt_title, .gt_heading, .gt_sourcenote) {{
  background: var(--pst-color-background, #fff); color: var(--pst-color-text-base, #222); }}
#{id} .gt_table :is(th, td) {{ font-variant-numeric: tabular-nums; padding: 4px 8px; }}
#{id} .gt_row.gt_right {{ white-space: pre; }}
#{id} tbody td.gt_left:not(:first-child) {{ min-width: 7.2rem; }}
#{id} .gt_heading, #{id} .gt_sourcenote {{ text-align: left; white-space: normal; }}
#{id} .gt_table tbody td:first-child {{ position: sticky; left: 0; min-width: 6.5rem; max-width: 9.5rem;
  background: var(--pst-color-background, #fff) padding-box; white-space: pre-line; }}
#{id} :is(.gt_heading, .gt_sourcenote) div {{ position: sticky; left: 8px; max-width: min(38rem, 72vw);
  width: max-content; }}
"""
"""Of a table: the theme's colors, so that light and dark both work; without a theme, in JupyterLab, dark on white."""


def table(
    heading: str,
    lines: Sequence[Mapping[str, str]],
    labels: Mapping[str, str],
    note: str,
    name: str,
    spanners: Mapping[str, Sequence[str]] | None = None,
    text: Sequence[str] = (),
    prose: Sequence[str] = (),
    markup: Sequence[str] = (),
) -> Any:
    """A table as HTML.

    lines: column to text, the key "" names a line. labels: column to heading, of the columns that are shown in their
    order; that of "" may be left out. name: of the HTML element. spanners: heading over columns. text: columns of
    words, set left. prose: those that hold sentences, and so need some width on a phone. markup: those of HTML.
    """
    import pandas as pd
    from great_tables import GT, html

    headings = {"row": labels.get("", "")} | {column: label for column, label in labels.items() if column}
    frame = pd.DataFrame(lines).rename(columns={"": "row"})[list(headings)]
    numbers = [column for column in frame.columns if column not in ("row", *text)]
    shown = GT(frame, id=name).tab_header(html(f"<div>{heading}</div>")).cols_label(**headings)
    shown = shown.cols_align("right", numbers).cols_align("left", ["row", *text])
    if markup:
        shown = shown.fmt(str, columns=list(markup))
    for over, columns in (spanners or {}).items():
        shown = shown.tab_spanner(over, list(columns))
    places = [frame.columns.get_loc(column) + 1 for column in prose]
    wide = [f"#{name} tbody td:nth-child({place}) {{ min-width: 15rem; }}" for place in places]
    shown = shown.tab_source_note(html(f"<div>{note}</div>")).opt_css("".join([_CSS.format(id=name), *wide]))
    kind = "sortable" if not spanners else "wide"  # a heading over two columns has nothing to sort by
    box = f'<div id="{name}" class="{kind}" tabindex="0" role="region" aria-label="{escape(heading)}"'
    return part(shown.as_raw_html().replace(f'<div id="{name}"', box, 1))


def shell(command: str) -> str:
    """A command as HTML whose lines break between its words only, never at the hyphen of an option."""
    words = [
        f'<span style="white-space: nowrap">{escape(word)}</span>' if "-" in word else escape(word)
        for word in command.split(" ")
    ]
    return f"<code>{' '.join(words)}</code>"


def items(lines: Sequence[str]) -> Any:
    """A list of lines that are HTML already."""
    return part("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def sentences(lines: Sequence[str]) -> Any:
    """A list of lines of plain text."""
    return items([escape(line) for line in lines])


def folded(summary: str, body: str) -> str:
    """HTML that is shown when its summary is touched. Both are HTML already."""
    return f'<details class="fold"><summary>{summary}</summary>{body}</details>'


def part(text: str) -> Any:
    """HTML as a notebook shows it."""
    from IPython.display import HTML  # only notebooks have it

    return HTML(text)
