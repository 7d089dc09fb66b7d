"""One choice at a time: which difference between the two recipes moves a result, and by how much.

A rung trains and tests with the recipe `paper` and one choice set otherwise. Its effect is the change against the
plain recipe with the same seed, scale and sets. Chapter: why 33 and not 45.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from upcrack_lite.metrics import METRICS, Confusion, pooled
from upcrack_lite.presets import RELEASED, preset
from upcrack_lite.repro.ours import confusions
from upcrack_lite.repro.records import Record

CLEAR = 2.0  # a change counts as clear from so many standard deviations of the plain recipe over seeds


@dataclass(frozen=True)
class Rung:
    """One choice: its preset values, what it is, and how it could move a result."""

    names: tuple[str, ...]
    plain: str
    how: str
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A short name, made from the values."""
        return "+".join(self.names)


def _released(names: str, plain: str, how: str) -> Rung:
    listed = tuple(names.split())
    return Rung(listed, plain, how, {name: RELEASED[name][0] for name in listed})


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
        "the black squares are enlarged with the photo, so the network trains on other squares",
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
        "the discriminator learns more slowly beside the generator",
    ),
)
"""What the released program does otherwise, one choice a rung."""

UNSEEN = {
    "style_normalize": "the lite scale has no style loss",
    "style_channels": "the lite scale has no style loss",
    "epochs": "the lite scale has its own number for both recipes",
}
"""Released choices that make no difference at lite scale, with the reason."""

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
        seeds: seeds for which both records are there; empty: not measured.
        before, after: mean over these seeds of each metric, and of `marked`, the share of pixels that are marked;
            percent.
        changes: for each metric and `marked`, the change seed by seed, in points.
        spread: standard deviation of the plain recipe's IoU over all its seeds; None with fewer than two.
    """

    rung: Rung | None
    seeds: tuple[int, ...]
    before: Mapping[str, float]
    after: Mapping[str, float]
    changes: Mapping[str, tuple[float, ...]]
    spread: float | None
    records: tuple[str, ...] = ()

    def change(self, metric: str) -> float:
        """Mean change of a metric in points; nan where nothing is measured."""
        return statistics.fmean(self.changes[metric]) if self.seeds else float("nan")

    @property
    def key(self) -> str:
        """The rung's name, or `released` for all of them."""
        return self.rung.key if self.rung else "released"

    @property
    def verdict(self) -> str:
        """The effect in words, by the rule in `CLEAR`."""
        if not self.seeds:
            return "not measured"
        moved = self.change("iou")
        if self.spread is not None and abs(moved) <= CLEAR * self.spread:
            return "within the spread over seeds"
        marks = "more" if self.change("marked") > 0 else "less"
        return f"{'lower' if moved < 0 else 'higher'}, marks {marks}"


def ladder(
    given: Iterable[Record], scale: str = "lite", train_set: str = "deepcrack", test_set: str = "deepcrack"
) -> list[Step]:
    """Measure each rung, and all released choices together, from the records of one scale and pair of sets.

    Returns:
        a step for each of `RUNGS`, one for the recipe `released`, and one for each of `OTHERS`; a rung without
        records says so.
    """
    wanted = (scale, train_set, test_set)
    same = [r for r in given if (r.key.scale, r.key.train_set, r.key.test_set) == wanted]
    plain = _of(same, "paper", {}, scale)
    steps = [_step(rung, plain, _of(same, "paper", rung.values, scale)) for rung in RUNGS]
    steps.append(_step(None, plain, _of(same, "released", {}, scale)))
    return steps + [_step(rung, plain, _of(same, "paper", rung.values, scale)) for rung in OTHERS]


def command(rung: Rung | None, scale: str = "lite") -> str:
    """The words that measure a rung on DeepCrack, with three seeds."""
    words = (
        f"upcrack cell --recipe {'paper' if rung else 'released'} --scale {scale} --seed 0 --seed 1 --seed 2"
    )
    for name, value in (rung.values if rung else {}).items():
        words += f" --set {name}={str(value).lower() if isinstance(value, bool) else value}"
    return words


def numbers(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Every number of a ladder as plain values, for `upcrack verify`."""
    return [
        {"row": step.key, "what": what, "metric": metric, "value": value, "records": list(step.records)}
        for step in steps
        if step.seeds
        for metric in (*METRICS, "marked")
        for what, value in (
            ("plain", step.before[metric]),
            ("changed", step.after[metric]),
            ("change", step.change(metric)),
        )
    ]


def _of(given: list[Record], recipe: str, values: Mapping[str, Any], scale: str) -> dict[int, Record]:
    """Records of a recipe with exactly these values otherwise, by seed."""
    overrides = preset(recipe, scale, **values).overrides()
    return {r.key.seed: r for r in given if r.key.recipe == recipe and r.key.overrides == overrides}


def _step(rung: Rung | None, plain: dict[int, Record], changed: dict[int, Record]) -> Step:
    before = {seed: _scores(record) for seed, record in plain.items()}
    after = {seed: _scores(record) for seed, record in changed.items()}
    seeds = tuple(sorted(before.keys() & after.keys()))
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
        statistics.stdev(ious) if len(ious) > 1 else None,
        tuple(f"{r.slug}.json" for seed in seeds for r in (plain[seed], changed[seed])),
    )


def _scores(record: Record) -> dict[str, float]:
    total: Confusion = pooled(confusions([record]))
    marked = 100 * (total.tp + total.fp) / (total.tp + total.fp + total.fn + total.tn)
    return {metric: getattr(total, metric) for metric in METRICS} | {"marked": marked}
