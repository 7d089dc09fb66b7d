"""Sentences of the paper that its own tables can check, and a report that asks why a result lies far below.

Each claim is computed from the printed tables when it is asked for; nothing here is a number of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.conditions import implied_share
from upcrack_lite.reproduction.published import Row

OWN = "upcracknet"
LABELED = ("general_supervised", "crack_supervised")

REPORTED = {"precision": 29.9, "recall": 89.4, "f1": 44.8, "iou": 33.3}
"""What a user of the released program reported for Crack500, in percent; known to us second-hand."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper; `holds` says whether the printed tables bear it out, `finds` what they say."""

    section: str
    phrase: str  # the paper's own few words
    finds: str
    holds: bool


def claims() -> list[Claim]:
    """Check the paper's sentences against its tables."""
    return [_methods(), _crack500(), _deepcrack(), *_alike(), *_general(), _masks(), _adversarial()]


def iou(table: int, key: str) -> float:
    """The printed IoU of a row, percent."""
    return published.row(table, key).iou


def of(table: int, *strategies: str) -> list[Row]:
    """The rows of these training strategies."""
    return [row for row in published.rows(table) if row.strategy in strategies]


def reported_f1_iou() -> tuple[float, float]:
    """F1 and IoU in percent that the reported precision and recall give, when they are of pooled counts."""
    p, r = REPORTED["precision"], REPORTED["recall"]
    f1 = 2 * p * r / (p + r)
    return f1, 100 * f1 / (200 - f1)


def marked_share(precision: float, recall: float, share: float) -> float:
    """Share of all pixels that was marked as crack; all in percent."""
    return share * recall / precision


def marked() -> dict[str, float]:
    """Percent of the pixels of Crack500's test set that were marked: as printed for UP-CrackNet, and as reported."""
    row = published.corrected(published.row(3, OWN))
    share = implied_share(published.row(3, OWN))
    p, r = REPORTED["precision"], REPORTED["recall"]
    return {
        "crack": share,
        "printed": marked_share(row.precision, row.recall, share),
        "reported": marked_share(p, r, share),
        "reported, exchanged": marked_share(r, p, share),
    }


def _methods() -> Claim:
    general, crack = len(of(3, LABELED[0])), len(of(3, LABELED[1]))
    return Claim(
        "IV-D",
        "11 general supervised semantic segmentation methods",
        f"the tables have {general} general and {crack} crack-specific methods, {general + crack} in all",
        general == 11,
    )


def _crack500() -> Claim:
    own = iou(3, OWN)
    general = of(3, LABELED[0])
    below = [row for row in general if row.iou < own]
    lost = [row.iou - own for row in general if row.iou > own]
    names = ", ".join(row.key for row in below)
    return Claim(
        "IV-D",
        "1.185% — 6.355% ... reduction in IoU than the general",
        f"{min(lost):.3f} to {max(lost):.3f} points over {len(lost)} of {len(general)} methods; the other "
        f"{len(below)} ({names}) lie below UP-CrackNet and are left out",
        not below,
    )


def _deepcrack() -> Claim:
    own = iou(4, OWN)
    best = max(row.iou for row in of(4, LABELED[0]))
    return Claim(
        "IV-D",
        "better performance than all general supervised methods",
        f"on DeepCrack: {own:.3f} % against {best:.3f} % of the best, {own - best:.3f} points more",
        own > best,
    )


def _alike() -> list[Claim]:
    found = []
    for table, phrase in ((3, "32.606% — 33.739%"), (4, "29.544%—38.459%")):
        gains = [iou(table, OWN) - row.iou for row in of(table, "unsupervised")]
        text = f"{min(gains):.3f}% — {max(gains):.3f}%"
        found.append(
            Claim(
                "IV-D",
                phrase,
                f"over the two other unsupervised methods in Table {published.TABLES[table].roman}: "
                f"{min(gains):.3f} to {max(gains):.3f} points",
                text.replace(" ", "") == phrase.replace(" ", ""),
            )
        )
    return found


def _general() -> list[Claim]:
    found = []
    for table in (5, 6, 7, 8):
        own = iou(table, OWN)
        above = {row.key: row.iou - own for row in published.rows(table) if row.iou > own}
        first = max((row for row in published.rows(table) if row.key != OWN), key=lambda row: row.iou)
        finds = (
            "; ".join(f"{name} is {more:.3f} points above it" for name, more in above.items())
            if above
            else f"it is first; the next, {first.key}, is {own - first.iou:.3f} points below"
        )
        found.append(
            Claim(
                "IV-E",
                "superior generalizability",
                f"Table {published.TABLES[table].roman}, {published.TABLES[table].sets}: {finds}",
                not above,
            )
        )
    return found


def _masks() -> Claim:
    own = published.row(2, "multi_scale_square")
    others = [published.row(2, key) for key in ("striped", "jumbled")]
    gains = [(own.f1 - row.f1, own.iou - row.iou) for row in others]
    printed = [(2.876, 2.951), (13.080, 12.513)]
    return Claim(
        "IV-C",
        "improvements of 2.876% and 13.080% in F1-Score",
        "; ".join(
            f"against {row.key}: {f1:.3f} points of F1 and {gain:.3f} of IoU"
            for row, (f1, gain) in zip(others, gains, strict=True)
        ),
        all(
            abs(a - b) < 5e-4
            for one, two in zip(gains, printed, strict=True)
            for a, b in zip(one, two, strict=True)
        ),
    )


def _adversarial() -> Claim:
    base = published.row(1, "mae").f1
    alone = {name: published.row(1, f"mae+{name}").f1 - base for name in ("ssim", "msgms", "style", "adv")}
    full = published.row(1, "mae+ssim+msgms+style+adv").f1 - published.row(1, "mae+ssim+msgms+style").f1
    second = max(gain for name, gain in alone.items() if name != "adv")
    return Claim(
        "IV-C",
        "provides the most significant improvement",
        f"beside MAE alone the adversarial loss adds {alone['adv']:.3f} points of F1, the next {second:.3f}; beside "
        f"all other losses it adds {full:.3f}; but which losses a row has is our reading of the table's marks",
        max(alone, key=alone.__getitem__) == "adv",
    )
