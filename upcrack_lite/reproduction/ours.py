"""Records of one printed row, grouped by their conditions: what the table pages show as "ours"."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from upcrack_lite.baselines.registry import FAMILIES
from upcrack_lite.metrics import METRICS, Confusion, bootstrap_interval, pooled
from upcrack_lite.reproduction import cells
from upcrack_lite.reproduction.conditions import count, family_median, told, unmet
from upcrack_lite.reproduction.published import Row
from upcrack_lite.reproduction.records import Record

ELSEWHERE = {1: (("deepcrack", "deepcrack"),), 2: (("deepcrack", "deepcrack"),)}
"""Tables that compare choices, not methods, can be made on other sets too; these are shown beside them."""

SUBSTITUTES = ("style_network", "encoder_weights")
"""Preset values that may differ from a row's, because the weights that it needs are not always at hand."""


@dataclass(frozen=True)
class Score:
    """One metric over the seeds of a group, in percent.

    sd: standard deviation over seeds, nan for one seed. low, high: 95 % bootstrap interval over images, with the
    counts of all seeds added up image by image. nan where undefined.
    """

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Ours:
    """Records of one row that differ in their seed alone.

    Attributes:
        substituted: values of `SUBSTITUTES` that differ from the row's.
        label: recipe, scale, sets and seeds in a few words.
        conditions: how they were made, one sentence each.
        unmet: what keeps them from being compared with the printed row, one sentence each; empty: nothing.
    """

    recipe: str
    scale: str
    train_set: str
    test_set: str
    records: tuple[Record, ...]
    scores: dict[str, Score]
    substituted: tuple[str, ...]
    label: str
    conditions: tuple[str, ...]
    unmet: tuple[str, ...]

    @property
    def middle(self) -> dict[str, float]:
        """For detectors without training: the median of F1 and IoU over the family's variants; else empty."""
        return family_median(self.records[0])

    @property
    def f1(self) -> float:
        """Mean F1 in percent; 0 where nothing is marked, and so F1 is 0 or undefined."""
        mean = self.scores["f1"].mean
        return 0.0 if math.isnan(mean) else mean

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, smallest first."""
        return tuple(record.key.seed for record in self.records)

    @property
    def images(self) -> int:
        """How many test images."""
        return self.records[0].test.images

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the records' files."""
        return tuple(f"{record.slug}.json" for record in self.records)


def group(row: Row, given: Iterable[Record]) -> list[Ours]:
    """Collect the records that belong to a printed row: its method and values, on its sets or on others.

    A record on other sets belongs to the row only where these stand in for the row's own, are synthetic, or are
    listed in `ELSEWHERE`.
    """
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in given:
        key = record.key
        if belongs(row, record.cell):
            substituted = [str(value) for name, value in record.cell.overrides if name in SUBSTITUTES]
            name = (key.recipe, key.scale, key.train_set, key.test_set, *substituted)
            found.setdefault(name, []).append(record)
    return [
        _ours(row, name, sorted(some, key=lambda one: one.key.seed)) for name, some in sorted(found.items())
    ]


def confusions(some: Sequence[Record]) -> list[Confusion]:
    """Add up the counts of all records, image by image; where the images differ, the first record's alone."""
    first = [image.name for image in some[0].images]
    same = [record for record in some if [image.name for image in record.images] == first]
    return [pooled(images) for images in zip(*(record.confusions for record in same), strict=True)]


def belongs(row: Row, cell: cells.Cell) -> bool:
    """True if a cell belongs to a printed row: its method and values, on its sets or on those beside them."""
    method, values = cells.row_overrides(row.table, row.key)
    if cell.method != method or not _sets_fit(row, cell.train_set, cell.test_set):
        return False
    wanted = cells.Cell(method, cell.recipe, cell.scale, tuple(values.items()))
    return _without_substitutes(cell) == _without_substitutes(wanted)


def _sets_fit(row: Row, train_set: str, test_set: str) -> bool:
    if (train_set, test_set) in ELSEWHERE.get(row.table, ()):
        return True
    for place, (printed, given) in enumerate(zip(cells.PAIRS[row.table], (train_set, test_set), strict=True)):
        stand_in = cells.STAND_INS.get(printed, ("", ""))[place]
        if given not in (printed, stand_in, "synthetic"):
            return False
    return True


def _without_substitutes(cell: cells.Cell) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in cell.overrides if name not in SUBSTITUTES)


def _ours(row: Row, name: tuple[str, ...], some: list[Record]) -> Ours:
    recipe, scale, train_set, test_set, *substituted = name
    both = confusions(some)
    scores = {metric: _score(some, both, metric) for metric in METRICS}
    seeds = count(len(some), "seed")
    sets = f"{train_set} → {test_set}"
    label = ", ".join([f"{recipe} recipe, {scale}, {sets}", *substituted, seeds])
    if row.key in FAMILIES:  # no recipe, scale or seed changes anything
        label = sets
    return Ours(
        recipe,
        scale,
        train_set,
        test_set,
        tuple(some),
        scores,
        tuple(substituted),
        label,
        tuple(told(row, some)),
        tuple(unmet(row, some)),
    )


def _score(some: list[Record], both: list[Confusion], metric: str) -> Score:
    values = [getattr(pooled(record.confusions), metric) for record in some]
    sd = statistics.stdev(values) if len(values) > 1 else float("nan")
    return Score(statistics.fmean(values), sd, *bootstrap_interval(both, metric))
