"""One choice at a time: which difference between the two recipes moves a result, and by how much.

A rung trains and tests with the recipe `paper` and one choice set otherwise. Its effect is the change against the
plain recipe, seed by seed; records that differ in anything else are left out. Chapter: why 33 and not 45.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from upcrack_lite.baselines.kinds import CRACKNET
from upcrack_lite.metrics import METRICS, Confusion, pooled
from upcrack_lite.recipes import RELEASED, preset
from upcrack_lite.reproduction import cells
from upcrack_lite.reproduction.conditions import conditions
from upcrack_lite.reproduction.records import Record

SEEDS = 3  # at least so many pairs before a change is called clear
SURE = 0.95  # of the interval of the mean change (Student's t over the pairs) that must leave out 0


@dataclass(frozen=True)
class Rung:
    """One choice: its preset values, what it is, and how it could move a result."""

    names: tuple[str, ...]
    plain: str
    how: str
    values: Mapping[str, Any]
    unseen: str = ""  # why it changes nothing at lite scale; empty where it does

    @property
    def key(self) -> str:
        """A short name, made from the values."""
        return "+".join(self.names)


def _released(names: str, plain: str, how: str, unseen: str = "") -> Rung:
    listed = tuple(names.split())
    return Rung(listed, plain, how, {name: RELEASED[name][0] for name in listed}, unseen)


RUNGS = (
    _released(
        "error_variant",
        "photo and restoration are stretched before they are compared",
        "each is stretched to its own darkest and brightest point, so noise counts for more where the restored "
        "image is dull",
    ),
    _released(
        "input_stretch",
        "the photo is stretched before the generator sees it",
        "the generator was trained on photos that are not stretched",
    ),
    _released(
        "lr_g lr_d",
        "learning rates ten times as high",
        "the generator may end worse and restore sound road badly too",
    ),
    _released(
        "validate_every patience",
        "a look at every tenth epoch, and no early end",
        "the best state may be missed",
    ),
    _released(
        "mask_before_resize",
        "the mask is cut in before the photo is enlarged",
        "the squares are enlarged and cropped with the photo, so they move and their borders become soft",
    ),
    _released(
        "ssim_data_range ssim_padding",
        "SSIM with constants for a range of 1, and zeros beyond the border",
        "dark places weigh otherwise, and a dark frame is learned",
    ),
    _released("gms_median", "a median filter before MSGMS", "fine grain is no longer asked for"),
    _released(
        "disc_loss_factor",
        "half the discriminator's loss",
        "Adam divides such a factor out again, so next to nothing should change",
    ),
    _released(
        "style_normalize style_channels",
        "photos go into VGG as they are, blue first",
        "its features are those of other pictures than it was trained on",
        "the lite scale has no style loss",
    ),
    _released(
        "epochs",
        "300 epochs in place of 200",
        "a longer training may restore cracks too",
        "the lite scale has its own number for both recipes",
    ),
)
"""What the released program does otherwise, one choice a rung."""

OTHERS = (
    Rung(
        ("test_statistics",),
        "running statistics in the test",
        "batch normalization uses what it gathered in training, not the one photo's own",
        {"test_statistics": "running"},
    ),
    Rung(
        ("test_dropout",),
        "no dropout in the test",
        "the restoration is no longer noisy",
        {"test_dropout": False},
    ),
    Rung(
        ("bilateral_d",),
        "next to no smoothing of the error map",
        "thin cracks are not smeared, and grain is not removed",
        {"bilateral_d": 1},
    ),
)
"""Choices in which paper and program agree, or the paper is silent, for scale."""


@dataclass(frozen=True)
class Step:
    """The effect of a rung.

    Attributes:
        rung: the choice; None for all released choices together.
        seeds: seeds for which both records are there and were made alike; empty: not measured.
        before, after: mean over these seeds of each metric, and of `marked`, the share of pixels that are marked;
            percent.
        changes: for each metric and `marked`, the change seed by seed, in points.
        left_out: in what the records of other seeds differ beside the rung, such as "versions"; empty: none was left
            out.
        spread: standard deviation of the plain recipe's IoU over all its seeds; None with fewer than two.
        pairs: for each seed the records before and after.
    """

    rung: Rung | None
    seeds: tuple[int, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]
    changes: Mapping[str, tuple[float, ...]]
    left_out: tuple[str, ...]
    spread: float | None
    pairs: tuple[tuple[Record, Record], ...] = ()

    def change(self, metric: str) -> float:
        """Mean change of a metric in points; nan where nothing is measured."""
        return statistics.fmean(self.changes[metric]) if self.seeds else float("nan")

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % interval of the mean change, points (Student's t over the seeds); nan with fewer than two."""
        n = len(self.seeds)
        if n < 2:
            return float("nan"), float("nan")
        half = stats.t.ppf((1 + SURE) / 2, n - 1) * statistics.stdev(self.changes[metric]) / n**0.5
        return self.change(metric) - half, self.change(metric) + half

    @property
    def records(self) -> tuple[str, ...]:
        """The names of the records' files, before and after in turn."""
        return tuple(f"{record.slug}.json" for pair in self.pairs for record in pair)

    @property
    def key(self) -> str:
        """The rung's name, or `released` for all of them."""
        return self.rung.key if self.rung else "released"

    @property
    def verdict(self) -> str:
        """What happens to IoU, in words: clear only where `SEEDS` pairs agree, by the interval of the mean."""
        if not self.seeds:
            return f"not measured: {', '.join(self.left_out)} differ" if self.left_out else "not measured"
        if len(self.seeds) < SEEDS:
            return f"too few seeds: {len(self.seeds)}"
        low, high = self.interval("iou")
        if low <= 0 <= high:
            return "not clear"
        marked = self.change("marked")
        marks = "more" if marked > 0 else "less" if marked < 0 else "as much"
        return f"{'lower' if high < 0 else 'higher'}, marks {marks}"


def ladder(
    given: Iterable[Record], scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> list[Step]:
    """Measure each rung, and all released choices together, from the records of one scale and pair of sets.

    Returns:
        a step for each of `RUNGS`, one for the recipe `released`, and one for each of `OTHERS`; a rung without
        records says so.
    """
    wanted = (scale, train_set, test_set)
    same = [r for r in given if (r.key.scale, r.key.train_set, r.key.test_set) == wanted and not r.stale()]
    plain = _of(same, "paper", {}, scale)
    steps = [_step(rung, plain, _of(same, "paper", rung.values, scale)) for rung in rungs(scale)]
    steps.append(_step(None, plain, _of(same, "released", {}, scale)))
    return steps + [_step(rung, plain, _of(same, "paper", rung.values, scale)) for rung in OTHERS]


def rungs(scale: str) -> list[Rung]:
    """The rungs that can change something at a scale."""
    return [rung for rung in RUNGS if scale != "lite" or not rung.unseen]


def command(
    rung: Rung | None, scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> str:
    """The words that measure a rung with three seeds."""
    words = f"upcrack cell --recipe {'paper' if rung else 'released'} --scale {scale}"
    words += f" --train-set {train_set} --test-set {test_set} --seed 0 --seed 1 --seed 2"
    for name, value in (rung.values if rung else {}).items():
        words += f" --set {name}={str(value).lower() if isinstance(value, bool) else value}"
    return words


def numbers(given: Sequence[Record]) -> list[dict[str, Any]]:
    """Every number of the page's ladders as plain values, for `upcrack verify`: lite, DeepCrack, each test set."""
    found = []
    for test_set in cells.TEST_SETS:
        for step in ladder(given, test_set=test_set):
            values = [
                (what, metric, value)
                for metric in ((*METRICS, "marked") if step.seeds else ())
                for what, value in (
                    ("plain", step.before[metric]),
                    ("changed", step.after[metric]),
                    ("change", step.change(metric)),
                    ("change, low", step.interval(metric)[0]),
                    ("change, high", step.interval(metric)[1]),
                )
            ]
            values += [("spread of the plain recipe", "iou", step.spread)] if step.seeds else []
            row = {"row": f"{step.key}, {test_set}", "records": list(step.records)}
            found += [row | {"what": w, "metric": m, "value": v} for w, m, v in values]
    return found


def _of(given: list[Record], recipe: str, values: Mapping[str, Any], scale: str) -> dict[int, Record]:
    """Records of a recipe with exactly these values otherwise, by seed."""
    overrides = preset(recipe, scale, **values).overrides()
    wanted = (CRACKNET, recipe, overrides)
    return {r.key.seed: r for r in given if (r.key.method, r.key.recipe, r.key.overrides) == wanted}


def _step(rung: Rung | None, plain: dict[int, Record], changed: dict[int, Record]) -> Step:
    before = {seed: _scores(record) for seed, record in plain.items()}
    after = {seed: _scores(record) for seed, record in changed.items()}
    both = sorted(before.keys() & after.keys())
    differ = {seed: _differences(plain[seed], changed[seed]) for seed in both}
    seeds = tuple(seed for seed in both if not differ[seed])
    left_out = tuple(dict.fromkeys(name for seed in both for name in differ[seed]))
    names = (*METRICS, "marked")

    def mean(scores: dict[int, dict[str, float]], name: str) -> float:
        return statistics.fmean(scores[seed][name] for seed in seeds)

    ious = [scores["iou"] for scores in before.values()]
    return Step(
        rung,
        seeds,
        {name: mean(before, name) for name in names} if seeds else {},
        {name: mean(after, name) for name in names} if seeds else {},
        {name: tuple(after[seed][name] - before[seed][name] for seed in seeds) for name in names},
        left_out,
        statistics.stdev(ious) if len(ious) > 1 else None,
        tuple((plain[seed], changed[seed]) for seed in seeds),
    )


def _differences(one: Record, other: Record) -> list[str]:
    """In what two records differ beside their cell."""
    first, second = conditions(one), conditions(other)
    return [name for name in first if first[name] != second[name]]


def _scores(record: Record) -> dict[str, float]:
    total: Confusion = pooled(record.confusions)
    marked = 100 * (total.tp + total.fp) / (total.tp + total.fp + total.fn + total.tn)
    return {metric: getattr(total, metric) for metric in METRICS} | {"marked": marked}
