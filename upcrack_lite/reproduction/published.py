"""The printed numbers of the paper: Tables I to VIII, 96 rows, as they stand there. Chapter: audit.

The columns that the paper calls precision and recall are swapped, as `audit` finds by itself. `rows` gives what is
printed; `corrected` swaps the two back.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, replace
from importlib import resources
from types import MappingProxyType

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS


@dataclass(frozen=True)
class PublishedTable:
    """One table: its Roman number, what it compares, and the sets it was trained and tested on."""

    roman: str
    title: str
    train_set: str
    test_set: str
    key: str  # the column that names a row

    @property
    def sets(self) -> str:
        """Training and test set in words."""
        return f"{self.train_set} → {self.test_set}"


TABLES = MappingProxyType(
    {
        1: PublishedTable("I", "losses", "Crack500", "Crack500", "losses"),
        2: PublishedTable("II", "mask modes", "Crack500", "Crack500", "mask_mode"),
        3: PublishedTable("III", "14 methods", "Crack500", "Crack500", "method"),
        4: PublishedTable("IV", "14 methods", "DeepCrack", "DeepCrack", "method"),
        5: PublishedTable("V", "14 methods", "Crack500", "CFD", "method"),
        6: PublishedTable("VI", "14 methods", "Crack500", "DeepCrack", "method"),
        7: PublishedTable("VII", "14 methods", "DeepCrack", "CFD", "method"),
        8: PublishedTable("VIII", "14 methods", "DeepCrack", "Crack500", "method"),
    }
)
"""Table number to its facts."""


@dataclass(frozen=True)
class Row:
    """One printed row; the five metrics are in percent with three decimals, None where nothing is printed."""

    table: int
    row: int  # from 1
    key: str  # losses, mask mode or method
    strategy: str  # such as "unsupervised"; empty in Tables I and II
    train_set: str
    test_set: str
    precision: float | None
    recall: float | None
    accuracy: float
    f1: float
    iou: float
    key_source: str = "certain"  # "inferred": the losses of this row of Table I are our reading of its marks

    @property
    def name(self) -> str:
        """The row's place and key, such as `III upcracknet`."""
        return f"{TABLES[self.table].roman} {self.key}"


def rows(table: int | str | None = None) -> tuple[Row, ...]:
    """Return the rows as printed: of one table (4 or "IV"), or all 96.

    Raises UserError for a table that the paper does not have.
    """
    if table is None:
        return tuple(row for number in TABLES for row in _read(number))
    return _read(_number(table))


def row(table: int | str, key: str) -> Row:
    """Return one row, such as `row("IV", "upcracknet")`. Raises UserError that lists the valid names."""
    keyed = {one.key: one for one in rows(table)}
    if key.lower() not in keyed:
        raise UserError(f"Table {TABLES[_number(table)].roman} has no row {key!r}; choose {', '.join(keyed)}")
    return keyed[key.lower()]


def beside(table: int | str, key: str) -> Row:
    """A row that the paper does not have: its table and sets, and no numbers."""
    number, nothing = _number(table), float("nan")
    facts = TABLES[number]
    return Row(number, 0, key, "", facts.train_set, facts.test_set, None, None, nothing, nothing, nothing)


def corrected(row: Row) -> Row:
    """Swap precision and recall back. Everything else stays; a row without them is returned as it is."""
    return replace(row, precision=row.recall, recall=row.precision)


def _number(table: int | str) -> int:
    for number, facts in TABLES.items():
        if str(table).strip().upper() in (str(number), facts.roman):
            return number
    names = ", ".join(f"{number} ({facts.roman})" for number, facts in TABLES.items())
    raise UserError(f"the paper has no table {table!r}; choose {names}")


@functools.cache
def _read(number: int) -> tuple[Row, ...]:
    facts = TABLES[number]
    file = resources.files("upcrack_lite") / "assets" / "tables" / f"table_{number}.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Row(
                number,
                place,
                cells[facts.key],
                cells.get("strategy", ""),
                facts.train_set,
                facts.test_set,
                *(float(text) if (text := cells.get(f"{m}_percent")) else None for m in METRICS),
                key_source=cells.get("losses_source", "certain"),
            )
            for place, cells in enumerate(csv.DictReader(lines), 1)
        )
