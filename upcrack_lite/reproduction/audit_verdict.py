"""What the rows of one test set say together: one crack share, exchanged columns, several sets, or averages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from upcrack_lite.reproduction import intervals
from upcrack_lite.reproduction.audit_faults import RowCheck, percent
from upcrack_lite.reproduction.intervals import Cluster, Interval

MOST = 0.6  # part of the rows that a statement on all of them must cover


def common_sets(found: Sequence[Cluster]) -> list[Cluster]:
    """Keep the clusters that are test sets and not chance: several rows each, and together most rows."""
    rows = sum(len(one.rows) for one in found)
    least = 1 if rows == 1 else 2 if rows < 10 else 3
    sets = [one for one in found if len(one.rows) >= least]
    return sets if covered(sets) >= MOST * rows else []


def covered(found: Sequence[Cluster]) -> int:
    """How many rows the clusters hold."""
    return sum(len(one.rows) for one in found)


def is_exchanged(printed: Sequence[Cluster], swapped: Sequence[Cluster]) -> bool:
    """True when precision and recall exchanged need clearly fewer crack shares than the columns as printed."""
    rows = covered(printed)
    if rows == 2:
        return len(swapped) < len(printed)
    sets = common_sets(swapped)
    return bool(sets) and len(swapped) <= len(printed) - 2 and covered(sets) > covered(common_sets(printed))


def is_averaged(checks: Sequence[RowCheck], sets: Sequence[Cluster]) -> bool:
    """True when misfits are frequent and all have the direction of averaging.

    Where nearly all rows agree on a crack share, their counts were pooled: then a few misfits are wrong digits.
    """
    broken = [check for check in checks if check.broken]
    alike = sum(check.averaged_like for check in broken)
    if alike < max(2, 0.3 * len(checks)) or alike < 0.9 * len(broken):
        return False
    return alike > 0.5 * len(checks) or covered(sets) < 0.8 * len(checks)


def is_mean_iou(checks: Sequence[RowCheck], sets: Sequence[Cluster], exchanged: bool, slack: float) -> bool:
    """True when IoU does not belong to F1 in most rows, but is the mean of the IoUs of crack and background."""
    if not sets or sum(check.iou_sign == 1 for check in checks) < max(2, MOST * len(checks)):
        return False
    fitting = 0
    for check in checks:
        known = check.row.known(slack, exchanged)
        share = next(
            (one.share for one in sets if intervals.meet(check.share(exchanged) or (2, 2), one.share)), None
        )
        if share is None or not {"recall", "accuracy", "iou"} <= set(known):
            continue
        f1 = known.get("f1") or intervals.f1_of(known["precision"], known["recall"])
        mean = intervals.mean_iou_of(f1, known["recall"], known["accuracy"], share)
        fitting += intervals.meet(known["iou"], mean) is not None
    return fitting >= max(2, MOST * len(checks))


def verdict(
    checks: Sequence[RowCheck],
    printed: Sequence[Cluster],
    swapped: Sequence[Cluster],
    sets: Sequence[Cluster],
    exchanged: bool,
    averaged: bool,
) -> tuple[str, str]:
    """Sum the group up: one of the words of `GroupAudit.verdict`, and a sentence."""
    rows = covered(printed)
    if averaged:
        return "averaged", _averaged(checks)
    if not rows:
        return "unknown", "no row tells the crack share"
    if exchanged:
        low, high = _range(check.share_printed for check in checks)
        return "exchanged", (
            f"precision and recall are exchanged: with the columns as named, the crack share of one test set would "
            f"run from {low:.3f} to {high:.3f} %; exchanged, {covered(sets)} of {rows} rows agree on "
            f"{' or '.join(percent(one.share) for one in sets)}"
        )
    if not sets:
        low, high = _range(check.share_printed for check in checks)
        return "none", (
            f"no common crack share, neither as printed ({low:.3f} to {high:.3f} %) nor exchanged: the rows come "
            "from different test sets, or are not counted over the whole set"
        )
    if len(sets) > 1:
        return "mixed", mixed(checks, sets)
    share = percent(sets[0].share)
    if rows == 1:
        other = percent(checks[swapped[0].rows[0]].share_exchanged)
        return "unknown", f"one row alone: crack share {share} as printed, {other} with the columns exchanged"
    if not any(check.tight for check in checks):
        return (
            "unknown",
            f"without both precision and recall the crack share is open: {share} would do in all rows",
        )
    text = f"{covered(sets)} of {rows} rows agree on a crack share of {share}, columns as printed"
    if len(swapped) == 1:
        return "either", f"{text}; exchanged, they would agree too: too few digits or rows to tell"
    return "constant", text


def mixed(checks: Sequence[RowCheck], sets: Sequence[Cluster]) -> str:
    """Name the sets by their crack shares and rows."""
    parts = []
    for one in sets:
        names = [checks[i].row.name for i in one.rows]
        tables = list(dict.fromkeys(checks[i].row.table for i in one.rows))
        if all(tables):
            names = [f"{', '.join(tables)}"]
        more = f" and {len(names) - 4} more" if len(names) > 5 else ""
        parts.append(
            f"{percent(one.share)} in {len(one.rows)} rows ({', '.join(names[: 4 if more else 5])}{more})"
        )
    return f"{len(sets)} different crack shares, so {len(sets)} test sets or labels: {'; '.join(parts)}"


def _averaged(checks: Sequence[RowCheck]) -> str:
    low = sum(check.f1_sign == -1 for check in checks)
    high = sum(check.iou_sign == 1 for check in checks)
    return (
        f"the metrics look averaged (over images, runs or classes) instead of computed from pooled counts: of "
        f"{len(checks)} rows, F1 is too low for precision and recall in {low} and IoU too high for F1 in {high}; "
        "averaging errs in these directions only"
    )


def _range(shares: Iterable[Interval | None]) -> tuple[float, float]:
    known = [share for share in shares if share is not None]
    middles = [50 * (low + high) for low, high in known]
    return min(middles), max(middles)
