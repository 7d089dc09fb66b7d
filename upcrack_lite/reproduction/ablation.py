"""One-factor ablation: which difference between the two recipes moves a result, and by how much.

A step trains and tests with the recipe `paper` and one choice set otherwise. Its effect is the change against the
plain recipe, seed by seed; records that differ in anything else are left out. Chapter: why 33 and not 45.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from upcrack_lite.baselines.registry import CRACKNET
from upcrack_lite.metrics import METRICS, average_precision, ods, pooled
from upcrack_lite.recipes import RELEASED, preset
from upcrack_lite.reproduction import experiments
from upcrack_lite.reproduction.conditions import conditions
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.verdicts import mean_interval

SEEDS = 3  # at least so many pairs before a change is tested
SCORES = (*METRICS, "marked")  # marked: pixels that are called crack, percent


@dataclass(frozen=True)
class Choice:
    """One choice: what it is, how it could move a result, and its preset values."""

    plain: str
    how: str
    values: Mapping[str, Any]
    unseen: str = ""  # why it changes nothing at lite scale; empty where it does

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its preset values."""
        return tuple(self.values)

    @property
    def key(self) -> str:
        """A short name, made from the values."""
        return "+".join(self.values)


def _released(names: str, plain: str, how: str, unseen: str = "") -> Choice:
    return Choice(plain, how, {name: RELEASED[name][0] for name in names.split()}, unseen)


CHOICES = (
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
        "the generator may end worse and restore intact road badly too",
    ),
    _released(
        "validate_every patience",
        "validation at every tenth epoch, and no early stopping",
        "the best state may be missed",
    ),
    _released(
        "mask_before_resize",
        "the photo is masked before it is enlarged",
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
        "300 epochs instead of 200",
        "a longer run may restore cracks too",
        "the lite scale has its own number for both recipes",
    ),
)
"""What the released program does otherwise, one choice a step."""

OTHERS = (
    Choice(
        "running statistics in the test",
        "batch normalization uses what it gathered in training, not the one photo's own",
        {"test_statistics": "running"},
    ),
    Choice("no dropout in the test", "the restoration is no longer noisy", {"test_dropout": False}),
    Choice(
        "next to no smoothing of the error map",
        "thin cracks are not smeared, and grain is not removed",
        {"bilateral_d": 1},
    ),
)
"""Choices in which paper and program agree, or the paper is silent, for scale."""


@dataclass(frozen=True)
class Step:
    """The effect of a choice."""

    choice: Choice | None  # None: all released choices together
    # `SCORES` of each pair of records that differ in the choice alone, percent, seed by seed.
    before: tuple[Mapping[str, float], ...]
    after: tuple[Mapping[str, float], ...]
    left_out: tuple[str, ...] = ()  # in what other pairs differ besides the choice, such as "versions"
    spread: float | None = None  # standard deviation of the plain recipe's IoU over its seeds, if two or more
    pairs: tuple[tuple[Record, Record], ...] = ()  # the records before and after; empty: not measured

    @property
    def key(self) -> str:
        """The choice's name, or `released` for all of them."""
        return self.choice.key if self.choice else "released"

    @property
    def seeds(self) -> int:
        """How many pairs; 0: not measured."""
        return len(self.before)

    @property
    def records(self) -> list[str]:
        """The names of the records' files, before and after in turn."""
        return [f"{record.slug}.json" for pair in self.pairs for record in pair]

    def changes(self, metric: str) -> list[float]:
        """The change of a metric seed by seed, points."""
        return [new[metric] - old[metric] for old, new in zip(self.before, self.after, strict=True)]

    def change(self, metric: str) -> float:
        """Mean change of a metric in points; nan where nothing is measured."""
        return statistics.fmean(self.changes(metric)) if self.seeds else float("nan")

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % interval of the mean change, points (Student's t over the seeds); nan with fewer than two."""
        return mean_interval(self.changes(metric))

    @property
    def p(self) -> float:
        """Two-sided p of the mean change of IoU, paired t-test over the seeds; nan with fewer than `SEEDS`."""
        return float(stats.ttest_1samp(self.changes("iou"), 0).pvalue) if self.seeds >= SEEDS else math.nan

    def map_levels(self) -> list[dict[str, float]]:
        """`map_levels` of the plain recipe and of the choice; empty: not measured."""
        return [map_levels(some) for some in zip(*self.pairs, strict=True)]


def ablation(
    given: Iterable[Record], scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> list[Step]:
    """Measure each choice, and all released ones together, from the records of one scale and pair of sets.

    Returns a step for each of `CHOICES`, one for the recipe `released`, and one for each of `OTHERS`; a step
    without records says so.
    """
    wanted = (scale, train_set, test_set)
    same = [r for r in given if (r.key.scale, r.key.train_set, r.key.test_set) == wanted and not r.stale()]
    plain, steps = _of(same, "paper", {}, scale), []
    for choice in (*choices(scale), None, *OTHERS):
        changed = ("paper", choice.values) if choice else ("released", {})
        steps.append(_step(choice, plain, _of(same, *changed, scale)))
    return steps


def choices(scale: str) -> list[Choice]:
    """The released choices that can change something at a scale."""
    return [choice for choice in CHOICES if scale != "lite" or not choice.unseen]


def holm(steps: Sequence[Step]) -> list[float]:
    """The p of each step, corrected for having tested them all (Holm, 1979); nan where there is none."""
    tested = sorted((step.p, place) for place, step in enumerate(steps) if not math.isnan(step.p))
    corrected, largest = [math.nan] * len(steps), 0.0
    for done, (p, place) in enumerate(tested):
        corrected[place] = largest = max(largest, min(1.0, p * (len(tested) - done)))
    return corrected


def command(
    choice: Choice | None, scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> str:
    """The words that measure a choice with three seeds."""
    recipe, values = ("paper", choice.values) if choice else ("released", {})
    words = f"upcrack cell --recipe {recipe} --scale {scale} --train-set {train_set} --test-set {test_set}"
    said = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return f"{words} --seed 0 --seed 1 --seed 2" + "".join(f" --set {name}={said[name]}" for name in said)


def map_levels(some: Sequence[Record]) -> dict[str, float]:
    """Mean of the raw error map, 0 to 1, over the pixels of the "background" and of the "crack".

    A record's mean, then the mean over records; a bin stands for its middle. nan where a set has no such pixel.
    A score changes when the error itself changes, and when the threshold does; these means show the first alone.
    """
    totals = np.stack([record.maps["raw"].pooled for record in some])  # (records, 2, bins)
    bins = totals.shape[-1]
    middle = (np.arange(bins) + 0.5) / bins  # (bins,)
    with np.errstate(invalid="ignore"):
        background, crack = ((totals @ middle) / totals.sum(axis=-1)).mean(axis=0)
    return {"background": float(background), "crack": float(crack)}


def stages(some: Sequence[Record]) -> dict[str, float]:
    """Where the points go on the way to a mask, percent, each the mean over records.

    "ap": average precision of the raw map. F1: "raw" and "smoothed" of the map before and after the filter, each with
    the one threshold that is best for all photos; "mask" with the threshold that was used.
    """
    one_each = [
        {name: ods(record.maps[name].pooled)[0] for name in ("raw", "smoothed")}
        | {"ap": average_precision(record.maps["raw"].pooled), "mask": pooled(record.confusions).f1}
        for record in some
    ]
    return {name: statistics.fmean(one[name] for one in one_each) for name in one_each[0]}


def numbers(given: Sequence[Record]) -> list[dict[str, Any]]:
    """The means and changes of the page as plain values, for `upcrack verify`: lite, DeepCrack, each test set.

    One line for each step and kind of number: `row`, `what`, `records`, and `values` by metric.
    """
    listed = []
    for test_set in experiments.TEST_SETS:
        for step in ablation(given, test_set=test_set):
            row = {"row": f"{step.key}, {test_set}"}
            named = _numbers(step) if step.seeds else {}
            listed += [
                row | {"what": what, "records": step.records, "values": values}
                for what, values in named.items()
            ]
    return listed


def _numbers(step: Step) -> dict[str, dict[str, float | None]]:
    named: dict[str, dict[str, float | None]] = {}
    sides = zip(("plain", "changed"), (step.before, step.after), step.map_levels(), strict=True)
    for what, some, levels in sides:
        named[what] = {metric: statistics.fmean(one[metric] for one in some) for metric in SCORES}
        named[what] |= {"map on sound": levels["background"], "map on crack": levels["crack"]}
    named["change"] = {metric: step.change(metric) for metric in SCORES}
    for place, end in enumerate(("low", "high")):
        named[f"change, {end}"] = {metric: step.interval(metric)[place] for metric in SCORES}
    return named | {"spread of the plain recipe": {"iou": step.spread}}


def _of(given: list[Record], recipe: str, values: Mapping[str, Any], scale: str) -> dict[int, Record]:
    """Records of a recipe with exactly these values otherwise, by seed."""
    overrides = preset(recipe, scale, **values).overrides()
    wanted = (CRACKNET, recipe, overrides)
    return {r.key.seed: r for r in given if (r.key.method, r.key.recipe, r.key.overrides) == wanted}


def _step(choice: Choice | None, plain: dict[int, Record], changed: dict[int, Record]) -> Step:
    pairs, left_out = [], {}
    for seed in sorted(plain.keys() & changed.keys()):
        first, second = conditions(plain[seed]), conditions(changed[seed])
        differ = [name for name in first if first[name] != second[name]]
        left_out |= dict.fromkeys(differ)
        if not differ:
            pairs.append((plain[seed], changed[seed]))
    before, after = (tuple(_scores(pair[side]) for pair in pairs) for side in (0, 1))
    ious = [pooled(record.confusions).iou for record in plain.values()]
    spread = statistics.stdev(ious) if len(ious) > 1 else None
    return Step(choice, before, after, tuple(left_out), spread, tuple(pairs))


def _scores(record: Record) -> dict[str, float]:
    total = pooled(record.confusions)
    marked = 100 * (total.tp + total.fp) / (total.tp + total.fp + total.fn + total.tn)
    return {metric: getattr(total, metric) for metric in METRICS} | {"marked": marked}
