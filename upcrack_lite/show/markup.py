"""HTML for pages: a table by great-tables that a phone can scroll, a list, a plain part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

_CSS = """
#{id} {{ overflow-x: auto; }}
#{id} .gt_table {{ font-size: 0.85rem; margin-left: 0; margin-bottom: 0; }}
#{id} .gt_table :is(th, td) {{ font-variant-numeric: tabular-nums; padding: 4px 8px; }}
#{id} .gt_row.gt_right {{ white-space: pre; }}
#{id} tbody td:nth-child(2).gt_left {{ min-width: 5.5rem; }}
#{id} .gt_heading, #{id} .gt_sourcenote {{ text-align: left; white-space: normal; }}
#{id} .gt_table tbody td:first-child {{ position: sticky; left: 0; background: #fff padding-box;
  min-width: 6.5rem; max-width: 9.5rem; white-space: pre-line; }}
#{id} :is(.gt_heading, .gt_sourcenote) div {{ position: sticky; left: 8px; max-width: min(38rem, 72vw);
  width: max-content; }}
"""


def great(heading: str, lines: Sequence[Mapping[str, str]]) -> Callable[..., Any]:
    """Begin a table of these lines; call the result to get its HTML. The key "" names a line."""

    def finish(
        labels: Mapping[str, str],
        spanners: Mapping[str, Sequence[str]],
        note: str,
        name: str,
        text: Sequence[str] = (),
        prose: Sequence[str] = (),
        commands: Sequence[str] = (),
    ) -> Any:
        """labels: column to heading; spanners: heading over columns; text: columns of words, set left.

        prose: those of them that hold sentences, and so need some width on a phone; commands: that hold commands.
        """
        import pandas as pd
        from great_tables import GT, html

        frame = pd.DataFrame(lines).rename(columns={"": "row"})
        numbers = [column for column in frame.columns if column not in ("row", *text)]
        table = GT(frame, id=name).tab_header(html(f"<div>{heading}</div>"))
        table = table.cols_label(row="", **labels).cols_align("right", numbers)
        table = table.cols_align("left", ["row", *text])
        if commands:
            table = table.fmt(shell, columns=list(commands))
        for over, columns in spanners.items():
            table = table.tab_spanner(over, list(columns))
        table = table.tab_source_note(html(f"<div>{note}</div>")).opt_css(_CSS.format(id=name))
        wide = [frame.columns.get_loc(column) + 1 for column in prose]
        table = table.opt_css(
            "".join(f"#{name} tbody td:nth-child({place}) {{ min-width: 15rem; }}" for place in wide)
        )
        return _display(table.as_raw_html())

    return finish


def shell(command: str) -> str:
    """A command as HTML whose lines break between its words only, never at the hyphen of an option."""
    words = [
        f'<span style="white-space: nowrap">{escape(word)}</span>' if "-" in word else escape(word)
        for word in command.split(" ")
    ]
    return f"<code>{' '.join(words)}</code>"


def items(lines: Sequence[str]) -> Any:
    """A list of lines that are HTML already."""
    return _display("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def part(text: str) -> Any:
    """HTML as it is."""
    return _display(f"<div>{text}</div>")


def _display(text: str) -> Any:
    from IPython.display import HTML  # only notebooks have it

    return HTML(text)
