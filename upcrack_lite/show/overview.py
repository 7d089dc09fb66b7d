"""All 96 printed rows at a glance: verdict and reading of each, from the records. Chapter: all rows."""

from __future__ import annotations

import html
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from upcrack_lite.reproduction import published, record_files, tables, verdicts
from upcrack_lite.reproduction.experiments import CHOICES, Selection
from upcrack_lite.reproduction.tables import TableRow
from upcrack_lite.reproduction.verdicts import Verdict
from upcrack_lite.show.markup import sentences, table
from upcrack_lite.show.table_words import reading_word, title

LETTERS = {
    Verdict.MATCHES: "M",
    Verdict.DIFFERS: "D",
    Verdict.OPEN: "O",
    Verdict.NOT_RUN: "–",
    Verdict.CANNOT: "×",
}
COLORS = {"above": "#d3e5f5", "near": "#d5ecd4", "below": "#f9dfc4", "": "#ececec"}
"""Of a cell, by the first word of its reading; dark text is readable on each."""

_ARE = {one: f"are {one}" for one in (Verdict.OPEN, Verdict.NOT_RUN)}
_WORDS = [f"{letter} {verdict}" for verdict, letter in LETTERS.items()]
LEGEND = (
    f"{'; '.join(_WORDS)}. The number is our F1 minus the printed one, in points, with the records nearest to the "
    "paper's conditions; blue above, green near, orange below. Each cell leads to its table's page."
)
SMALL_LEGEND = (
    f"A line is a table, a letter one of its printed rows, in their order: {', '.join(_WORDS)}. The color compares "
    f"F1: blue, ours is higher; green, within {verdicts.MARGIN:g} points; orange, ours is lower; gray, no record."
)


class AllRows:
    """The page's parts. results: the folder of records; empty: the kit's."""

    def __init__(self, results: Path | str = "") -> None:
        given = tables.recorded(record_files.folder("results", results))
        every = {n: tables.divided(tables.table(Selection(n), given)) for n in published.TABLES}
        self.rows = {number: rows for number, (rows, _) in every.items()}
        self.beside = {number: beside for number, (_, beside) in every.items()}
        """Of each table: the printed rows, and those that are not in the paper."""
        self.every = [row for rows in self.rows.values() for row in rows]
        self.readings = Counter(reading_word(row) for row in self.every if row.ours)
        """How many rows lie below, near and above the printed F1."""

    def says(self) -> Any:
        """What was rebuilt, what came out, what is open: three sentences."""
        counts = Counter(row.verdict for row in self.every)
        told = ", ".join(f"{counts[one]} {_ARE.get(one, one)}" for one in LETTERS if counts[one])
        known = [row for row in self.every if not math.isnan(_distance(row))]
        said = [
            f"Of the {len(self.every)} printed rows {told}; {len(known)} have a record of ours beside them."
        ]
        if known:
            middle = statistics.median(_distance(row) for row in known)
            said.append(
                f"With the records nearest to the paper's conditions, F1 lies below the printed value in "
                f"{self.readings['below']} rows, near it (within {verdicts.MARGIN:g} points) in "
                f"{self.readings['near']}, above it in {self.readings['above']}; the median distance is "
                f"{_signed(middle)} points."
            )
        if missing := Counter(why for row in known for why in row.ours[0].unmet):
            most = "; ".join(f"{why} ({count} rows)" for why, count in missing.most_common(3))
            said.append(f"What a verdict lacks most often: {most}.")
        return sentences(said)

    def methods(self) -> Any:
        """Tables III to VIII: a line for each method, a column for each table."""
        facts = {number: one for number, one in published.TABLES.items() if number not in CHOICES}
        labels = {str(n): f"{one.roman}: {one.train_set} → {one.test_set}" for n, one in facts.items()}
        lines: dict[str, dict[str, str]] = {}
        for number in facts:
            for row in self.rows[number]:
                line = lines.setdefault(row.printed.key, {"": title(row.printed)} | dict.fromkeys(labels, ""))
                line[str(number)] = _cell(row)
        heading, shown = "Methods: Tables III to VIII", list(lines.values())
        return table(heading, shown, labels, LEGEND, "all-methods", markup=list(labels))

    def small(self, folder: str) -> str:
        """All rows as HTML: a line for each table, a letter for each row. folder: where the tables' pages lie."""
        lines = []
        for number, rows in self.rows.items():
            cells = "".join(_cell(row, folder) for row in rows)
            head = f'<a href="{folder}table_{number}.html">{published.TABLES[number].roman}</a>'
            lines.append(f"<tr><th scope='row'>{head}</th><td>{cells}</td></tr>")
        return f'<table class="all-rows">{"".join(lines)}</table>'

    def choices(self) -> Any:
        """Tables I and II: a line for each choice of losses and of masks."""
        lines = [
            {"": title(row.printed), "table": published.TABLES[number].roman, "f1": _cell(row)}
            | {"on": row.ours[0].test_set if row.ours else "–"}
            for number in CHOICES
            for row in self.rows[number]
        ]
        labels = {"table": "table", "f1": "F1, ours − printed", "on": "ours tested on"}
        heading = "Choices of UP-CrackNet: Tables I and II"
        return table(heading, lines, labels, LEGEND, "all-choices", text=("table", "on"), markup=("f1",))


def _distance(row: TableRow) -> float:
    """F1 of the nearest records minus the printed one, in points; nan where one of them is not there."""
    return row.ours[0].f1 - row.printed.f1 if row.ours else math.nan


def _cell(row: TableRow, folder: str = "") -> str:
    """The verdict's letter and the distance, as a link to the table's page that says all on being touched.

    folder: where the tables' pages lie, for the front page: it shows the letter alone, and tells the row's name.
    """
    shown, style = LETTERS[row.verdict], f"background: {COLORS[reading_word(row)]}"
    said = f"{row.verdict}: {row.reading or row.reason}"
    if folder:
        said = f"{title(row.printed)}, {said}"
    else:  # the front page has a style sheet
        shown += "" if math.isnan(_distance(row)) else f" {_signed(_distance(row))}"
        style += "; color: #1a1a1a; padding: 2px 6px; border-radius: 3px; text-decoration: none"
    page = f"{folder}table_{row.printed.table}.html"
    return f'<a href="{page}" title="{html.escape(said)}" style="{style}">{shown}</a>'


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
