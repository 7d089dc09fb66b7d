"""What one row of a table says about itself, and which small change would make it say the truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from upcrack_lite.reproduction import intervals
from upcrack_lite.reproduction.audit_table import PrintedRow
from upcrack_lite.reproduction.intervals import Interval


@dataclass(frozen=True)
class Finding:
    """Something wrong in a table.

    `kind`: exchanged, row exchanged, averaged, mean IoU, mixed, no common share, mistyped, contradiction, unit.
    `sure`: "shown" (follows from the digits), "likely" (a known cause that fits), or "guess".
    """

    kind: str
    message: str
    sure: str
    table: str = ""
    row: int | None = None  # from 1 within its table; None: the group as a whole
    label: str = ""
    group: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)  # shares and metrics in percent


@dataclass(frozen=True)
class RowCheck:
    """One row against the identities. Signs: 0 fits, -1 printed too low, 1 too high, None not checkable."""

    row: PrintedRow
    f1_sign: int | None  # F1 against precision and recall
    iou_sign: int | None  # IoU against F1, or against precision and recall where F1 is not printed
    possible: bool  # some values behind the digits satisfy all identities, with some crack share
    share_printed: Interval | None
    share_exchanged: Interval | None

    @property
    def broken(self) -> bool:
        """True when the row contradicts itself, whatever the test set."""
        return not self.possible

    @property
    def tight(self) -> bool:
        """True when the row has what fixes its crack share: precision, recall and accuracy."""
        return {"precision", "recall", "accuracy"} <= set(self.row.cells)

    @property
    def averaged_like(self) -> bool:
        """True when the misfit has the direction of averaging: F1 too low, or IoU too high, and not the reverse.

        F1 is a concave function of precision and recall and IoU a convex one of F1, so a mean over images can
        only err this way (Jensen's inequality).
        """
        return (
            (self.f1_sign, self.iou_sign) != (0, 0)
            and self.f1_sign in (None, 0, -1)
            and (self.iou_sign in (None, 0, 1))
            and (self.f1_sign == -1 or self.iou_sign == 1)
        )

    def share(self, exchanged: bool) -> Interval | None:
        """Crack share that the row implies, with the columns as printed or exchanged."""
        return self.share_exchanged if exchanged else self.share_printed


def check_row(row: PrintedRow, slack: float = 0.5) -> RowCheck:
    """Check one row for itself. slack: how far a value may lie from its digits, in units of the last one."""
    known = row.known(slack)
    both = "precision" in known and "recall" in known
    f1 = known.get("f1")
    from_both = intervals.f1_of(known["precision"], known["recall"]) if both else None
    base = f1 or from_both
    iou = intervals.iou_of(base) if base else None
    return RowCheck(
        row=row,
        f1_sign=_sign(f1, from_both),
        iou_sign=_sign(known.get("iou"), iou),
        possible=intervals.narrow(known) is not None,
        share_printed=implied_share(row, slack, False),
        share_exchanged=implied_share(row, slack, True),
    )


def implied_share(row: PrintedRow, slack: float, exchanged: bool) -> Interval | None:
    """Crack share from precision, recall and accuracy; with fewer columns what F1 or IoU can stand in for."""
    known = row.known(slack, exchanged)
    if "accuracy" not in known or len(known) == 1:
        return None
    if "precision" in known and "recall" in known:
        return intervals.share_of(known["precision"], known["recall"], known["accuracy"])
    box = intervals.narrow(known)
    return box and box["share"]


def fits(row: PrintedRow, share: Interval | None, exchanged: bool, slack: float = 0.5) -> bool:
    """True when some values behind the digits satisfy every identity, with a crack share out of `share`."""
    known = row.known(slack, exchanged) | ({"share": share} if share else {})
    return intervals.narrow(known) is not None


def digit_changes(row: PrintedRow) -> Iterator[tuple[str, str]]:
    """Yield (metric, text) for each other row that differs in one digit of one number."""
    for metric, text in row.cells.items():
        for place, digit in enumerate(text.lower().partition("e")[0]):
            if digit.isdigit():
                for other in "0123456789":
                    changed = text[:place] + other + text[place + 1 :]
                    if other != digit and float(changed) * row.factor[metric] <= 1:
                        yield metric, changed


def explain(
    row: PrintedRow, shares: Sequence[Interval], exchanged: bool, slack: float = 0.5, group: str = ""
) -> Finding:
    """Say what may be wrong with a row that does not fit.

    shares: the crack shares of the group's test sets; empty when unknown. exchanged: how the group's columns are
    to be read.
    """
    known: Sequence[Interval | None] = list(shares) or [None]
    place = {"table": row.table, "row": row.number, "label": row.label, "group": group}

    def good(other: PrintedRow, swapped: bool = exchanged) -> bool:
        return any(fits(other, share, swapped, slack) for share in known)

    if shares and good(row, not exchanged):
        found = implied_share(row, slack, not exchanged)
        message = (
            f"{row.name}: precision and recall of this row stand the other way round than in the other rows; "
            f"exchanged, its crack share {percent(found)} fits theirs"
        )
        numbers = {"share": middle(implied_share(row, slack, exchanged)), "share_exchanged": middle(found)}
        return Finding("row exchanged", message, "likely", **place, numbers=numbers)
    what = _misfits(row, shares, exchanged, slack)
    if check_row(row, slack).averaged_like:
        what += " (a mean over images would err in this direction)"
    candidates = [(m, text) for m, text in digit_changes(row) if good(row.changed(m, text))]
    columns = sorted({m for m, _ in candidates})
    alone = [m for m in row.cells if len(row.cells) > 1 and good(_without(row, m))]
    numbers = {"candidates": candidates, "columns": alone}
    if len(columns) == 1:
        options = " or ".join(text for _, text in candidates)
        (column,) = columns
        message = (
            f"{row.name}: {what}. Guess: one wrong digit in {column}, {options} instead of {row.cells[column]}; "
            "then everything fits"
        )
        return Finding("mistyped", message, "guess", **place, numbers=numbers)
    if columns:
        options = ", ".join(f"{m} {text}" for m, text in candidates[:6]) + (" ..." if candidates[6:] else "")
        message = f"{row.name}: {what}. Guess: one wrong digit; any of these would fit: {options}"
        return Finding("mistyped", message, "guess", **place, numbers=numbers)
    where = f"; the others agree without {' or without '.join(alone)}" if alone else ""
    message = f"{row.name}: {what}. No change of one digit mends it{where}"
    return Finding("contradiction", message, "shown", **place, numbers=numbers)


def settle_unit(row: PrintedRow, base: float, slack: float = 0.5, told: bool = False) -> PrintedRow:
    """Find cells of a row that are in another unit than the table: fractions among percent.

    base: the table's factor, 0.01 for percent; told: the user gave it. A row is changed only if it is impossible as
    it stands, or claims (in a unit that was guessed) an accuracy of at most 1 %, and fits when all (or else the
    fewest) of its numbers up to 1 are fractions.
    """
    small = [m for m, text in row.cells.items() if 0 < float(text) <= 1]
    if base == 1 or not small:
        return row
    if fits(row, None, False, slack) and (told or "accuracy" not in small):
        return row
    subsets = [subset for n in range(1, len(small)) for subset in itertools.combinations(small, n)]
    for subset in [tuple(small), *subsets]:
        other = row.rescaled(dict.fromkeys(subset, 1.0))
        if fits(other, None, False, slack):
            return other
    return row


def middle(interval: Interval | None) -> float | None:
    """Middle of an interval of shares, in percent."""
    return None if interval is None else 50 * (interval[0] + interval[1])


def percent(interval: Interval | None) -> str:
    """An interval of shares in words, with as many digits as it deserves."""
    if interval is None:
        return "unknown"
    low, high = 100 * interval[0], 100 * interval[1]
    digits = next((d for d in range(4) if high - low > 2 * 10.0**-d), 4)
    if high - low > 0.2 * (low + high):
        return f"{low:.{digits + 1}f} to {high:.{digits + 1}f} %"
    return f"{(low + high) / 2:.{max(digits, 1)}f} %"


def _misfits(row: PrintedRow, shares: Sequence[Interval], exchanged: bool, slack: float) -> str:
    check, words = check_row(row, slack), []
    if check.f1_sign:
        p, r = row.value("precision"), row.value("recall")
        words.append(
            f"F1 {row.cells['f1']} is not that of precision and recall ({_as(row, 'f1', _f1(p, r))})"
        )
    if check.iou_sign:
        f1 = row.value("f1")
        if f1 is None:
            f1 = _f1(row.value("precision"), row.value("recall"))
        words.append(f"IoU {row.cells['iou']} does not belong to F1 ({_as(row, 'iou', f1 / (2 - f1))})")
    share = check.share(exchanged)
    if shares and share and not any(intervals.meet(share, other) for other in shares):
        others = " or ".join(percent(one) for one in shares)
        words.append(f"its crack share {percent(share)} is not that of the other rows ({others})")
    return "; ".join(words) or "its numbers contradict each other"


def _f1(p: float, r: float) -> float:
    return 2 * p * r / (p + r) if p + r > 0 else 0.0


def _as(row: PrintedRow, metric: str, share: float) -> str:
    """A share in the unit and with the decimals of the row's own number."""
    decimals = len(row.cells[metric].partition(".")[2])
    return f"{share / row.factor[metric]:.{decimals}f}"


def _without(row: PrintedRow, metric: str) -> PrintedRow:
    return PrintedRow(
        **{**row.__dict__, "cells": {name: text for name, text in row.cells.items() if name != metric}}
    )


def _sign(printed: Interval | None, expected: Interval | None) -> int | None:
    if printed is None or expected is None:
        return None
    if intervals.meet(printed, expected):
        return 0
    return -1 if printed[1] < expected[0] else 1
