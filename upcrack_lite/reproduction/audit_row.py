"""What one printed row says about itself: the identities, its prevalence, its confusion matrix. Chapter: audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from upcrack_lite.reproduction import intervals
from upcrack_lite.reproduction.audit_table import PrintedRow
from upcrack_lite.reproduction.intervals import Interval


@dataclass(frozen=True)
class Finding:
    """Something wrong in a table."""

    kind: str  # swapped, row swapped, averaged, mixed, no common prevalence, contradiction
    message: str
    sure: str  # "shown" (follows from the digits), "likely" (a known cause that fits), or "guess"
    group: str = ""
    table: str = ""
    row: int | None = None  # from 1 within its table; None: the group as a whole
    label: str = ""


@dataclass(frozen=True)
class RowAudit:
    """One row against the identities, and its confusion matrix where it can be rebuilt.

    Signs: 0 fits, -1 printed too low, 1 too high, None not checkable. Intervals are fractions of 1.
    """

    row: PrintedRow
    f1_sign: int | None  # F1 against precision and recall
    iou_sign: int | None  # IoU against F1, or against precision and recall where F1 is not printed
    possible: bool  # some values behind the digits satisfy all identities, with some prevalence
    as_printed: Interval | None  # prevalence that the row implies, columns as printed
    as_swapped: Interval | None
    fits: bool | None = None  # its prevalence agrees with the group's
    precision: float | None = None  # percent, under their true names
    recall: float | None = None
    confusion: Mapping[str, float] | None = None  # tp, fp, fn, tn: percent of all pixels

    @property
    def tight(self) -> bool:
        """True when the row has what fixes its prevalence: accuracy, and two of precision, recall and F1 or IoU."""
        has = set(self.row.cells)
        two = sum(bool(some & has) for some in ({"precision"}, {"recall"}, {"f1", "iou"}))
        return "accuracy" in has and two > 1

    @property
    def averaged_like(self) -> bool:
        """True when the misfit has the direction of averaging: F1 too low, or IoU too high, and not the reverse.

        F1 is a concave function of precision and recall and IoU a convex one of F1, so a mean over images can
        only err this way (Jensen's inequality).
        """
        return (self.f1_sign == -1 or self.iou_sign == 1) and self.f1_sign != 1 and self.iou_sign != -1

    def prevalence(self, swapped: bool) -> Interval | None:
        """Prevalence that the row implies, with the columns as printed or swapped."""
        return self.as_swapped if swapped else self.as_printed


def check_row(row: PrintedRow, slack: float = 0.5) -> RowAudit:
    """Check one row for itself. slack: how far a value may lie from its digits, in units of the last one."""
    known = row.known(slack)
    f1 = known.get("f1")
    expected = None
    if "precision" in known and "recall" in known:
        expected = intervals.f1_of(known["precision"], known["recall"])
    base = f1 or expected
    iou = intervals.iou_of(base) if base else None
    possible = intervals.narrow(known) is not None
    implied = (_implied(row.known(slack, swapped)) for swapped in (False, True))
    return RowAudit(row, _sign(f1, expected), _sign(known.get("iou"), iou), possible, *implied)


def _implied(known: Mapping[str, Interval]) -> Interval | None:
    """Prevalence from precision, recall and accuracy; with fewer columns what F1 or IoU leave open."""
    if "accuracy" not in known or len(known) == 1:
        return None
    if "precision" in known and "recall" in known:
        return intervals.prevalence_of(known["precision"], known["recall"], known["accuracy"])
    box = intervals.narrow(known)
    return box and box["prevalence"]


def _sign(printed: Interval | None, expected: Interval | None) -> int | None:
    if printed is None or expected is None:
        return None
    if intervals.meet(printed, expected):
        return 0
    return -1 if printed[1] < expected[0] else 1


def rebuilt(known: dict[str, Interval], prevalence: Interval) -> dict[str, object]:
    """Precision, recall and the confusion matrix of a row, in percent; empty where they are left open."""
    box = intervals.narrow({**known, "prevalence": prevalence})
    if not box or box["recall"][1] - box["recall"][0] >= 0.2 or box["precision"][0] <= 0:
        return {}
    pi, p, r = (middle(box[name]) / 100 for name in ("prevalence", "precision", "recall"))
    tp = pi * r
    parts = {"tp": tp, "fp": tp / p - tp, "fn": pi - tp}
    parts["tn"] = 1 - sum(parts.values())
    confusion = {name: 100 * value for name, value in parts.items()}
    return {"precision": 100 * p, "recall": 100 * r, "confusion": confusion}


def explain(
    check: RowAudit, prevalences: Sequence[Interval], swapped: bool, slack: float, group: str
) -> Finding:
    """Say what is wrong with a row that does not fit.

    prevalences: those of the group's test sets; empty when unknown. swapped: how the group's columns are to be read.
    """
    row = check.row
    place = {"group": group, "table": row.table, "row": row.number, "label": row.label}

    def good(other: PrintedRow, way: bool = swapped) -> bool:
        known = other.known(slack, way)
        options = [known | {"prevalence": one} for one in prevalences] or [known]
        return any(intervals.narrow(one) for one in options)

    if prevalences and good(row, not swapped):
        message = (
            f"{row.name}: precision and recall of this row stand the other way round than in the other rows; "
            f"swapped, its prevalence {percent(check.prevalence(not swapped))} fits theirs"
        )
        return Finding("row swapped", message, "likely", **place)
    what = _misfits(check, prevalences, swapped)
    if check.averaged_like:
        what += " (a mean over images would err in this direction)"
    rest = {m: {n: text for n, text in row.cells.items() if n != m} for m in row.cells if len(row.cells) > 1}
    alone = [metric for metric, cells in rest.items() if good(replace(row, cells=cells))]
    agree = f"; the others agree without {' or without '.join(alone)}" if alone else ""
    return Finding("contradiction", f"{row.name}: {what}{agree}", "shown", **place)


def _misfits(check: RowAudit, prevalences: Sequence[Interval], swapped: bool) -> str:
    row, words = check.row, []
    value = {metric: float(text) * row.factor for metric, text in row.cells.items()}

    def written(metric: str, number: float) -> str:
        """In the unit and with the decimals of the row's own number."""
        return f"{number / row.factor:.{len(row.cells[metric].partition('.')[2])}f}"

    both = "precision" in value and "recall" in value
    expected = intervals.f1_of(*((value[m],) * 2 for m in ("precision", "recall")))[0] if both else 0.0
    if check.f1_sign:
        words.append(f"F1 {row.cells['f1']} is not that of precision and recall ({written('f1', expected)})")
    if check.iou_sign:
        f1 = value.get("f1", expected)
        words.append(f"IoU {row.cells['iou']} does not belong to F1 ({written('iou', f1 / (2 - f1))})")
    implied = check.prevalence(swapped)
    if prevalences and implied and not any_meets(implied, prevalences):
        others = " or ".join(percent(one) for one in prevalences)
        words.append(f"its prevalence {percent(implied)} is not that of the other rows ({others})")
    return "; ".join(words) or "its numbers contradict each other"


def any_meets(implied: Interval | None, prevalences: Sequence[Interval]) -> bool:
    """True when a row allows one of these prevalences."""
    return implied is not None and any(intervals.meet(implied, one) for one in prevalences)


def middle(interval: Interval) -> float:
    """Middle of an interval, in percent."""
    return 50 * (interval[0] + interval[1])


def percent(interval: Interval | None) -> str:
    """An interval in words, with as many digits as it deserves."""
    if interval is None:
        return "unknown"
    low, high = 100 * interval[0], 100 * interval[1]
    digits = next((d for d in range(4) if high - low > 2 * 10.0**-d), 4)
    if high - low > 0.2 * (low + high):
        return f"{low:.{digits + 1}f} to {high:.{digits + 1}f} %"
    return f"{(low + high) / 2:.{max(digits, 1)}f} %"
