"""An audit in words for the terminal, and as plain data for JSON."""

from __future__ import annotations

import textwrap
from typing import Any

from upcrack_lite.reproduction.audit import Audit, GroupAudit, RowAudit

WIDTH = 100


def text(result: Audit) -> str:
    """Say what was found, group by group, then row by row, then what could not be checked."""
    rows = len(result.rows)
    lines = [f"{result.title}: {rows} row{'s' if rows != 1 else ''}", ""]
    if result.findings:
        lines.append("Findings")
        for finding in result.findings:
            where = f"[{finding.group}] " if finding.group else ""
            message = f"{finding.kind} ({finding.sure}): {where}{finding.message}"
            lines += textwrap.wrap(message, WIDTH, initial_indent="- ", subsequent_indent="  ")
    elif all(_checks(one) == {None} for one in result.rows):
        lines.append(
            "Findings: none, because nothing could be checked: no two of the numbers are tied together."
        )
    else:
        lines.append("Findings: none. Every row that can be checked fits.")
    partly = sum(None in _checks(one) for one in result.rows)
    if partly:
        lines.append(
            f"{partly} of {rows} rows were checked in part, or not at all: a number is missing, or the rest did not "
            "settle the crack share."
        )
    for group in result.groups:
        lines += ["", *_group(group)]
    lines += ["", *(f"Note: {note}" for note in result.notes)]
    return "\n".join(lines)


def to_json(result: Audit) -> dict[str, Any]:
    """Return the audit as plain data in a stable order; shares and confusion matrices in percent."""
    return {
        "format": 1,
        "title": result.title,
        "unit": result.unit,
        "notes": list(result.notes),
        "findings": [dict(vars(finding)) for finding in result.findings],
        "groups": [
            {
                "name": group.name,
                "verdict": group.verdict,
                "message": group.message,
                "exchanged": group.exchanged,
                "crack_shares": list(group.shares),
                "spread": group.spread,
                "rows": [_row_data(row) for row in group.rows],
            }
            for group in result.groups
        ],
    }


def _checks(one: RowAudit) -> set[bool | None]:
    """The outcomes of the three checks of a row; None: it could not be made."""
    return {one.f1_fits, one.iou_fits, one.share_fits}


def _row_data(one: RowAudit) -> dict[str, Any]:
    return {
        "table": one.row.table,
        "row": one.row.number,
        "label": one.row.label,
        "printed": dict(one.row.cells),
        "f1_fits": one.f1_fits,
        "iou_fits": one.iou_fits,
        "share_fits": one.share_fits,
        "share_printed": one.share_printed and list(one.share_printed),
        "share_exchanged": one.share_exchanged and list(one.share_exchanged),
        "precision": one.precision,
        "recall": one.recall,
        "confusion": one.confusion and dict(one.confusion),
    }


def _group(group: GroupAudit) -> list[str]:
    lines = [f"Test set {group.name}" if group.name else "All rows as one test set"]
    message = f"{group.verdict}: {group.message}"
    lines += textwrap.wrap(message, WIDTH, initial_indent="  ", subsequent_indent="  ")
    wide = min(max(len(one.row.name) for one in group.rows), 44)
    wide = max(wide, 3)
    lines.append(
        f"  {'row':<{wide}}  F1  IoU  π as printed  π exchanged  π fits"
        f"  {'TP':>7} {'FP':>7} {'FN':>7} {'TN':>7}"
    )
    for one in group.rows:
        cells = (
            " ".join(f"{one.confusion[key]:7.3f}" for key in ("tp", "fp", "fn", "tn"))
            if one.confusion
            else " ".join(["      –"] * 4)
        )
        lines.append(
            f"  {_short(one.row.name, wide):<{wide}}  {_mark(one.f1_fits):<3} {_mark(one.iou_fits):<4} "
            f"{_share(one.share_printed):>12} {_share(one.share_exchanged):>12}  {_mark(one.share_fits):<6}  {cells}"
        )
    lines.append(
        "  π: implied crack share, TP to TN: the rebuilt confusion matrix, both in percent of all pixels"
    )
    return lines


def _short(name: str, wide: int) -> str:
    return name if len(name) <= wide else name[: wide - 1] + "…"


def _mark(fits: bool | None) -> str:
    return "–" if fits is None else "ok" if fits else "NO"


def _share(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "–"
    low, high = ends
    if high - low > 0.1 * (low + high):
        return f"{low:.2f}–{high:.2f}"
    return f"{(low + high) / 2:.3f}"
