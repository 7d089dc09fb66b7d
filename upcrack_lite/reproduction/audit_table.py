"""Read a table of printed metrics from a CSV file, digits and all: how a number is printed says how sure it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction.intervals import Interval, narrow

METRICS = ("precision", "recall", "accuracy", "f1", "iou")
ALIASES = {
    "precision": "precision prec p pr pre ppv positivepredictivevalue",
    "recall": "recall rec r re sensitivity sens se tpr truepositiverate",
    "accuracy": "accuracy acc ac oa overallaccuracy pixelaccuracy globalaccuracy",
    "f1": "f1 f f1score fscore f1measure fmeasure dice dicescore dsc dicecoefficient",
    "iou": "iou jaccard jaccardindex jaccardscore ji crackiou ioucrack iouscore",
}
MISSING = {"", "-", "–", "—", "na", "n/a", "nan", "none", "null", "/"}
FACTORS = {"percent": 0.01, "fraction": 1.0}  # of a printed number, to make it a share of 1
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.IGNORECASE)
FINEST = 1e-7  # a share: programs often compute in 32 bit, so later digits prove nothing


@dataclass(frozen=True)
class PrintedRow:
    """One row as text. `factor` turns a printed number into a share of 1: 0.01 for percent."""

    number: int  # from 1, within its table
    label: str
    cells: Mapping[str, str]  # metric to text; a metric that is not printed is absent
    table: str = ""
    group: str = ""
    line: int = 0  # of the file
    factor: Mapping[str, float] = field(default_factory=dict)  # metric to 0.01 or 1

    @property
    def name(self) -> str:
        """Table and label, or the row's number."""
        return " ".join(word for word in (self.table, self.label or f"row {self.number}") if word)

    def value(self, metric: str) -> float | None:
        """The printed value as a share of 1, or None."""
        return float(self.cells[metric]) * self.factor[metric] if metric in self.cells else None

    def interval(self, metric: str, slack: float = 0.5) -> Interval:
        """Shares that round to the printed digits; slack: in units of the last digit."""
        text, factor = self.cells[metric], self.factor[metric]
        mantissa, _, exponent = text.lower().partition("e")
        decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
        half = max(slack * 10.0**-decimals * factor, FINEST) * (1 + 1e-6)
        middle = float(text) * factor
        return max(0.0, middle - half), min(1.0, middle + half)

    def known(self, slack: float = 0.5, exchanged: bool = False) -> dict[str, Interval]:
        """Intervals of all printed metrics; exchanged: precision is what is printed as recall, and back."""
        swap = {"precision": "recall", "recall": "precision"} if exchanged else {}
        return {swap.get(metric, metric): self.interval(metric, slack) for metric in self.cells}

    def changed(self, metric: str, text: str) -> PrintedRow:
        """The row with another text in one cell."""
        return replace(self, cells={**self.cells, metric: text})

    def rescaled(self, factors: Mapping[str, float]) -> PrintedRow:
        """The row with some cells in another unit."""
        return replace(self, factor={**self.factor, **factors})


def with_unit(rows: Sequence[PrintedRow], unit: str = "auto") -> tuple[list[PrintedRow], str]:
    """Give each row its unit.

    "auto" takes fractions when more than half of the accuracies are at most 1. Without accuracy all numbers
    count, unless more rows satisfy the identities in percent (F1 0.6 goes with IoU 0.43, F1 0.6 % with IoU 0.30 %).

    Returns the rows and the unit. Raises UserError for another unit.
    """
    if unit not in ("auto", *FACTORS):
        raise UserError(f"unknown unit {unit!r}; choose auto, {', '.join(FACTORS)}")
    if unit == "auto":
        texts = [row.cells["accuracy"] for row in rows if "accuracy" in row.cells]
        fitting = {}
        if not texts:
            texts = [text for row in rows for text in row.cells.values()]
            for name, factor in FACTORS.items():
                tried = (row.rescaled(dict.fromkeys(row.cells, factor)) for row in rows)
                fitting[name] = sum(narrow(row.known()) is not None for row in tried)
        unit = "fraction" if 2 * sum(float(text) <= 1 for text in texts) > len(texts) else "percent"
        if fitting and fitting["percent"] > fitting["fraction"]:
            unit = "percent"
    factor = FACTORS[unit]
    # A number above 1 cannot be a fraction: it is read as percent, and the audit says so.
    return [
        replace(row, factor={m: 0.01 if float(text) > 1 else factor for m, text in row.cells.items()})
        for row in rows
    ], unit


def gaps(have: set[str]) -> list[str]:
    """Say what cannot be checked when only these metrics are printed."""
    notes = []
    missing = [metric for metric in METRICS if metric not in have]
    if missing:
        notes.append(f"no column of {', '.join(missing)}")
    if "f1" not in have or not {"precision", "recall"} <= have:
        notes.append("F1 cannot be checked against precision and recall")
    if "iou" not in have or not ("f1" in have or {"precision", "recall"} <= have):
        notes.append("IoU cannot be checked")
    if "accuracy" not in have:
        notes.append("without accuracy there is no crack share: exchanged columns cannot be seen")
    elif not ({"precision", "recall"} <= have or have & {"f1", "iou"}):
        notes.append("the crack share cannot be computed")
    return notes


def read_table(
    path: Path | str,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    label: str | None = None,
) -> tuple[list[PrintedRow], list[str]]:
    """Read the rows of a CSV file with a header; comma, semicolon and tab separate.

    Args:
        path: the file, UTF-8.
        columns: metric to the name of its column, where the usual names do not find it.
        group: column that names the test set of a row.
        label: column that names a row; None takes the first one whose texts all differ.

    Returns:
        rows without a unit (see `with_unit`), and the columns that were not used.

    Raises:
        UserError: the file cannot be read, or a cell is no number between 0 and 100; with line and column.
    """
    path = Path(path)
    header, lines = _lines(path)
    chosen = _columns(path, header, columns or {})
    for name in (group, label):
        if name is not None and name not in header:
            raise UserError(f"{path} has no column {name!r}; its columns are: {', '.join(header)}")
    others = [name for name in header if name not in {*chosen.values(), group}]
    label = label or _label(others, header, lines)
    rows = []
    for number, (line, cells) in enumerate(lines, 1):
        texts = {}
        for metric, column in chosen.items():
            text = cells[header.index(column)].strip()
            if text.lower() not in MISSING:
                texts[metric] = _number(text, f"{path}, line {line}, column {column!r}")
        rows.append(
            PrintedRow(
                number=number,
                label=cells[header.index(label)].strip() if label else "",
                cells=texts,
                group=cells[header.index(group)].strip() if group else "",
                line=line,
            )
        )
    if not any(row.cells for row in rows):
        raise UserError(f"{path} has no number in its columns {', '.join(chosen.values())}")
    return rows, [name for name in others if name != label]


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8: save it as CSV in UTF-8") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror or error}. The paper's own tables: `upcrack audit paper`"
        ) from error
    if not text.strip():
        raise UserError(f"{path} is empty: it needs a header and rows")
    first = next(line for line in text.splitlines() if line.strip())
    separator = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        found = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file: {error}") from error
    header = [name.strip() for name in found[0][1]]
    for line, cells in found[1:]:
        if len(cells) != len(header):
            hint = " (a decimal comma? write 61.8)" if separator == "," and len(cells) > len(header) else ""
            raise UserError(
                f"{path}, line {line} has {len(cells)} cells, the header {len(header)} "
                f"(line {found[0][0]}): columns cannot be told apart{hint}"
            )
    if len(found) == 1:
        raise UserError(f"{path} has a header and no rows")
    return header, found[1:]


def _columns(path: Path, header: list[str], named: Mapping[str, str]) -> dict[str, str]:
    known = {alias: metric for metric, names in ALIASES.items() for alias in names.split()}
    chosen: dict[str, str] = {}
    for metric, column in named.items():
        if metric not in METRICS:
            raise UserError(f"unknown metric {metric!r}; choose {', '.join(METRICS)}")
        if column not in header:
            raise UserError(f"{path} has no column {column!r}; its columns are: {', '.join(header)}")
        chosen[metric] = column
    for column in header:
        metric = known.get(re.sub(r"percent(age)?|pct|[\s_\-%()\[\].:↑]", "", column.lower()))
        if metric is None or column in chosen.values() or metric in named:
            continue
        if metric in chosen:
            raise UserError(
                f"{path}: columns {chosen[metric]!r} and {column!r} both look like {metric}; "
                f"say which one counts with --{metric} NAME"
            )
        chosen[metric] = column
    doubled = {c for c in chosen.values() if header.count(c) > 1 or list(chosen.values()).count(c) > 1}
    if doubled:
        raise UserError(
            f"{path}: column {min(doubled)!r} stands for two things; rename one of them, or name another with "
            "--precision, --recall, …"
        )
    if not chosen:
        raise UserError(
            f"{path} has no column of precision, recall, accuracy, F1 or IoU; its columns are: "
            f"{', '.join(header)}. Name one with --precision NAME, --f1 NAME and so on"
        )
    return {metric: chosen[metric] for metric in METRICS if metric in chosen}


def _label(others: list[str], header: list[str], lines: list[tuple[int, list[str]]]) -> str | None:
    for name in others:
        texts = [cells[header.index(name)].strip() for _, cells in lines]
        if len(set(texts)) == len(texts) and not all(NUMBER.fullmatch(text) for text in texts):
            return name
    return others[0] if others else None


def _number(text: str, where: str) -> str:
    if text.endswith("%"):
        raise UserError(f"{where}: {text!r} has a percent sign: write {text.rstrip('% ')}")
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        raise UserError(f"{where}: {text!r} has a decimal comma: write {text.replace(',', '.')}")
    if not NUMBER.fullmatch(text):
        raise UserError(f"{where}: {text!r} is no number; write the mean alone, or leave the cell empty")
    if not 0 <= float(text) <= 100:
        raise UserError(f"{where}: {text} lies outside 0 to 100: no metric of this table can")
    return text
