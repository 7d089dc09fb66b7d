"""Audit a table of precision, recall, accuracy, F1 and IoU: do its numbers belong to one confusion matrix a row?

Two identities hold in every row, and a third gives the crack share π of the test set, which must be the same in
all rows of one set. Rounding is taken into account exactly (`intervals`), so a table without a fault is never
blamed. Chapter: audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upcrack_lite.reproduction import audit_verdict as together
from upcrack_lite.reproduction import intervals, published
from upcrack_lite.reproduction.audit_faults import (
    Finding,
    RowCheck,
    check_row,
    explain,
    middle,
    settle_unit,
)
from upcrack_lite.reproduction.audit_table import METRICS, PrintedRow, gaps, read_table, with_unit
from upcrack_lite.reproduction.intervals import Interval

__all__ = ["Audit", "Finding", "GroupAudit", "RowAudit", "audit_file", "audit_paper", "audit_rows"]


DRIFT = 0.0005
"""Default of `drift`: 0.05 % of the crack share."""


@dataclass(frozen=True)
class RowAudit:
    """One row: what it implies, and its confusion matrix where it can be rebuilt. All in percent."""

    row: PrintedRow
    f1_fits: bool | None
    iou_fits: bool | None
    share_fits: bool | None  # the crack share agrees with the group's
    share_printed: tuple[float, float] | None  # lowest and highest crack share, columns as printed
    share_exchanged: tuple[float, float] | None
    precision: float | None  # true names: exchanged back where the group's columns are exchanged
    recall: float | None
    confusion: Mapping[str, float] | None  # tp, fp, fn, tn: percent of all pixels


@dataclass(frozen=True)
class GroupAudit:
    """The rows of one test set: is there one crack share?

    `verdict`: constant (as printed), exchanged, either (the digits cannot tell), mixed (several sets), averaged,
    none (no common share), unknown (too few columns or rows).
    """

    name: str
    verdict: str
    message: str
    exchanged: bool
    shares: tuple[float, ...]  # crack shares in percent, the set with most rows first
    spread: float  # largest distance of a row's own crack share from that of its set, percentage points
    rows: tuple[RowAudit, ...]


@dataclass(frozen=True)
class Audit:
    """The result: groups, findings, and notes on what could not be checked."""

    title: str
    unit: str
    groups: tuple[GroupAudit, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[RowAudit, ...]:
        """All rows, group by group."""
        return tuple(row for group in self.groups for row in group.rows)


def audit_file(
    path: Path | str,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    label: str | None = None,
    unit: str = "auto",
    slack: float = 0.5,
    drift: float = DRIFT,
) -> Audit:
    """Audit a CSV file; arguments and errors as in `audit_table.read_table` and `audit_rows`."""
    rows, unused = read_table(path, columns, group, label)
    note = [f"columns not used: {', '.join(unused)}"] if unused else []
    return audit_rows(rows, unit, slack, drift, Path(path).name, note)


def audit_paper(table: int | str | None = None, slack: float = 0.5, drift: float = DRIFT) -> Audit:
    """Audit the printed tables of the paper: all rows of a test set together, or of one table alone."""
    rows = [
        PrintedRow(
            number=one.row,
            label=one.key,
            cells={m: f"{getattr(one, m):.3f}" for m in METRICS if getattr(one, m) is not None},
            table=f"Table {published.TABLES[one.table].roman}",
            group=one.test_set,
        )
        for one in published.rows(table)
    ]
    return audit_rows(rows, "percent", slack, drift, title="Tables of the paper, as printed")


def audit_rows(
    rows: Sequence[PrintedRow],
    unit: str = "auto",
    slack: float = 0.5,
    drift: float = DRIFT,
    title: str = "",
    notes: Sequence[str] = (),
) -> Audit:
    """Audit rows; those with the same `group` share a test set.

    Args:
        rows: as `read_table` gives them.
        unit: "percent", "fraction", or "auto".
        slack: how far a true value may lie from its digits, in units of the last one: 0.5 for rounding, 1 for digits
            that were cut off.
        drift: how far, relatively, the crack shares of one test set may differ. Tables of several authors' programs
            do differ a little, when each resizes the masks in its own way; 0 wants the same pixels.
        title: for the report.
        notes: remarks to pass on.
    """
    told = unit != "auto"
    rows, unit = with_unit(rows, unit)
    notes = [*notes, f"numbers are read as {'percent' if unit == 'percent' else 'fractions of 1'}"]
    have = {metric for row in rows for metric in row.cells}
    notes += gaps(have)
    if drift and "accuracy" in have:
        notes.append(f"crack shares of one test set may differ by {100 * drift:g} % of their value (drift)")
    rows, findings = _settle_units(rows, unit, slack, told)
    groups = []
    for name in dict.fromkeys(row.group for row in rows):
        group, found = _audit_group(name, [row for row in rows if row.group == name], slack, drift)
        groups.append(group)
        findings += found
    return Audit(title, unit, tuple(groups), tuple(findings), tuple(notes))


def _settle_units(
    rows: list[PrintedRow], unit: str, slack: float, told: bool
) -> tuple[list[PrintedRow], list[Finding]]:
    base = {"percent": 0.01, "fraction": 1.0}[unit]
    settled = [settle_unit(row, base, slack, told) for row in rows]
    findings = []
    for row in settled:
        other = [metric for metric, factor in row.factor.items() if factor != base]
        if other:
            message = f"{row.name}: {', '.join(other)} in {'fractions' if base < 1 else 'percent'}, unlike the table"
            place = {"table": row.table, "row": row.number, "label": row.label, "group": row.group}
            findings.append(Finding("unit", message, "likely", **place, numbers={"columns": other}))
    return settled, findings


def _audit_group(
    name: str, rows: list[PrintedRow], slack: float, drift: float
) -> tuple[GroupAudit, list[Finding]]:
    checks = [check_row(row, slack) for row in rows]
    printed, swapped = (_clusters(checks, way, drift) for way in (False, True))
    exchanged = together.is_exchanged(printed, swapped)
    found = swapped if exchanged else printed
    sets = together.common_sets(found)
    place = {"group": name}
    findings: list[Finding] = []
    mean_iou = together.is_mean_iou(checks, sets, exchanged, slack)
    averaged = not mean_iou and together.is_averaged(checks, sets)
    if averaged:
        sets, exchanged = [], False
    shares = [intervals.widen(one.share, drift) for one in sets]
    verdict, message = together.verdict(checks, printed, swapped, sets, exchanged, averaged)
    kind = {"averaged": "averaged", "mixed": "mixed", "none": "no common share"}.get(verdict)
    numbers = {"shares": [middle(share) for share in shares]}
    if exchanged:
        sure = "shown" if len(checks) > 2 else "guess"
        findings.append(Finding("exchanged", message, sure, **place, numbers=numbers))
    if kind:
        sure = "shown" if kind == "no common share" else "likely"
        findings.append(Finding(kind, message, sure, **place, numbers=numbers))
    elif len(sets) > 1:
        findings.append(Finding("mixed", together.mixed(checks, sets), "likely", **place, numbers=numbers))
    if mean_iou:
        message = "IoU is the mean of crack and background (mIoU): it fits so, and it is not F1 / (2 - F1)"
        findings.append(Finding("mean IoU", message, "likely", **place))

    inside = {i for one in sets for i in one.rows}
    audits = []
    for i, check in enumerate(checks):
        implied = check.share(exchanged)
        off = bool(sets and implied) and i not in inside and not _meets(check, implied, shares)
        explained = (averaged and check.averaged_like) or (mean_iou and check.iou_sign == 1)
        if (check.broken and not explained) or off:
            findings.append(explain(check.row, shares, exchanged, slack, name))
        own = next((share for one, share in zip(sets, shares, strict=True) if i in one.rows), None)
        if own is None and len(sets) == 1 and not off:
            own = shares[0]
        audits.append(_row_audit(check, own, off, exchanged, slack, bool(averaged or mean_iou)))
    middles = tuple(100 * one.middle for one in sets)
    own = ((middle(checks[i].share(exchanged)), 100 * one.middle) for one in sets for i in one.rows)
    spread = max((abs(a - b) for a, b in own), default=0.0)
    return GroupAudit(name, verdict, message, exchanged, middles, spread, tuple(audits)), findings


def _clusters(checks: list[RowCheck], exchanged: bool, drift: float) -> list[intervals.Cluster]:
    """Cluster the crack shares; rows without precision and recall count only if there are no others."""
    only = any(check.tight for check in checks)
    found = [check.share(exchanged) if check.tight or not only else None for check in checks]
    return intervals.clusters(found, drift)


def _meets(check: RowCheck, implied: Interval, shares: list[Interval]) -> bool:
    """True when a row that leaves its crack share open allows one of the group's."""
    return not check.tight and any(intervals.meet(implied, share) for share in shares)


def _row_audit(
    check: RowCheck, share: Interval | None, off: bool, exchanged: bool, slack: float, doubtful: bool
) -> RowAudit:
    known = check.row.known(slack, exchanged)
    box = None if share is None or off or doubtful else intervals.narrow({**known, "share": share})
    precision = recall = confusion = None
    if box and box["recall"][1] - box["recall"][0] < 0.2 and box["precision"][0] > 0:
        pi, p, r = (middle(box[key]) / 100 for key in ("share", "precision", "recall"))
        tp = pi * r
        parts = {"tp": tp, "fp": tp / p - tp, "fn": pi - tp}
        confusion = {k: 100 * v for k, v in (parts | {"tn": 1 - sum(parts.values())}).items()}
        precision, recall = 100 * p, 100 * r

    def ends(interval: Interval | None) -> tuple[float, float] | None:
        return None if interval is None else (100 * interval[0], 100 * interval[1])

    return RowAudit(
        row=check.row,
        f1_fits=None if check.f1_sign is None else check.f1_sign == 0,
        iou_fits=None if check.iou_sign is None else check.iou_sign == 0,
        share_fits=None if share is None and not off else not off,
        share_printed=ends(check.share_printed),
        share_exchanged=ends(check.share_exchanged),
        precision=precision,
        recall=recall,
        confusion=confusion,
    )
