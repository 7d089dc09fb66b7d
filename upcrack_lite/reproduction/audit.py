"""Audit a table of precision, recall, accuracy, F1 and IoU: do its numbers belong to one confusion matrix a row?

Two identities hold in every row, and a third gives the prevalence π of the test set (its fraction of crack pixels),
which must be the same in all rows of one set. Rounding is taken into account exactly (`intervals`), so a table
without a fault is never blamed. Chapter: audit.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from upcrack_lite.metrics import METRICS
from upcrack_lite.reproduction import audit_row, published
from upcrack_lite.reproduction.audit_row import Finding, RowAudit, middle, percent
from upcrack_lite.reproduction.audit_table import PrintedRow, with_unit
from upcrack_lite.reproduction.intervals import Interval

DRIFT = 0.0005  # default of `drift`: 0.05 % of the prevalence
MOST = 0.6  # part of the rows that a statement on all of them must cover
WIDTH = 100  # of the report, letters
PARTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Cluster:
    """Rows whose prevalences have an interval in common; `rows` are their places."""

    prevalence: Interval
    rows: tuple[int, ...]


@dataclass(frozen=True)
class GroupAudit:
    """The rows of one test set: is there one prevalence?"""

    name: str
    # constant (as printed), swapped, either (the digits cannot tell), mixed (several sets), averaged, none (no
    # common prevalence), unknown (too few columns or rows)
    verdict: str
    message: str
    swapped: bool
    prevalences: tuple[float, ...]  # percent, the set with most rows first
    spread: float  # largest distance of a row's own prevalence from that of its set, percentage points
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


def audit_paper(table: int | str | None = None, slack: float = 0.5, drift: float = DRIFT) -> Audit:
    """Audit the printed tables of the paper: all rows of a test set together, or of one table alone."""
    rows = []
    for one in published.rows(table):
        cells = {m: f"{getattr(one, m):.3f}" for m in METRICS if getattr(one, m) is not None}
        name = f"Table {published.TABLES[one.table].roman}"
        rows.append(PrintedRow(one.row, one.key, cells, name, one.test_set))
    return audit_rows(rows, "percent", slack, drift, "Tables of the paper, as printed")


def audit_rows(
    rows: Sequence[PrintedRow],
    unit: str = "auto",
    slack: float = 0.5,
    drift: float = DRIFT,
    title: str = "",
    notes: Sequence[str] = (),
) -> Audit:
    """Audit rows, as `read_table` gives them; those with the same `group` share a test set.

    unit: "percent", "fraction", or "auto". slack: how far a true value may lie from its digits, in units of the last
    one: 0.5 for rounding, 1 for digits that were truncated. drift: how far, relatively, the prevalences of one test
    set may differ; programs that resize the masks in their own ways do differ a little, 0 wants the same pixels.
    title, notes: for the report.
    """
    rows, unit = with_unit(rows, unit)
    missing = [metric for metric in METRICS if not any(metric in row.cells for row in rows)]
    notes = [*notes, f"numbers are read as {'percent' if unit == 'percent' else 'fractions of 1'}"]
    if missing:
        notes.append(f"no column of {', '.join(missing)}")
    if "accuracy" in missing:
        notes.append("without accuracy there is no prevalence: swapped columns cannot be seen")
    elif drift:
        notes.append(f"prevalences of one test set may differ by {100 * drift:g} % of their value (drift)")
    groups, findings = [], []
    for name in dict.fromkeys(row.group for row in rows):
        group, its_findings = _audit_group(name, [row for row in rows if row.group == name], slack, drift)
        groups.append(group)
        findings += its_findings
    return Audit(title, unit, tuple(groups), tuple(findings), tuple(notes))


def _audit_group(
    name: str, rows: list[PrintedRow], slack: float, drift: float
) -> tuple[GroupAudit, list[Finding]]:
    checks = [audit_row.check_row(row, slack) for row in rows]
    by_printed, by_swapped = (_clusters(checks, way, drift) for way in (False, True))
    swapped = _is_swapped(by_printed, by_swapped)
    sets = _common_sets(by_swapped if swapped else by_printed)
    averaged = _is_averaged(checks, sets)
    if averaged:
        sets, swapped = [], False
    verdict, message = _verdict(checks, by_printed, by_swapped, sets, swapped, averaged)
    sure = {"swapped": "shown" if len(rows) > 2 else "guess", "averaged": "likely", "mixed": "likely"}
    findings = [Finding(verdict, message, sure[verdict], name)] if verdict in sure else []
    if verdict == "none":
        findings.append(Finding("no common prevalence", message, "shown", name))
    if swapped and len(sets) > 1:
        findings.append(Finding("mixed", _mixed(checks, sets), "likely", name))

    prevalences = [_widen(one.prevalence, drift) for one in sets]
    own = {i: (one, wide) for one, wide in zip(sets, prevalences, strict=True) for i in one.rows}
    audits, spread = [], 0.0
    for i, check in enumerate(checks):
        implied = check.prevalence(swapped)
        # A row that leaves its prevalence open may allow one of the group's.
        allows = i in own or (not check.tight and audit_row.any_meets(implied, prevalences))
        off = bool(sets and implied and not allows)
        if off or not (check.possible or (averaged and check.averaged_like)):
            findings.append(audit_row.explain(check, prevalences, swapped, slack, name))
        its_own = own[i][1] if i in own else None
        if i in own:
            spread = max(spread, abs(middle(implied) - middle(own[i][0].prevalence)))
        elif len(sets) == 1 and not off:
            its_own = prevalences[0]
        fits = False if off else None if its_own is None else True
        true = audit_row.rebuilt(check.row.known(slack, swapped), its_own) if its_own and not averaged else {}
        audits.append(replace(check, fits=fits, **true))
    middles = tuple(middle(one.prevalence) for one in sets)
    return GroupAudit(name, verdict, message, swapped, middles, spread, tuple(audits)), findings


def _clusters(checks: list[RowAudit], swapped: bool, drift: float) -> list[Cluster]:
    """Group rows by a prevalence in common: the one that most rows share, then again with the rest; largest first.

    Rows without precision and recall count only if there are no others. drift: each interval is widened by it.
    """
    only = any(check.tight for check in checks)
    implied = {i: one.prevalence(swapped) for i, one in enumerate(checks) if one.tight or not only}
    left = {i: _widen(interval, drift) for i, interval in implied.items() if interval is not None}
    groups = []
    while left:
        # Most overlaps begin where one interval begins.
        start = max(
            (low for low, _ in left.values()),
            key=lambda point: (sum(low <= point <= high for low, high in left.values()), -point),
        )
        inside = [i for i, (low, high) in left.items() if low <= start <= high]
        groups.append(Cluster((start, min(left[i][1] for i in inside)), tuple(inside)))
        left = {i: interval for i, interval in left.items() if i not in inside}
    return sorted(groups, key=lambda one: -len(one.rows))


def _widen(interval: Interval, drift: float) -> Interval:
    """Allow a relative deviation of so much to either side."""
    return interval[0] * (1 - drift), min(1.0, interval[1] * (1 + drift))


def _common_sets(groups: Sequence[Cluster]) -> list[Cluster]:
    """Keep the clusters that are test sets and not chance: several rows each, and together most rows."""
    rows = _covered(groups)
    least = 1 if rows == 1 else 2 if rows < 10 else 3
    sets = [one for one in groups if len(one.rows) >= least]
    return sets if _covered(sets) >= MOST * rows else []


def _covered(groups: Sequence[Cluster]) -> int:
    return sum(len(one.rows) for one in groups)


def _is_swapped(by_printed: Sequence[Cluster], by_swapped: Sequence[Cluster]) -> bool:
    """True when precision and recall swapped need clearly fewer prevalences than the columns as printed."""
    if _covered(by_printed) == 2:
        return len(by_swapped) < len(by_printed)
    sets = _common_sets(by_swapped)
    return len(by_swapped) <= len(by_printed) - 2 and _covered(sets) > _covered(_common_sets(by_printed))


def _is_averaged(checks: Sequence[RowAudit], sets: Sequence[Cluster]) -> bool:
    """True when misfits are frequent and all have the direction of averaging.

    Where nearly all rows agree on a prevalence, their counts were pooled: then a few misfits are wrong digits.
    """
    broken = [check for check in checks if not check.possible]
    alike = sum(check.averaged_like for check in broken)
    if alike < max(2, 0.3 * len(checks)) or alike < 0.9 * len(broken):
        return False
    return alike > 0.5 * len(checks) or _covered(sets) < 0.8 * len(checks)


def _verdict(
    checks: Sequence[RowAudit],
    by_printed: Sequence[Cluster],
    by_swapped: Sequence[Cluster],
    sets: Sequence[Cluster],
    swapped: bool,
    averaged: bool,
) -> tuple[str, str]:
    """Sum the group up: one of the words of `GroupAudit.verdict`, and a sentence."""
    rows = _covered(by_printed)
    agree = f"{_covered(sets)} of {rows} rows agree on"
    if averaged:
        return "averaged", _averaged(checks)
    if not rows:
        return "unknown", "no row tells the prevalence"
    low, high = _range(check.as_printed for check in checks)
    if swapped:
        return "swapped", (
            "precision and recall are swapped: with the columns as named, the prevalence of one test set would run "
            f"from {low:.3f} to {high:.3f} %; swapped, {agree} {' or '.join(percent(s.prevalence) for s in sets)}"
        )
    if not sets:
        return "none", (
            f"no common prevalence, neither as printed ({low:.3f} to {high:.3f} %) nor swapped: the rows come from "
            "different test sets, or are not counted over the whole set"
        )
    if len(sets) > 1:
        return "mixed", _mixed(checks, sets)
    prevalence = percent(sets[0].prevalence)
    if rows == 1 or not any(check.tight for check in checks):
        why = "one row alone" if rows == 1 else "no row has two of precision, recall and F1 or IoU"
        return "unknown", f"{why}: a prevalence of {prevalence} would do, columns as printed"
    text = f"{agree} a prevalence of {prevalence}, columns as printed"
    if len(by_swapped) == 1:
        return "either", f"{text}; swapped, they would agree too: too few digits or rows to tell"
    return "constant", text


def _mixed(checks: Sequence[RowAudit], sets: Sequence[Cluster]) -> str:
    """Name the sets by their prevalences and rows."""
    parts = []
    for one in sets:
        rows = [checks[i].row for i in one.rows]
        names = [row.name for row in rows]
        if all(row.table for row in rows):
            names = list(dict.fromkeys(row.table for row in rows))
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        parts.append(f"{percent(one.prevalence)} in {len(rows)} rows ({', '.join(names[:4])}{more})")
    return f"{len(sets)} different prevalences, so {len(sets)} test sets or labels: {'; '.join(parts)}"


def _averaged(checks: Sequence[RowAudit]) -> str:
    low = sum(check.f1_sign == -1 for check in checks)
    high = sum(check.iou_sign == 1 for check in checks)
    return (
        f"the metrics look averaged (over images, runs or classes) instead of computed from pooled counts: of "
        f"{len(checks)} rows, F1 is too low for precision and recall in {low} and IoU too high for F1 in {high}; "
        "averaging errs in these directions only"
    )


def _range(prevalences: Iterable[Interval | None]) -> tuple[float, float]:
    middles = [middle(one) for one in prevalences if one is not None]
    return min(middles), max(middles)


# --- In words for the terminal, and as plain data for JSON


def text(result: Audit) -> str:
    """Say what was found, group by group, then row by row, then what could not be checked."""
    rows = result.rows
    lines = [f"{result.title}: {len(rows)} row{'s' if len(rows) != 1 else ''}", ""]
    for finding in result.findings:
        where = f"[{finding.group}] " if finding.group else ""
        message = f"{finding.kind} ({finding.sure}): {where}{finding.message}"
        lines += textwrap.wrap(message, WIDTH, initial_indent="- ", subsequent_indent="  ")
    if not result.findings and all(set(_checks(one)) == {None} for one in rows):
        lines.append("No finding, because nothing could be checked: no two of the numbers are tied together.")
    elif not result.findings:
        lines.append("No finding: every row that can be checked fits.")
    if partly := sum(None in _checks(one) for one in rows):
        lines.append(
            f"{partly} of {len(rows)} rows were checked in part, or not at all: a number is missing, or the rest "
            "leaves the prevalence open."
        )
    for group in result.groups:
        lines += ["", *_group(group)]
    return "\n".join([*lines, "", *(f"Note: {note}" for note in result.notes)])


def to_json(result: Audit) -> dict[str, Any]:
    """Return the audit as plain data in a stable order; prevalences and confusion matrices in percent."""
    groups = [vars(group) | {"rows": [_row(one) for one in group.rows]} for group in result.groups]
    return {"format": 2, **vars(result), "findings": [*map(vars, result.findings)], "groups": groups}


def _row(one: RowAudit) -> dict[str, Any]:
    f1_fits, iou_fits, prevalence_fits = _checks(one)
    return {
        "table": one.row.table,
        "row": one.row.number,
        "label": one.row.label,
        "printed": dict(one.row.cells),
        "f1_fits": f1_fits,
        "iou_fits": iou_fits,
        "prevalence_fits": prevalence_fits,
        "prevalence_printed": one.as_printed and [100 * end for end in one.as_printed],
        "prevalence_swapped": one.as_swapped and [100 * end for end in one.as_swapped],
        "precision": one.precision,
        "recall": one.recall,
        "confusion": one.confusion,
    }


def _checks(one: RowAudit) -> list[bool | None]:
    """Whether F1, IoU and prevalence fit; None: it could not be checked."""
    return [None if sign is None else sign == 0 for sign in (one.f1_sign, one.iou_sign)] + [one.fits]


def _group(group: GroupAudit) -> list[str]:
    message = f"{group.verdict}: {group.message}"
    wide = max(3, *(len(one.row.name) for one in group.rows))
    heads = " ".join(f"{part.upper():>7}" for part in PARTS)
    lines = [
        f"Test set {group.name}" if group.name else "All rows as one test set",
        *textwrap.wrap(message, WIDTH, initial_indent="  ", subsequent_indent="  "),
        f"  {'row':<{wide}}  F1  IoU  π as printed    π swapped  π fits  {heads}",
    ]
    for one in group.rows:
        f1, iou, fits = ({None: "–", True: "ok", False: "NO"}[holds] for holds in _checks(one))
        cells = " ".join(f"{one.confusion[part]:7.3f}" if one.confusion else f"{'–':>7}" for part in PARTS)
        shown = f"{_prevalence(one.as_printed):>12} {_prevalence(one.as_swapped):>12}"
        lines.append(f"  {one.row.name:<{wide}}  {f1:<3} {iou:<4} {shown}  {fits:<6}  {cells}")
    note = "  π: implied prevalence, TP to TN: the rebuilt confusion matrix, both in percent of all pixels"
    return [*lines, note]


def _prevalence(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    low, high = (100 * end for end in interval)
    return f"{low:.2f}–{high:.2f}" if high - low > 0.1 * (low + high) else f"{(low + high) / 2:.3f}"
