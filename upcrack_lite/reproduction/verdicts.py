"""What our runs say about a printed row: the one rule of all verdicts and readings. Chapter: the tables.

The rule is for runs under the paper's own conditions, which `conditions.unmet` checks. Both sides are scored on the
same photos, so photos are not resampled: chance is in the seeds alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
from scipy import stats

from upcrack_lite.reproduction.published import Row

MARGIN = 2.0  # points of F1 and IoU
WHY = (
    "a printed row is one run, and two runs of ours that differ in their seed alone lie about 2 points of F1 apart, "
    "in the median over all records"
)

NAMES = {"precision": "precision", "recall": "recall", "accuracy": "accuracy", "f1": "F1", "iou": "IoU"}
"""The metrics in words."""

COMPARED = ("f1", "iou")
"""The metrics that a verdict looks at: the paper prints them in all tables, and no column is swapped."""

SURE = 0.95  # of an interval over seeds
SEEDS = 3  # at least so many training runs before a row is compared


class Verdict(StrEnum):
    """What can be said about a printed row."""

    MATCHES = "matches"
    DIFFERS = "differs"
    OPEN = "open"
    NOT_RUN = "not run here"
    CANNOT = "cannot be run"
    ABSENT = "not in the paper"


RULE = {
    Verdict.MATCHES: f"trained and tested on the paper's own photos, full scale, at least {SEEDS} seeds; for F1 and "
    f"IoU the mean lies within {MARGIN:g} points of the printed value, and every seed within {2 * MARGIN:g}. Why "
    f"{MARGIN:g}: {WHY}.",
    Verdict.DIFFERS: "the same conditions, but for F1 or IoU the 95 % interval of the mean over seeds (Student's t) "
    "lies wholly outside that margin.",
    Verdict.OPEN: "there is a record, but neither can be said, or a condition is not met, and it is named. A failed "
    "run leaves its row open.",
    Verdict.NOT_RUN: "there is no record.",
    Verdict.CANNOT: "no program or rule is public. A network of the kit's own may stand beside the row.",
}
"""What each verdict asks for, in words."""


def compare(row: Row, values: Mapping[str, Sequence[float]]) -> tuple[Verdict, str]:
    """Compare runs under the paper's own conditions with a printed row; returns the verdict and its reason.

    It matches where F1 and IoU have their mean within `MARGIN` of the printed value and every seed within twice that.
    It differs where for F1 or IoU the interval of the mean lies wholly outside the margin. All else is open, so a
    wide spread never makes a match.

    values: F1 and IoU of each seed, percent, two seeds or more.
    """
    said, inside, outside = [], True, False
    for metric in COMPARED:
        seeds, printed = values[metric], getattr(row, metric)
        mean, (low, high) = statistics.fmean(seeds), mean_interval(seeds)
        inside &= abs(mean - printed) <= MARGIN and all(abs(one - printed) <= 2 * MARGIN for one in seeds)
        outside |= low > printed + MARGIN or high < printed - MARGIN
        said.append(
            f"{NAMES[metric]} {mean:.2f} (seeds from {min(seeds):.2f} to {max(seeds):.2f}; 95 % interval of the mean "
            f"{low:.2f} to {high:.2f}) against the printed {printed:.3f}, with a margin of {MARGIN:g} points"
        )
    verdict = Verdict.MATCHES if inside else Verdict.DIFFERS if outside else Verdict.OPEN
    return verdict, "; ".join(said)


def reading(printed: float, mean: float) -> str:
    """Where our mean lies, in words, whatever the conditions: below, near or above the printed value (percent)."""
    away = mean - printed
    if math.isnan(away):
        return "undefined"
    if abs(away) <= MARGIN:
        return "near"
    return f"{'above' if away > 0 else 'below'} by {abs(away):.1f}"


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of runs (Student's t); nan with fewer than two."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf((1 + SURE) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return float(mean - half), float(mean + half)
