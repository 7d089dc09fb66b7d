"""Our results beside the printed ones, row by row, with a verdict and its reason. Chapter: the tables.

A row's records are grouped by how they were made (recipe, scale, training set, test set); the seeds of a group
give mean and spread. Only a group under the paper's own conditions is compared with the printed row. All others
stand beside it with their label.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from upcrack_lite.baselines.registry import BESIDE, EXTRA, FAMILIES, ONE_SCALE
from upcrack_lite.metrics import METRICS, Confusion, bootstrap_interval, pooled
from upcrack_lite.reproduction import published, records
from upcrack_lite.reproduction.conditions import (
    NOT_SHARED,
    OFFICIAL,
    SEEDS,
    UNKNOWN_PATCHES,
    count,
    family_median,
    told,
    unmet,
)
from upcrack_lite.reproduction.experiments import PAIRS, PROXIES, Experiment, Selection, row_overrides
from upcrack_lite.reproduction.published import Row
from upcrack_lite.reproduction.records import Record

NAMES = {"precision": "precision", "recall": "recall", "accuracy": "accuracy", "f1": "F1", "iou": "IoU"}
"""The metrics in words."""

COMPARED = ("f1", "iou")
"""The metrics that a verdict looks at: the paper prints them in all tables, and no column is swapped."""

LEAST = 1.0  # points; below this two runs of the same code are not told apart

ELSEWHERE = {1: (("deepcrack", "deepcrack"),), 2: (("deepcrack", "deepcrack"),)}
"""Tables that compare choices, not methods, can be made on other sets too; these are shown beside them."""

SUBSTITUTES = ("style_network", "encoder_weights", "native")
"""Preset values that may differ from a row's: weights that are not always at hand, and photos at their own size."""


class Verdict(StrEnum):
    """What can be said about a printed row."""

    MATCHES = "matches"
    DIFFERS = "differs"
    NOT_RUN = "not run here"
    CANNOT = "cannot be run"
    ABSENT = "not in the paper"


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
        """For training-free baselines: the median of F1 and IoU over the family's variants; else empty."""
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


@dataclass(frozen=True)
class Tolerance:
    """How far the mean of one metric may lie from the printed value, in points, and why so far."""

    points: float
    reason: str


@dataclass(frozen=True)
class TableRow:
    """One row of a table page; `printed` is as printed, `corrected` has precision and recall swapped back."""

    printed: Row
    corrected: Row
    verdict: Verdict
    reason: str
    ours: tuple[Ours, ...]  # what counts most first
    tolerance: Mapping[str, Tolerance]  # of F1 and IoU; empty where nothing is compared
    command: str  # what makes the records that the verdict needs


def table(selection: Selection, given: Iterable[Record] = ()) -> list[TableRow]:
    """Set our records beside the rows of a table.

    After the printed rows of a table of methods come the training-free baselines, which the paper does not have.

    selection: the rows; records of another scale, other sets or seeds are passed over, and those of the other recipe
    stand beside. given: records; those of other tables are passed over.
    """
    used = [record for record in given if _is_meant(record, selection)]
    rows = []
    for name in selection.row_names:
        make = published.beside if name in BESIDE else published.row
        rows.append(_row(make(selection.table, name), used, selection.recipe))
    return rows


def recorded(folder: Path | str) -> list[Record]:
    """Read the records of a folder; none where the folder is not there. Raises UserError as `records`."""
    return records.load_all(folder) if Path(folder).is_dir() else []


def verdict(row: Row, given: Iterable[Record], recipe: str = "paper") -> tuple[Verdict, str]:
    """What the records of a recipe say about one printed row: the verdict and its reason in a sentence.

    row: as printed, from `published`. given: any records; those of other rows are passed over.
    """
    return _verdict(row, group(row, given), recipe)


def group(row: Row, given: Iterable[Record]) -> list[Ours]:
    """Collect the records that belong to a printed row: its method and values, on its sets or on others.

    A record on other sets belongs to the row only where these are proxies of the row's own, are synthetic, or are
    listed in `ELSEWHERE`.
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in given:
        key = record.key
        if belongs(row, record.experiment):
            chosen = [pair for pair in record.experiment.overrides if pair[0] in SUBSTITUTES]
            substituted = ["own size" if name == "native" else str(value) for name, value in chosen]
            name = (key.recipe, key.scale, key.train_set, key.test_set, *substituted)
            groups.setdefault(name, []).append(record)
    return [
        _ours(row, name, sorted(some, key=lambda one: one.key.seed)) for name, some in sorted(groups.items())
    ]


def belongs(row: Row, experiment: Experiment) -> bool:
    """True if an experiment belongs to a printed row: its method and values, on its sets or on those beside them."""
    method, values = row_overrides(row.table, row.key)
    sets = (experiment.train_set, experiment.test_set)
    places = enumerate(zip(PAIRS[row.table], sets, strict=True))
    fit = sets in ELSEWHERE.get(row.table, ()) or all(
        name in (printed, PROXIES.get(printed, ("", ""))[place], "synthetic")
        for place, (printed, name) in places
    )
    if experiment.method != method or not fit:
        return False
    wanted = Experiment(method, experiment.recipe, experiment.scale, tuple(values.items()))
    own, row_own = (
        [pair for pair in one.overrides if pair[0] not in SUBSTITUTES] for one in (experiment, wanted)
    )
    return own == row_own


def tolerance(ours: Ours, metric: str) -> Tolerance:
    """The largest of: 1 point, twice the spread over seeds, half the bootstrap interval over images."""
    score = ours.scores[metric]
    choices = {
        "the least that is told apart": LEAST,
        f"twice the standard deviation over {len(ours.seeds)} seeds": 2 * score.sd,
        f"half the 95 % bootstrap interval over {ours.images} images": (score.high - score.low) / 2,
    }
    known = {reason: points for reason, points in choices.items() if not math.isnan(points)}
    reason = max(known, key=known.__getitem__)
    return Tolerance(known[reason], reason)


def command(row: Row, recipe: str = "paper") -> str:
    """The words that make the records which the verdict of a row needs."""
    words = f"upcrack cell --table {row.table} --row {row.key} --recipe {recipe} --scale full"
    seeds = 1 if row.key in FAMILIES else SEEDS
    return words + "".join(f" --seed {seed}" for seed in range(seeds))


def _is_meant(record: Record, selection: Selection) -> bool:
    """True if a record has the scale, the sets and the seed that are named; a baseline has one scale and seed."""
    key, names = record.key, ("scale", "train_set", "test_set")
    if key.method in ONE_SCALE:
        names = names[1:]
    if key.method in FAMILIES:
        selection = replace(selection, seeds=())
    named = all(getattr(selection, name) in ("", getattr(key, name)) for name in names)
    return named and (not selection.seeds or key.seed in selection.seeds)


def _row(row: Row, given: list[Record], recipe: str) -> TableRow:
    ours = tuple(sorted(group(row, given), key=lambda one: (one.recipe != recipe, len(one.unmet))))
    compared = next((one for one in ours if one.recipe == recipe and not one.unmet), None)
    return TableRow(
        row,
        published.corrected(row),
        *_verdict(row, ours, recipe),
        ours,
        {metric: tolerance(compared, metric) for metric in COMPARED} if compared else {},
        command(row, recipe),
    )


def _ours(row: Row, name: tuple[str, ...], some: list[Record]) -> Ours:
    recipe, scale, train_set, test_set, *substituted = name
    images = [image.name for image in some[0].images]
    # Where the images differ, the interval is of the first record alone.
    same = [record.confusions for record in some if [image.name for image in record.images] == images]
    both = [pooled(photo) for photo in zip(*same, strict=True)]
    sets = f"{train_set} → {test_set}"
    label = ", ".join([f"{recipe} recipe, {scale}, {sets}", *substituted, count(len(some), "seed")])
    if row.key in FAMILIES:  # no recipe, scale or seed changes anything
        label = sets
    return Ours(
        *name[:4],
        tuple(some),
        {metric: _score(some, both, metric) for metric in METRICS},
        tuple(substituted),
        label,
        tuple(told(row, some)),
        tuple(unmet(row, some)),
    )


def _score(some: list[Record], both: list[Confusion], metric: str) -> Score:
    values = [getattr(pooled(record.confusions), metric) for record in some]
    sd = statistics.stdev(values) if len(values) > 1 else float("nan")
    return Score(statistics.fmean(values), sd, *bootstrap_interval(both, metric))


def _verdict(row: Row, ours: Sequence[Ours], recipe: str) -> tuple[Verdict, str]:
    if row.key in EXTRA:
        return Verdict.ABSENT, f"not in the paper: {EXTRA[row.key]}"
    if row.key in FAMILIES:
        return Verdict.ABSENT, "a detector without training, which shows what the numbers beside it are worth"
    if row.key in NOT_SHARED:
        why = "the paper's authors did not share their program of this method, nor how they cut its map"
        return (
            Verdict.CANNOT,
            f"{why} into crack and road; a network of the kit's own may stand beside the row",
        )
    same = sorted((one for one in ours if one.recipe == recipe), key=lambda one: len(one.unmet))
    if not same:
        other = f"; there are records of the recipe {ours[0].recipe}" if ours else ""
        unknown = f"; {UNKNOWN_PATCHES}" if PAIRS[row.table][1] not in OFFICIAL else ""
        return Verdict.NOT_RUN, f"there is no record with the recipe {recipe} yet{other}{unknown}"
    if same[0].unmet:
        return Verdict.NOT_RUN, f"the nearest record is {same[0].label}; {'; '.join(same[0].unmet)}"
    said, inside = [], True
    for metric in COMPARED:
        mean, printed = same[0].scores[metric].mean, getattr(row, metric)
        away, allowed = abs(mean - printed), tolerance(same[0], metric)
        fits = away <= allowed.points  # a mean that is undefined fits nothing
        inside = inside and fits
        said.append(
            f"{NAMES[metric]} {mean:.2f} is {away:.2f} points from the printed {printed:.3f}, "
            f"{'within' if fits else 'outside'} {allowed.points:.2f} ({allowed.reason})"
        )
    return (Verdict.MATCHES if inside else Verdict.DIFFERS), "; ".join(said)
