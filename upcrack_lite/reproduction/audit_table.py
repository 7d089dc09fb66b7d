"""Read a table of printed metrics from a CSV file, digits and all: how a number is printed says how sure it is."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction.intervals import Interval

ALIASES = {
    "precision": "precision prec p pr pre ppv positivepredictivevalue",
    "recall": "recall rec r re sensitivity sens se tpr truepositiverate",
    "accuracy": "accuracy acc ac oa overallaccuracy pixelaccuracy globalaccuracy",
    "f1": "f1 f f1score fscore f1measure fmeasure dice dicescore dsc dicecoefficient",
    "iou": "iou jaccard jaccardindex jaccardscore ji crackiou ioucrack iouscore",
}
MISSING = {"", "-", "–", "—", "na", "n/a", "nan", "none", "null", "/"}
FACTORS = {"percent": 0.01, "fraction": 1.0}  # of a printed number, to make it a fraction of 1
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.IGNORECASE)
FINEST = 1e-7  # of 1: programs often compute in 32 bit, so later digits prove nothing


@dataclass(frozen=True)
class PrintedRow:
    """One row as text. `factor` turns a printed number into a fraction of 1: 0.01 for percent."""

    number: int  # from 1, within its table
    label: str
    cells: Mapping[str, str]  # metric to text; a metric that is not printed is absent
    table: str = ""
    group: str = ""  # the test set
    factor: float = 0.01

    @property
    def name(self) -> str:
        """Table and label, or the row's number."""
        return " ".join(word for word in (self.table, self.label or f"row {self.number}") if word)

    def interval(self, metric: str, slack: float = 0.5) -> Interval:
        """Fractions that round to the printed digits; slack: in units of the last digit."""
        text = self.cells[metric]
        mantissa, _, exponent = text.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        half = max(slack * 10.0**-decimals * self.factor, FINEST) * (1 + 1e-6)
        middle = float(text) * self.factor
        return max(0.0, middle - half), min(1.0, middle + half)

    def known(self, slack: float = 0.5, swapped: bool = False) -> dict[str, Interval]:
        """Intervals of all printed metrics; swapped: precision is what is printed as recall, and back."""
        swap = {"precision": "recall", "recall": "precision"} if swapped else {}
        return {swap.get(metric, metric): self.interval(metric, slack) for metric in self.cells}

    def changed(self, **cells: str) -> PrintedRow:
        """The row with other texts."""
        return replace(self, cells={**self.cells, **cells})


def with_unit(rows: Sequence[PrintedRow], unit: str = "auto") -> tuple[list[PrintedRow], str]:
    """Give each row its unit; returns the rows and the unit.

    "auto" takes fractions when more than half of the accuracies (without accuracy: of all numbers) are at most 1.
    Raises UserError for another unit, or a number above 1 among fractions.
    """
    if unit not in ("auto", *FACTORS):
        raise UserError(f"unknown unit {unit!r}; choose auto, {', '.join(FACTORS)}")
    texts = [text for row in rows for text in row.cells.values()]
    if unit == "auto":
        votes = [row.cells["accuracy"] for row in rows if "accuracy" in row.cells] or texts
        unit = "fraction" if 2 * sum(float(text) <= 1 for text in votes) > len(votes) else "percent"
    large = [text for text in texts if float(text) > 1]
    if unit == "fraction" and large:
        raise UserError(f"{large[0]} is above 1 among fractions: write the whole table in one unit")
    return [replace(row, factor=FACTORS[unit]) for row in rows], unit


def read_table(
    path: Path | str,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    label: str | None = None,
) -> tuple[list[PrintedRow], list[str]]:
    """Read the rows of a CSV file with a header; comma, semicolon and tab separate.

    path: the file, UTF-8. columns: metric to the name of its column, where the usual names do not find it. group:
    column that names the test set of a row. label: column that names a row; None takes the first one that is not
    used otherwise.
    Returns rows, and the columns that were not used.
    Raises UserError: the file cannot be read, or a cell is no number between 0 and 100; with line and column.
    """
    path = Path(path)
    header, lines = _lines(path)
    for name in (*(columns or {}).values(), group, label):
        if name is not None and name not in header:
            raise UserError(f"{path} has no column {name!r}; its columns are: {', '.join(header)}")
    chosen = _columns(path, header, columns or {})
    others = [name for name in header if name not in {*chosen.values(), group}]
    label = label or (others[0] if others else None)
    rows = []
    for number, (line, cells) in enumerate(lines, 1):
        texts = {
            metric: _number(cells[column], f"{path}, line {line}, column {column!r}")
            for metric, column in chosen.items()
            if cells[column].lower() not in MISSING
        }
        name, test_set = (cells[column] if column else "" for column in (label, group))
        rows.append(PrintedRow(number, name, texts, group=test_set))
    if not any(row.cells for row in rows):
        raise UserError(f"{path} has no number in its columns {', '.join(chosen.values())}")
    return rows, [name for name in others if name != label]


def _lines(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and of each row its line in the file and its cells by column."""
    try:
        text = path.read_text(encoding="utf-8-sig").lstrip("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: save it as CSV in UTF-8") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. The paper's own tables: `upcrack audit paper`"
        ) from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    lines = []
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        header = [name.strip() for name in reader.fieldnames or ()]
        if doubled := {name for name in header if name and header.count(name) > 1}:
            raise UserError(f"{path}: column {min(doubled)!r} stands for two things; rename one of them")
        for cells in reader:
            if None in cells or None in cells.values():
                raise UserError(
                    f"{path}, line {reader.line_num}: its cells are not as many as the header's {len(header)} "
                    "(a decimal comma? write 61.8)"
                )
            named = {name.strip(): _shown(cell) for name, cell in cells.items() if name.strip()}
            lines.append((reader.line_num, named))
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file: {error}") from error
    if not lines:
        raise UserError(f"{path}: it needs a header and rows")
    return [name for name in header if name], lines  # a spreadsheet adds empty columns


def _shown(cell: str) -> str:
    """A cell without spaces around it; what would move a terminal's cursor or colors is replaced."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in cell.strip())


def _columns(path: Path, header: list[str], named: Mapping[str, str]) -> dict[str, str]:
    """Metric to column: those that are named, and those with usual names."""
    known = {alias: metric for metric, names in ALIASES.items() for alias in names.split()}
    chosen = dict(named)
    for column in header:
        # NFKC: F₁ is F1. Then letters and digits alone, for there are a dozen kinds of hyphen.
        plain = unicodedata.normalize("NFKC", column).lower()
        metric = known.get(re.sub(r"percent(age)?|pct|[^a-z0-9]", "", plain))
        if metric is None or column in chosen.values() or metric in named:
            continue
        if metric in chosen:
            raise UserError(
                f"{path}: columns {chosen[metric]!r} and {column!r} both look like {metric}; "
                f"say which one counts with --{metric} NAME"
            )
        chosen[metric] = column
    if not chosen:
        raise UserError(
            f"{path} has no column of precision, recall, accuracy, F1 or IoU; its columns are: "
            f"{', '.join(header)}. Name one with --precision NAME, --f1 NAME and so on"
        )
    return {metric: chosen[metric] for metric in METRICS if metric in chosen}


def _number(text: str, where: str) -> str:
    if not NUMBER.fullmatch(text):
        raise UserError(
            f"{where}: {text!r} is no number; write the mean alone, with a point and without %, or leave it empty"
        )
    if not 0 <= float(text) <= 100:
        raise UserError(f"{where}: {text} lies outside 0 to 100: no metric of this table can")
    return text
