"""An audit in words for the terminal, and as plain data for JSON."""

from __future__ import annotations

import textwrap
from typing import Any

from upcrack_lite.reproduction.audit import Audit, GroupAudit
from upcrack_lite.reproduction.audit_row import RowAudit
from upcrack_lite.reproduction.intervals import Interval

WIDTH = 100
PARTS = ("tp", "fp", "fn", "tn")


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
