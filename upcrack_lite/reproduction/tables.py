"""Our results beside the printed ones, row by row, with a verdict, its reason and a reading. Chapter: the tables.

A row's records are grouped by how they were made (recipe, scale, training set, test set); the seeds of a group
give mean and spread. Only a group under the paper's own conditions gets a verdict of `verdicts.compare`. All others
leave the row open, and stand beside it with their label and reading.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import BESIDE, CRACKNET, EXTRA, FAMILIES, ONE_SCALE
from upcrack_lite.metrics import METRICS, average_precision, bootstrap_interval, ods, pooled
from upcrack_lite.recipes import SCALES
from upcrack_lite.reproduction import conditions, published, records, verdicts
from upcrack_lite.reproduction.conditions import SETS, count
from upcrack_lite.reproduction.experiments import (
    CHOICES,
    PAIRS,
    PROXIES,
    Experiment,
    Selection,
    row_overrides,
)
from upcrack_lite.reproduction.published import Row
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.verdicts import COMPARED, SEEDS, Verdict

ELSEWHERE = {1: (("deepcrack", "deepcrack"),), 2: (("deepcrack", "deepcrack"),)}
"""Tables that compare choices, not methods, can be made on other sets too; these are shown beside them."""

SUBSTITUTES = {"epochs": "{} epochs", "style_network": "{}", "encoder_weights": "{}", "native": "own size"}
"""Preset values that may differ from a row's, and how a label names them.

A training of another length, weights that are not always at hand, and photos at their own size.
"""


@dataclass(frozen=True)
class Score:
    """One metric over the seeds of a group, in percent; nan where undefined.

    low, high: 95 % bootstrap interval of the mean over photos, the images of one photo drawn together: each seed is
    scored on what is drawn, then the mean is taken. nan where the seeds have different images.
    """

    mean: float
    sd: float  # standard deviation over seeds, nan for one
    low: float
    high: float


@dataclass(frozen=True)
class Worth:
    """What a score map is worth, whatever its threshold, in percent, mean over seeds; nan without any crack pixel."""

    f1: float  # with the one threshold that is best for all photos, which takes their labels to choose (ODS)
    average_precision: float  # area under the curve of precision over recall


@dataclass(frozen=True, eq=False)
class Ours:
    """Records of one row that differ in their seed alone."""

    recipe: str
    scale: str
    train_set: str
    test_set: str
    records: tuple[Record, ...]
    scores: dict[str, Score]
    substituted: tuple[str, ...]  # values of `SUBSTITUTES` that differ from the row's
    label: str  # recipe, scale, sets and seeds in a few words
    conditions: tuple[str, ...]  # how they were made, one sentence each
    unmet: tuple[str, ...]  # what keeps them from being compared with the printed row; empty: nothing
    failed: tuple[int, ...]  # seeds of runs that failed
    sound: Mapping[str, Score]  # the scores without these; empty where none or all failed

    @cached_property
    def worth(self) -> Worth:
        """What the records' maps are worth as they are, before any filter."""
        maps = [record.maps["raw"].pooled for record in self.records]
        return Worth(
            statistics.fmean(ods(one)[0] for one in maps),
            statistics.fmean(average_precision(one) for one in maps),
        )

    @property
    def middle(self) -> dict[str, float]:
        """For training-free baselines: the median of F1 and IoU over the family's variants; else empty."""
        return conditions.family_median(self.records[0])

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
    def files(self) -> tuple[str, ...]:
        """Names of the records' files."""
        return tuple(f"{record.slug}.json" for record in self.records)


@dataclass(frozen=True)
class TableRow:
    """One row of a table page; `printed` is as printed, `corrected` has precision and recall swapped back.

    reading: where F1 of the nearest records lies, in a sentence; empty where nothing is recorded or printed.
    """

    printed: Row
    corrected: Row
    verdict: Verdict
    reason: str
    reading: str
    ours: tuple[Ours, ...]  # the nearest to the printed conditions first
    command: str  # what makes the records that the verdict needs


def recipe_of(row: Row, wanted: str) -> str:
    """The recipe of a row's records: methods other than UP-CrackNet have `paper` alone, whatever is wanted."""
    return wanted if row_overrides(row.table, row.key)[0] == CRACKNET else "paper"


def nearest_by_scale(row: TableRow, recipe: str) -> dict[str, Ours]:
    """Of each scale the records nearest to the printed conditions; for choices, on the printed photos alone."""
    found: dict[str, Ours] = {}
    recipe = recipe_of(row.printed, recipe)
    for ours in row.ours:
        printed = (ours.train_set, ours.test_set) == PAIRS[row.printed.table]
        if ours.recipe == recipe and (printed or row.printed.table not in CHOICES):
            found.setdefault(ours.scale, ours)
    return found


def table(selection: Selection, given: Iterable[Record] = ()) -> list[TableRow]:
    """Set our records beside the rows of a table.

    After the printed rows of a table of methods come the training-free baselines, which the paper does not have.

    selection: the rows; records of another scale, other sets or seeds are passed over, and those of the other recipe
    stand beside. given: records; those of other tables are passed over.
    """
    given = list(given)
    used, failed = [record for record in given if _is_meant(record, selection)], conditions.failed_runs(given)
    rows = []
    for name in selection.row_names:
        printed = (published.beside if name in BESIDE else published.row)(selection.table, name)
        recipe = recipe_of(printed, selection.recipe)
        ours = group(printed, used, recipe, selection.seeds, failed)
        said = (
            *verdict(printed, ours, recipe),
            reading(printed, ours),
            tuple(ours),
            command(printed, recipe),
        )
        rows.append(TableRow(printed, published.corrected(printed), *said))
    return rows


def divided(rows: Iterable[TableRow]) -> tuple[list[TableRow], list[TableRow]]:
    """The printed rows, and those that are not in the paper."""
    parts: tuple[list[TableRow], list[TableRow]] = ([], [])
    for row in rows:
        parts[row.verdict == Verdict.ABSENT].append(row)
    return parts


def told(selection: Selection, given: Iterable[Record]) -> list[str]:
    """A line for each printed row: its verdict and its reading, or why there is none."""
    rows, _ = divided(table(selection, given))
    return [f"Table {row.printed.name}: {row.verdict}; {row.reading or row.reason}." for row in rows]


def recorded(folder: Path | str) -> list[Record]:
    """Read the records of a folder; none where the folder is not there. Raises UserError as `records`."""
    return records.load_all(folder)


def verdict(row: Row, ours: Sequence[Ours], recipe: str = "paper") -> tuple[Verdict, str]:
    """What the records of a recipe say about one printed row: the verdict and its reason in a sentence.

    row: as printed, from `published`. ours: from `group`.
    """
    if row.key in EXTRA:
        return Verdict.ABSENT, f"not in the paper: {EXTRA[row.key]}"
    if row.key in FAMILIES:
        return Verdict.ABSENT, "a training-free baseline, which shows what the numbers beside it are worth"
    if row.key in conditions.NOT_SHARED:
        why = "the paper's authors did not share their program of this method, nor the threshold of its map"
        own = "; what stands beside the row is a network of the kit's own" if ours else ""
        return Verdict.CANNOT, f"{why}{own}"
    if not ours:
        unknown = f"; {conditions.UNKNOWN_PATCHES}" if PAIRS[row.table][1] not in conditions.OFFICIAL else ""
        return Verdict.NOT_RUN, f"there is no record of it yet{unknown}"
    nearest = ours[0]
    missing = [] if nearest.recipe == recipe else [f"there is no record with the recipe {recipe}"]
    if missing := [*missing, *nearest.unmet]:
        return Verdict.OPEN, f"the nearest record is {nearest.label}; {'; '.join(missing)}"
    totals = [pooled(one.confusions) for one in nearest.records]
    found, reason = verdicts.compare(row, {name: [getattr(one, name) for one in totals] for name in COMPARED})
    learned = nearest.records[0].train.crack_masks_sha256
    return found, reason if learned else f"{reason}; {conditions.OWN_CROPS}"


def reading(row: Row, ours: Sequence[Ours]) -> str:
    """Where F1 of the nearest records lies against the printed one, with scale, photos and seeds, in a sentence."""
    if not ours or math.isnan(row.f1):
        return ""
    one = ours[0]
    where = verdicts.reading(row.f1, one.f1)
    where += f" (within {verdicts.MARGIN:g} points)" if where == "near" else " points"
    without = f" ({one.sound['f1'].mean:.1f} % without failed runs)" if one.sound else ""
    trained, tested = SETS[one.train_set], SETS[one.test_set]
    how = [f"{one.recipe} recipe", f"{one.scale} scale", *one.substituted, count(len(one.seeds), "seed")]
    how.append(f"trained {'and' if trained == tested else f'on {trained},'} tested on {tested}")
    return f"F1 {one.f1:.1f} %{without}, printed {row.f1:.1f} %: {where} ({', '.join(how)})"


def group(
    row: Row,
    given: Sequence[Record],
    recipe: str = "paper",
    seeds: Sequence[int] = (),
    failed: frozenset[str] | None = None,
) -> list[Ours]:
    """Collect the records that belong to a printed row: its method and values, on its sets or on others.

    A record on other sets belongs to the row only where these are proxies of the row's own, are synthetic, or are
    listed in `ELSEWHERE`.

    recipe: its groups come first. seeds: those to show; empty: all. failed: of `failed_runs`; None: those of `given`.
    Returns the groups: those of the largest scale first, and of these those that lack the least of the printed
    conditions.
    """
    failed = conditions.failed_runs(given) if failed is None else failed
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(given, key=lambda one: one.key.seed):
        key = record.key
        if belongs(row, record.experiment):
            chosen = [pair for pair in record.experiment.overrides if pair[0] in SUBSTITUTES]
            substituted = [SUBSTITUTES[name].format(value) for name, value in chosen]
            name = (key.recipe, key.scale, key.train_set, key.test_set, *substituted)
            groups.setdefault(name, []).append(record)
    found = []
    for name, some in sorted(groups.items()):
        shown = [one for one in some if not seeds or row.key in FAMILIES or one.key.seed in seeds]
        if shown:
            found.append(_ours(row, name, shown, len(some) - len(shown), failed))

    def distance(one: Ours) -> tuple[bool, bool, int, int]:
        elsewhere = (one.train_set, one.test_set) in ELSEWHERE.get(row.table, ())
        return one.recipe != recipe, elsewhere, [*SCALES].index(one.scale), len(one.unmet)

    return sorted(found, key=distance)


def belongs(row: Row, experiment: Experiment) -> bool:
    """True if an experiment belongs to a printed row: its method and values, on its sets or on those beside them."""
    method, values = row_overrides(row.table, row.key)
    sets = (experiment.train_set, experiment.test_set)
    fit = sets in ELSEWHERE.get(row.table, ()) or all(
        name in (printed, PROXIES.get(printed, ("", ""))[place], "synthetic")
        for place, (printed, name) in enumerate(zip(PAIRS[row.table], sets, strict=True))
    )
    if experiment.method != method or not fit:
        return False
    wanted = Experiment(method, experiment.recipe, experiment.scale, tuple(values.items()))
    return _own(experiment) == _own(wanted)


def _own(experiment: Experiment) -> list[tuple[str, Any]]:
    """What is set otherwise, without `SUBSTITUTES`."""
    return [pair for pair in experiment.overrides if pair[0] not in SUBSTITUTES]


def command(row: Row, recipe: str = "paper") -> str:
    """The words that make the records which the verdict of a row needs."""
    seeds = "".join(f" --seed {seed}" for seed in range(1 if row.key in FAMILIES else SEEDS))
    return f"upcrack cell --table {row.table} --row {row.key} --recipe {recipe} --scale full{seeds}"


def _is_meant(record: Record, selection: Selection) -> bool:
    """True if a record has the scale and the sets that are named; a baseline has one scale."""
    key, names = record.key, ("scale", "train_set", "test_set")
    if key.method in ONE_SCALE:
        names = names[1:]
    return all(getattr(selection, name) in ("", getattr(key, name)) for name in names)


def _ours(row: Row, name: tuple[str, ...], some: list[Record], left_out: int, failed: frozenset[str]) -> Ours:
    """left_out: how many seeds of the group are not among `some`, so that a choice of seeds is told."""
    recipe, scale, train_set, test_set, *substituted = name
    label = f"{train_set} → {test_set}"
    if row.key not in FAMILIES:  # for these no recipe, scale or seed changes anything
        label = ", ".join([f"{recipe} recipe, {scale}, {label}", *substituted, count(len(some), "seed")])
    wrong = [record for record in some if record.train.checkpoint_sha256 in failed]
    sound = [record for record in some if record.train.checkpoint_sha256 not in failed]
    scores = {metric: _score(some, metric) for metric in METRICS}
    without = {metric: _score(sound, metric) for metric in METRICS if wrong and sound}
    said = conditions.unmet(row, some)
    if wrong:
        seeds = ", ".join(str(record.key.seed) for record in wrong)
        means = (
            f"; mean F1 is {scores['f1'].mean:.2f} with, {without['f1'].mean:.2f} without" if sound else ""
        )
        said.append(
            f"{len(wrong)} of its {count(len(some), 'run')} failed (seed {seeds}: the error is lower on crack than "
            f"on road, as where the restored contrast is inverted{means})"
        )
    if left_out:
        said.append(f"{count(left_out, 'more seed')} that have records are left out")
    how = {"label": label, "conditions": tuple(conditions.told(row, some)), "unmet": tuple(said)}
    how |= {"failed": tuple(record.key.seed for record in wrong), "sound": without}
    return Ours(*name[:4], tuple(some), scores, tuple(substituted), **how)


def _score(some: list[Record], metric: str) -> Score:
    values = [getattr(pooled(record.confusions), metric) for record in some]
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    same = len({tuple(image.name for image in record.images) for record in some}) == 1
    if not same:
        return Score(statistics.fmean(values), sd, math.nan, math.nan)
    counts, photos = [record.confusions for record in some], some[0].photos
    return Score(statistics.fmean(values), sd, *bootstrap_interval(counts, metric, groups=photos))
