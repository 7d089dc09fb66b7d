"""Failure cases found by rule, not by hand: each kind is a number, a limit, and the photos it can be asked of.

The paper's Figure 4 shows failures without saying how they were chosen. Here every photo of a test set is
measured, every kind counts the photos beyond its limit, and the worst one of each kind is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

ENOUGH = 0.5  # percent of the pixels: with less crack, a few pixels would decide
NEAR = 5  # px: a false positive up to here from the crack belongs to the crack's outline
THIN = 4.0  # px of mean width


@dataclass(frozen=True)
class Facts:
    """What the rules know about one photo. Parts of a whole in percent; nan where they are of nothing."""

    crack: float  # of all pixels, those that are crack
    recall: float  # of the crack, what was detected
    false_alarm: float  # false positives in multiples of the crack's area, wherever they are
    outline: float  # the same, only what lies within `NEAR` px of the crack
    width: float  # mean width of the crack, px: its area over the length of its center line
    line_recall: float  # of the crack's center line, what was detected
    apart: float  # of all pixels, false positives more than `NEAR` px away from any crack
    dark: float  # of those, the ones that are darker than the median of the road


def measure(image: np.ndarray, predicted: np.ndarray, crack_mask: np.ndarray) -> Facts:
    """Measure one photo: image uint8 `(H, W, 3)`; predicted and crack_mask bool `(H, W)`."""
    from skimage.morphology import skeletonize  # here, because only failure cases need it

    reach = np.arange(-NEAR, NEAR + 1)
    disk = (reach[:, None] ** 2 + reach[None, :] ** 2 <= NEAR**2).astype(np.uint8)
    around = cv2.dilate(crack_mask.astype(np.uint8), disk) > 0
    alarm = predicted & ~crack_mask
    apart = alarm & ~around
    line = skeletonize(crack_mask) if crack_mask.any() else crack_mask
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    road = np.median(gray[~crack_mask]) if not crack_mask.all() else 0
    crack = crack_mask.sum()
    return Facts(
        crack=_percent(crack, crack_mask.size),
        recall=_percent((predicted & crack_mask).sum(), crack),
        false_alarm=_percent(alarm.sum(), crack) / 100,
        outline=_percent((alarm & around).sum(), crack) / 100,
        width=_percent(crack, line.sum()) / 100,
        line_recall=_percent((predicted & line).sum(), line.sum()),
        apart=_percent(apart.sum(), apart.size),
        dark=_percent((gray[apart] < road).sum(), apart.sum()),
    )


@dataclass(frozen=True)
class Kind:
    """One kind of failure."""

    title: str
    rule: str  # the limit in words, with the photos that it applies to
    applies: Callable[[Facts], bool]  # whether a photo can fail in this way
    value: Callable[[Facts], float]  # what is measured
    limit: float  # where failure begins
    unit: str  # a format for the value
    low: bool = False  # True where small values are bad

    def fails(self, facts: Facts) -> bool:
        """True if the photo is a failure of this kind."""
        value = self.value(facts)
        return self.applies(facts) and (value < self.limit if self.low else value > self.limit)

    def told(self, facts: Facts) -> str:
        """The measured value of a photo in words."""
        return self.unit.format(self.value(facts))


def _enough(facts: Facts) -> bool:
    return facts.crack >= ENOUGH


_WHERE = f"at least {ENOUGH} % of the pixels are crack"

KINDS = (
    Kind(
        "missed crack",
        f"recall below 50 %, where {_WHERE}",
        _enough,
        lambda facts: facts.recall,
        50.0,
        "recall {:.0f} %",
        low=True,
    ),
    Kind(
        "false alarm",
        f"more than 3 times as much false alarm as crack, where {_WHERE}",
        _enough,
        lambda facts: facts.false_alarm,
        3.0,
        "{:.1f} times the crack's area",
    ),
    Kind(
        "thin crack vanished",
        f"less than half of the center line found, where the crack is at most {THIN:.0f} px wide on average",
        lambda facts: facts.width <= THIN,
        lambda facts: facts.line_recall,
        50.0,
        "{:.0f} % of the center line found",
        low=True,
    ),
    Kind(
        "dark spot taken for crack",
        f"over 75 % of the false alarm more than {NEAR} px from the crack is darker than the road's median, "
        "where that false alarm covers at least 2 % of the pixels",
        lambda facts: facts.apart >= 2.0,
        lambda facts: facts.dark,
        75.0,
        "{:.0f} % of the false alarm is dark",
    ),
    Kind(
        "drawn too wide",
        f"false alarm within {NEAR} px of the crack larger than it, where recall is at least 70 % and {_WHERE}",
        lambda facts: _enough(facts) and facts.recall >= 70,
        lambda facts: facts.outline,
        1.0,
        "outline {:.1f} times the crack's area",
    ),
)
"""The kinds of failure, in the order in which they are shown."""


def table(photos: Sequence[Facts], kinds: Sequence[Kind] = KINDS) -> list[dict[str, str | int]]:
    """Count for each kind the photos that it applies to and those that fail. A photo may fail in many ways."""
    return [
        {
            "kind": kind.title,
            "rule": kind.rule,
            "asked": sum(map(kind.applies, photos)),
            "failing": sum(map(kind.fails, photos)),
        }
        for kind in kinds
    ]


def worst(photos: Sequence[Facts], kinds: Sequence[Kind] = KINDS) -> list[tuple[Kind, int]]:
    """For each kind that has failures, in order, its worst photo that no kind before it has taken.

    So no photo is shown twice. A kind whose photos were all taken is left out.
    """
    chosen: list[tuple[Kind, int]] = []
    for kind in kinds:
        taken = {index for _, index in chosen}
        free = [i for i, facts in enumerate(photos) if kind.fails(facts) and i not in taken]
        if free:
            sign = 1 if kind.low else -1
            chosen.append((kind, min(free, key=lambda i: sign * kind.value(photos[i]))))
    return chosen


def _percent(part: int, whole: int) -> float:
    """nan of nothing."""
    return 100 * int(part) / int(whole) if whole else float("nan")
