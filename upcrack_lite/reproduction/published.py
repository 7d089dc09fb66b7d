"""What the paper prints: Tables I to VIII, 96 rows, and sentences that these can check. Chapters: audit, ledger.

The columns that the paper calls precision and recall are swapped, as `audit` finds by itself. `rows` gives what is
printed; `corrected` swaps the two back. Each claim is computed from the tables when it is asked for; nothing here is
a number of ours.
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


def implied_prevalence(row: Row) -> float | None:
    """Prevalence in percent that a printed row implies once its columns are corrected; None where it cannot."""
    if not row.precision or not row.recall:
        return None
    precision, recall = row.recall / 100, row.precision / 100  # the printed columns are swapped
    wrong = recall / precision + 1 - 2 * recall
    return (100 - row.accuracy) / wrong if wrong > 0 else None


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


# --- sentences of the paper, and a report that asks why a result lies far below

OWN = "upcracknet"
LABELED = ("general_supervised", "crack_supervised")

REPORTED = {"precision": 29.9, "recall": 89.4, "f1": 44.8, "iou": 33.3}
"""What a user of the released program reported for Crack500, in percent; known to us second-hand."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper; `holds` says whether the printed tables bear it out, `says` what they say."""

    section: str
    phrase: str  # the paper's own few words
    says: str
    holds: bool


def claims() -> list[Claim]:
    """Check the paper's sentences against its tables."""
    return [*_comparisons(), *(_generalizes(table) for table in (5, 6, 7, 8)), _masks(), _adversarial()]


def reported_f1_iou() -> tuple[float, float]:
    """F1 and IoU in percent that the reported precision and recall give, when they are of pooled counts."""
    p, r = REPORTED["precision"], REPORTED["recall"]
    f1 = 2 * p * r / (p + r)
    return f1, 100 * f1 / (200 - f1)


def marked() -> dict[str, float]:
    """Percent of the pixels of Crack500's test set that were marked: as printed for UP-CrackNet, and as reported."""
    own, crack = corrected(row(3, OWN)), implied_prevalence(row(3, OWN))
    p, r = REPORTED["precision"], REPORTED["recall"]
    return {
        "crack": crack,
        "printed": crack * own.recall / own.precision,
        "reported": crack * r / p,
        "reported, swapped": crack * p / r,
    }


def _own(table: int) -> float:
    """UP-CrackNet's printed IoU, percent."""
    return row(table, OWN).iou


def _of(table: int, strategy: str) -> list[Row]:
    return [one for one in rows(table) if one.strategy == strategy]


def _comparisons() -> list[Claim]:
    """Section IV-D: UP-CrackNet among the methods of Tables III and IV."""
    general, crack = (_of(3, strategy) for strategy in LABELED)
    every = len(general) + len(crack)
    count = f"the tables have {len(general)} general and {len(crack)} crack-specific methods, {every} in all"
    own, below = _own(3), [one.key for one in general if one.iou < _own(3)]
    lost = [one.iou - own for one in general if one.iou > own]
    reduction = (
        f"{min(lost):.3f} to {max(lost):.3f} points over {len(lost)} of {len(general)} methods; the other "
        f"{len(below)} ({', '.join(below)}) lie below UP-CrackNet and are left out"
    )
    best, four = max(one.iou for one in _of(4, LABELED[0])), _own(4)
    better = f"on DeepCrack: {four:.3f} % against {best:.3f} % of the best, {four - best:.3f} points more"
    phrases = (
        ("11 general supervised semantic segmentation methods", count, len(general) == 11),
        ("1.185% — 6.355% ... reduction in IoU than the general", reduction, not below),
        ("better performance than all general supervised methods", better, four > best),
        _gains(3, "32.606% — 33.739%"),
        _gains(4, "29.544%—38.459%"),
    )
    return [Claim("IV-D", *one) for one in phrases]


def _gains(table: int, phrase: str) -> tuple[str, str, bool]:
    """How far UP-CrackNet lies above the other unsupervised methods."""
    gains = [_own(table) - one.iou for one in _of(table, "unsupervised")]
    low, high = f"{min(gains):.3f}", f"{max(gains):.3f}"
    says = f"over the two other unsupervised methods in Table {TABLES[table].roman}: {low} to {high} points"
    return phrase, says, f"{low}%—{high}%" == phrase.replace(" ", "")


def _generalizes(table: int) -> Claim:
    own, facts = _own(table), TABLES[table]
    others = [one for one in rows(table) if one.key != OWN]
    above = [f"{one.key} is {one.iou - own:.3f} points above it" for one in others if one.iou > own]
    first = max(others, key=lambda one: one.iou)
    best = f"it is first; the next, {first.key}, is {own - first.iou:.3f} points below"
    says = f"Table {facts.roman}, {facts.sets}: {'; '.join(above) or best}"
    return Claim("IV-E", "superior generalizability", says, not above)


def _masks() -> Claim:
    own = row(2, "multi_scale_square")
    says, holds = [], True
    for key, f1, iou in (("striped", 2.876, 2.951), ("jumbled", 13.080, 12.513)):
        other = row(2, key)
        gains = own.f1 - other.f1, own.iou - other.iou
        says.append(f"against {key}: {gains[0]:.3f} points of F1 and {gains[1]:.3f} of IoU")
        holds = holds and max(abs(gains[0] - f1), abs(gains[1] - iou)) < 5e-4
    return Claim("IV-C", "improvements of 2.876% and 13.080% in F1-Score", "; ".join(says), holds)


def _adversarial() -> Claim:
    base = row(1, "mae").f1
    alone = {name: row(1, f"mae+{name}").f1 - base for name in ("ssim", "msgms", "style", "adv")}
    full = row(1, "mae+ssim+msgms+style+adv").f1 - row(1, "mae+ssim+msgms+style").f1
    second = max(gain for name, gain in alone.items() if name != "adv")
    return Claim(
        "IV-C",
        "provides the most significant improvement",
        f"beside MAE alone the adversarial loss adds {alone['adv']:.3f} points of F1, the next {second:.3f}; beside "
        f"all other losses it adds {full:.3f}; but which losses a row has is our reading of the table's marks",
        alone["adv"] > second,
    )
