"""Scores of crack masks: one pooled confusion matrix and the five printed metrics. Chapter: scoring.

Everything is in percent. Scores over all thresholds are in `metrics_maps`, scores of thin shapes in
`metrics_shapes`; their public names can be imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.metrics_maps import (
    auroc,
    average_precision,
    check_same,
    histograms,
    ods,
    ois,
    to_masks,
)
from upcrack_lite.metrics_shapes import cldice, tolerance_counts, tolerance_f1

__all__ = [
    "METRICS",
    "Confusion",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "cldice",
    "histograms",
    "ods",
    "ois",
    "per_image",
    "per_image_table",
    "pooled",
    "tolerance_counts",
    "tolerance_f1",
]

METRICS = ("precision", "recall", "accuracy", "f1", "iou")
"""The five metrics of the paper's tables, in their order."""


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels: true positive, false positive, false negative, true negative; positive = crack.

    Add the confusions of a set's images and then take the metrics (micro average): so the paper's tables are
    made. A metric whose denominator is 0 is undefined and reads nan:

    - nothing predicted: precision; no crack: recall; neither: F1 and IoU too;
    - cracks but nothing predicted, or the reverse: F1 and IoU are 0.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise UserError(f"{name} must be a whole number of pixels, 0 or more, not {value!r}")
            object.__setattr__(self, name, int(value))

    @classmethod
    def of(cls, predicted: Any, crack_mask: Any) -> Confusion:
        """Count the pixels of one mask or a stack of masks.

        Args:
            predicted: bool `(H, W)`, `(N, H, W)` or `(N, 1, H, W)`, NumPy or Torch.
            crack_mask: bool of the same shape.

        Raises:
            UserError: shapes differ, or a mask is not bool.
        """
        return pooled(per_image(predicted, crack_mask))

    def __add__(self, other: Confusion) -> Confusion:
        if not isinstance(other, Confusion):
            return NotImplemented
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP): the share of predicted pixels that are crack."""
        return _metric("precision", self._counts())

    @property
    def recall(self) -> float:
        """TP / (TP + FN): the share of crack pixels that are predicted."""
        return _metric("recall", self._counts())

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all: the share of pixels that are right."""
        return _metric("accuracy", self._counts())

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall."""
        return _metric("f1", self._counts())

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN): intersection over union of the crack class."""
        return _metric("iou", self._counts())

    @property
    def crack_share(self) -> float:
        """(TP + FN) / all: the share of pixels that are crack."""
        return _metric("crack_share", self._counts())

    def to_dict(self) -> dict[str, int | float]:
        """Return the four counts and the five metrics, unrounded."""
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}
        return counts | {name: getattr(self, name) for name in METRICS}

    def _counts(self) -> np.ndarray:
        return np.array([self.tp, self.fp, self.fn, self.tn], np.float64)


def per_image(predicted: Any, crack_mask: Any) -> list[Confusion]:
    """Count the pixels of each mask of a stack; arguments and errors as in `Confusion.of`."""
    guesses, masks = to_masks(predicted, "predicted"), to_masks(crack_mask, "crack_mask")
    check_same(guesses, masks, "predicted and crack_mask")
    inside = (1, 2)
    tp = np.count_nonzero(guesses & masks, axis=inside)
    n_guess, n_mask = np.count_nonzero(guesses, axis=inside), np.count_nonzero(masks, axis=inside)
    pixels = masks.shape[1] * masks.shape[2]
    return [
        Confusion(int(t), int(g - t), int(m - t), int(pixels - g - m + t))
        for t, g, m in zip(tp, n_guess, n_mask, strict=True)
    ]


def pooled(confusions: Sequence[Confusion]) -> Confusion:
    """Add up the confusions of a set's images."""
    return sum(confusions, Confusion())


def per_image_table(
    names: Sequence[str], predicted: Any, crack_mask: Any, error_map: Any = None, radius: float = 2
) -> list[dict[str, Any]]:
    """Score each image by itself: one row an image, for a table or a CSV file.

    Args:
        names: N names.
        predicted: bool `(N, H, W)` or `(N, 1, H, W)`, NumPy or Torch.
        crack_mask: bool of the same shape.
        error_map: float in [0, 1] of the same shape; adds the best F1, AP and AUROC of each image.
        radius: tolerance in pixels of `tolerance_f1`.

    Returns:
        rows with `name`, the counts and metrics of `Confusion.to_dict`, `crack_share`,
        `predicted_share`, `tolerance_f1`, `cldice` and, with maps, `best_f1`, `average_precision`, `auroc`.

    Raises:
        UserError: counts or shapes differ, or types are wrong.
    """
    confusions = per_image(predicted, crack_mask)
    if len(names) != len(confusions):
        raise UserError(f"{len(names)} names for {len(confusions)} images: give one name an image")
    near = tolerance_counts(predicted, crack_mask, radius)
    lines = cldice(predicted, crack_mask)
    hist = None if error_map is None else histograms(error_map, crack_mask)
    rows = []
    for index, (name, confusion) in enumerate(zip(names, confusions, strict=True)):
        row: dict[str, Any] = {"name": name} | confusion.to_dict()
        row["crack_share"] = confusion.crack_share
        row["predicted_share"] = _metric("predicted_share", confusion._counts())
        row["tolerance_f1"] = tolerance_f1(near[index])
        row["cldice"] = float(lines[index])
        if hist is not None:
            row["best_f1"] = ois(hist[index])
            row["average_precision"] = average_precision(hist[index])
            row["auroc"] = auroc(hist[index])
        rows.append(row)
    return rows


def bootstrap_interval(
    confusions: Sequence[Confusion], metric: str, level: float = 0.95, n: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Estimate how far a pooled metric would move with other images of the same kind.

    The percentile bootstrap: draw as many images as there are, with replacement, pool them, take the
    metric; the interval holds the middle `level` of `n` such values. It covers the choice of images, not the
    training's randomness. Draws whose metric is undefined are left out.

    Args:
        confusions: one an image.
        metric: `precision`, `recall`, `accuracy`, `f1` or `iou`.
        level: share of the draws inside the interval, between 0 and 1.
        n: number of draws.
        seed: seed of the draws.

    Returns:
        lower and upper limit in percent; (nan, nan) if the metric is undefined in every draw.

    Raises:
        UserError: no images, an unknown metric, or a level or number out of range.
    """
    if metric not in METRICS:
        raise UserError(f"unknown metric {metric!r}; choose {', '.join(METRICS)}")
    if not len(confusions):
        raise UserError("no images to draw from: confusions is empty")
    if not 0 < level < 1 or n < 1:
        raise UserError(f"level must lie between 0 and 1 and n be at least 1, not {level} and {n}")
    counts = np.stack([confusion._counts() for confusion in confusions])  # (N, 4)
    images = len(counts)
    values = _metric(metric, _drawn(images, n, seed) @ counts)  # (n,)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _drawn(images: int, n: int, seed: int) -> np.ndarray:
    """How often each image is drawn, `(n, images)`: all that the pooled counts need. Kept, for every metric asks."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=n)


def _metric(name: str, counts: np.ndarray) -> Any:
    """Compute a metric in percent from counts `(..., 4)`; nan where it is undefined.

    A float for `(4,)`, an array `(...)` otherwise.
    """
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    above, below = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "iou": (tp, tp + fp + fn),
        "crack_share": (tp + fn, tp + fp + fn + tn),
        "predicted_share": (tp + fp, tp + fp + fn + tn),
    }[name]
    with np.errstate(invalid="ignore"):
        share = 100 * np.asarray(above) / np.asarray(below)
    return float(share) if np.ndim(share) == 0 else share
