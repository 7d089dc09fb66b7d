"""Our results beside the printed ones, row by row, with a verdict and its reason. Chapter: the tables.

A row's records are grouped by how they were made (recipe, scale, training set, test set); the seeds of a group
give mean and spread. Only a group under the paper's own conditions is compared with the printed row. All others
stand beside it with their label.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from upcrack_lite.baselines.registry import FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.recipes import RECIPES, SCALES
from upcrack_lite.reproduction import cells, published, records
from upcrack_lite.reproduction.conditions import NOT_SHARED, OFFICIAL, SEEDS, UNKNOWN_PATCHES
from upcrack_lite.reproduction.ours import Ours, group
from upcrack_lite.reproduction.published import Row
from upcrack_lite.reproduction.records import Record

COMPARED = ("f1", "iou")
"""The metrics that a verdict looks at: the paper prints them in all tables, and no column is exchanged."""

LEAST = 1.0  # points; below this two trainings of the same code are not told apart


class Verdict(StrEnum):
    """What can be said about a printed row."""

    MATCHES = "matches"
    DIFFERS = "differs"
    NOT_RUN = "not run here"
    CANNOT = "cannot be run"
    ABSENT = "not in the paper"


@dataclass(frozen=True)
class Tolerance:
    """How far the mean of one metric may lie from the printed value, in points, and why so far."""

    points: float
    reason: str


@dataclass(frozen=True)
class TableRow:
    """One row of a table page; `printed` is as printed, `corrected` has precision and recall put right."""

    printed: Row
    corrected: Row
    verdict: Verdict
    reason: str
    ours: tuple[Ours, ...]  # what counts most first
    tolerance: Mapping[str, Tolerance]  # of F1 and IoU; empty where nothing is compared
    command: str  # what makes the records that the verdict needs


def tolerance(ours: Ours, metric: str) -> Tolerance:
    """The largest of: 1 point, twice the spread over seeds, half the bootstrap interval over images.

    Raises UserError for a metric that is not compared.
    """
    if metric not in COMPARED:
        raise UserError(f"only {' and '.join(COMPARED)} are compared, not {metric!r}")
    score = ours.scores[metric]
    half, twice = (score.high - score.low) / 2, 2 * score.sd
    choices = {
        "the least that is told apart": LEAST,
        f"twice the standard deviation over {len(ours.seeds)} seeds": twice,
        f"half the 95 % bootstrap interval over {ours.images} images": half,
    }
    known = {reason: points for reason, points in choices.items() if not math.isnan(points)}
    reason = max(known, key=known.__getitem__)
    return Tolerance(known[reason], reason)


def verdict(row: Row, given: Iterable[Record], recipe: str = "paper") -> tuple[Verdict, str]:
    """Judge one printed row by the records of a recipe.

    Args:
        row: as printed, from `published`.
        given: any records; those of other rows are passed over.
        recipe: whose records count; those of another recipe stand beside the row.

    Returns:
        the verdict and its reason in a sentence.
    """
    return _judge(row, group(row, given), recipe)


def table(
    number: int | str,
    given: Iterable[Record] = (),
    recipe: str = "paper",
    scale: str = "",
    train_set: str = "",
    test_set: str = "",
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> list[TableRow]:
    """Set our records beside the rows of a table.

    Args:
        number: 1 to 8, or "I" to "VIII".
        given: records; those of other tables are passed over.
        recipe: whose records the verdict is about; records of the other recipe stand beside.
        scale, train_set, test_set, seeds: use only records of these; empty takes all.
        methods: show only these rows (losses, mask modes or methods); empty shows all. After the printed rows of a
            table of methods come the detectors without training, which the paper does not have.

    Raises:
        UserError: an unknown table, row, recipe, scale or set (it lists the valid names).
    """
    check_names(recipe, scale, train_set, test_set)
    names = [name.lower() for name in methods] or cells.row_names(published.rows(number)[0].table)
    rows = [_named(number, name) for name in dict.fromkeys(names)]
    wanted = {"train_set": train_set, "test_set": test_set}
    used = [
        record
        for record in given
        if all(getattr(record.key, name) == value for name, value in wanted.items() if value)
        and (record.key.method in FAMILIES or not scale or record.key.scale == scale)
        and (record.key.method in FAMILIES or not seeds or record.key.seed in seeds)
    ]
    return [_row(row, used, recipe) for row in rows]


def _named(number: int | str, name: str) -> Row:
    """A printed row, or one that the paper does not have."""
    cells.row_overrides(number, name)  # refuses what is neither
    return published.beside(number, name) if name in FAMILIES else published.row(number, name)


def check_names(recipe: str, scale: str = "", train_set: str = "", test_set: str = "") -> None:
    """Raise `UserError` for an unknown name, listing the valid ones; an empty name (but the recipe) means all."""
    for what, value, known in (
        ("recipe", recipe, RECIPES),
        ("scale", scale, SCALES),
        ("training set", train_set, cells.TRAIN_SETS),
        ("test set", test_set, cells.TEST_SETS),
    ):
        if value not in known and (value or what == "recipe"):
            raise UserError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")


def recorded(folder: Path | str) -> list[Record]:
    """Read the committed records of a folder; none where the folder is not there. Raises UserError as `records`."""
    return records.load_all(folder) if Path(folder).is_dir() else []


def _row(row: Row, given: list[Record], recipe: str) -> TableRow:
    ours = tuple(sorted(group(row, given), key=lambda one: (one.recipe != recipe, len(one.unmet))))
    compared = next((one for one in ours if one.recipe == recipe and not one.unmet), None)
    return TableRow(
        row,
        published.corrected(row),
        *_judge(row, ours, recipe),
        ours,
        {metric: tolerance(compared, metric) for metric in COMPARED} if compared else {},
        command(row, recipe),
    )


def command(row: Row, recipe: str = "paper") -> str:
    """The words that make the records which the verdict of a row needs."""
    words = f"upcrack cell --table {row.table} --row {row.key} --recipe {recipe} --scale full"
    seeds = 1 if row.key in FAMILIES else SEEDS
    return words + "".join(f" --seed {seed}" for seed in range(seeds))


def _judge(row: Row, ours: Sequence[Ours], recipe: str) -> tuple[Verdict, str]:
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
        unknown = f"; {UNKNOWN_PATCHES}" if cells.PAIRS[row.table][1] not in OFFICIAL else ""
        return Verdict.NOT_RUN, f"there is no record with the recipe {recipe} yet{other}{unknown}"
    if same[0].unmet:
        return Verdict.NOT_RUN, f"the nearest record is {same[0].label}; {'; '.join(same[0].unmet)}"
    return _compare(row, same[0])


def _compare(row: Row, ours: Ours) -> tuple[Verdict, str]:
    said, inside = [], True
    for metric in COMPARED:
        mean, printed, allowed = ours.scores[metric].mean, getattr(row, metric), tolerance(ours, metric)
        away = abs(mean - printed)
        fits = away <= allowed.points  # a mean that is undefined fits nothing
        inside = inside and fits
        said.append(
            f"{NAMES[metric]} {mean:.2f} is {away:.2f} points from the printed {printed:.3f}, "
            f"{'within' if fits else 'outside'} {allowed.points:.2f} ({allowed.reason})"
        )
    return (Verdict.MATCHES if inside else Verdict.DIFFERS), "; ".join(said)


NAMES = {"precision": "precision", "recall": "recall", "accuracy": "accuracy", "f1": "F1", "iou": "IoU"}
