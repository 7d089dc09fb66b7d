"""Failure cases found by rule, not by hand: each kind is a number, a limit, and the photos it can be asked of.

The paper's Figure 4 shows failures without saying how they were chosen. Here every photo of a test set is
measured, every kind counts the photos beyond its limit, and the worst one of each kind is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from upcrack_lite.errors import UserError

ENOUGH = 0.5  # percent of the pixels: with less crack, a few pixels would decide
NEAR = 5  # px: false alarm up to here from the crack belongs to the crack's outline
THIN = 4.0  # px of mean width


@dataclass(frozen=True)
class Facts:
    """What the rules know about one photo. Shares in percent; nan where they are of nothing.

    Attributes:
        name: the photo's name.
        crack: share of the pixels that are crack.
        recall: share of the crack that was found.
        false_alarm: false alarm in multiples of the crack's area, wherever it is.
        outline: the same, only what lies within 5 px of the crack.
        width: mean width of the crack, px: its area over the length of its center line.
        line_recall: share of the crack's center line that was found.
        apart: share of the pixels that are false alarm more than 5 px away from any crack.
        dark: share of that false alarm that is darker than the median of the road.
    """

    name: str
    crack: float
    recall: float
    false_alarm: float
    outline: float
    width: float
    line_recall: float
    apart: float
    dark: float


def measure(name: str, image: np.ndarray, predicted: np.ndarray, crack_mask: np.ndarray) -> Facts:
    """Measure one photo: image uint8 `(H, W, 3)`; predicted and crack_mask bool `(H, W)`.

    Raises UserError for shapes that differ or masks that are not bool.
    """
    from skimage.morphology import skeletonize  # here, because only failure cases need it

    if not (predicted.dtype == crack_mask.dtype == np.bool_ and predicted.shape == crack_mask.shape):
        raise UserError(f"{name}: both masks must be bool and of one shape")
    if image.shape != (*crack_mask.shape, 3) or image.dtype != np.uint8:
        raise UserError(
            f"{name}: the photo must be uint8 {(*crack_mask.shape, 3)}, got {image.dtype} {image.shape}"
        )
    reach = np.arange(-NEAR, NEAR + 1)
    disk = (reach[:, None] ** 2 + reach[None, :] ** 2 <= NEAR**2).astype(np.uint8)
    around = cv2.dilate(crack_mask.astype(np.uint8), disk) > 0
    alarm = predicted & ~crack_mask
    apart = alarm & ~around
    line = skeletonize(crack_mask) if crack_mask.any() else crack_mask
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    road = np.median(gray[~crack_mask]) if not crack_mask.all() else 0
    return Facts(
        name=name,
        crack=_share(crack_mask.sum(), crack_mask.size),
        recall=_share((predicted & crack_mask).sum(), crack_mask.sum()),
        false_alarm=_share(alarm.sum(), crack_mask.sum()) / 100,
        outline=_share((alarm & around).sum(), crack_mask.sum()) / 100,
        width=_share(crack_mask.sum(), line.sum()) / 100,
        line_recall=_share((predicted & line).sum(), line.sum()),
        apart=_share(apart.sum(), apart.size),
        dark=_share((gray[apart] < road).sum(), apart.sum()),
    )


@dataclass(frozen=True)
class Kind:
    """One kind of failure.

    key: its short name. title: the same in words. rule: the limit in words, with the photos it is asked of.
    applies: whether a photo can fail in this way. value: what is measured. limit: where failure begins.
    low: True where small values are bad. unit: a format for the value.
    """

    key: str
    title: str
    rule: str
    applies: Callable[[Facts], bool]
    value: Callable[[Facts], float]
    limit: float
    low: bool
    unit: str

    def fails(self, facts: Facts) -> bool:
        """True if the photo is a failure of this kind."""
        if not self.applies(facts):
            return False
        return self.value(facts) < self.limit if self.low else self.value(facts) > self.limit

    def ranked(self, photos: Sequence[Facts]) -> list[int]:
        """Places of the photos that fail in this way, the worst first; equal ones stay in their order."""
        failing = [index for index, facts in enumerate(photos) if self.fails(facts)]
        return sorted(failing, key=lambda i: self.value(photos[i]) * (1 if self.low else -1))

    def told(self, facts: Facts) -> str:
        """The measured value of a photo in words."""
        return self.unit.format(self.value(facts))


def _enough(facts: Facts) -> bool:
    return facts.crack >= ENOUGH


KINDS = (
    Kind(
        key="missed",
        title="missed crack",
        rule=f"recall below 50 %, where at least {ENOUGH} % of the pixels are crack",
        applies=_enough,
        value=lambda facts: facts.recall,
        limit=50.0,
        low=True,
        unit="recall {:.0f} %",
    ),
    Kind(
        key="false_alarm",
        title="false alarm",
        rule=f"more than 3 times as much false alarm as crack, where at least {ENOUGH} % of the pixels are crack",
        applies=_enough,
        value=lambda facts: facts.false_alarm,
        limit=3.0,
        low=False,
        unit="{:.1f} times the crack's area",
    ),
    Kind(
        key="thin",
        title="thin crack vanished",
        rule=f"less than half of the center line found, where the crack is at most {THIN:.0f} px wide on average",
        applies=lambda facts: facts.width <= THIN,
        value=lambda facts: facts.line_recall,
        limit=50.0,
        low=True,
        unit="{:.0f} % of the center line found",
    ),
    Kind(
        key="dark",
        title="dark spot taken for crack",
        rule=f"over 75 % of the false alarm more than {NEAR} px from the crack is darker than the road's median, "
        "where that false alarm covers at least 2 % of the pixels",
        applies=lambda facts: facts.apart >= 2.0,
        value=lambda facts: facts.dark,
        limit=75.0,
        low=False,
        unit="{:.0f} % of the false alarm is dark",
    ),
    Kind(
        key="wide",
        title="drawn too wide",
        rule=f"false alarm within {NEAR} px of the crack larger than the crack, where recall is at least 70 % and "
        f"at least {ENOUGH} % of the pixels are crack",
        applies=lambda facts: _enough(facts) and facts.recall >= 70,
        value=lambda facts: facts.outline,
        limit=1.0,
        low=False,
        unit="outline {:.1f} times the crack's area",
    ),
)
"""The kinds of failure, in the order in which they are shown."""


def table(photos: Sequence[Facts], kinds: Sequence[Kind] = KINDS) -> list[dict[str, str | int]]:
    """Count, for each kind, the photos that it can be asked of and those that fail. A photo may fail in many ways."""
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
        free = [index for index in kind.ranked(photos) if index not in taken]
        if free:
            chosen.append((kind, free[0]))
    return chosen


def _share(part: int, whole: int) -> float:
    """A share in percent; nan of nothing."""
    return 100 * int(part) / int(whole) if whole else float("nan")
