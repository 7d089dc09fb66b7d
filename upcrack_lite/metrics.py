"""Scores of crack masks and error maps, in percent. See chapter 15.

A confusion matrix pooled over a set gives the five printed metrics, histograms of an error map the scores over all
thresholds. Scores made for thin shapes are in `thin_shapes`.
Masks are bool ``(H, W)``, ``(N, H, W)`` or ``(N, 1, H, W)``, NumPy or torch, True = crack. What is compared has one
shape. Functions that take masks or maps raise UserError for another shape or type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.recipes import check_value

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

    @classmethod
    def of(cls, predicted: Any, crack_mask: Any) -> Confusion:
        """Count the pixels of one mask or a stack of masks."""
        return pooled(per_image(predicted, crack_mask))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP): the fraction of predicted pixels that are crack."""
        return _percent("precision", self.counts)

    @property
    def recall(self) -> float:
        """TP / (TP + FN): the fraction of crack pixels that are predicted."""
        return _percent("recall", self.counts)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all: the fraction of pixels that are right."""
        return _percent("accuracy", self.counts)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall."""
        return _percent("f1", self.counts)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN): intersection over union of the crack class."""
        return _percent("iou", self.counts)

    @property
    def prevalence(self) -> float:
        """(TP + FN) / all: the fraction of pixels that are crack."""
        return _percent("prevalence", self.counts)

    @property
    def counts(self) -> np.ndarray:
        """TP, FP, FN and TN as float64 ``(4,)``."""
        return np.array([self.tp, self.fp, self.fn, self.tn], np.float64)

    def to_dict(self) -> dict[str, int | float]:
        """The four counts and the five metrics, unrounded."""
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}
        return counts | {name: getattr(self, name) for name in METRICS}


def per_image(predicted: Any, crack_mask: Any) -> list[Confusion]:
    """Count the pixels of each mask of a stack."""
    return [
        Confusion(int((p & c).sum()), int((p & ~c).sum()), int((~p & c).sum()), int((~p & ~c).sum()))
        for p, c in zip(*same_masks(predicted, crack_mask), strict=True)
    ]


def pooled(confusions: Sequence[Confusion]) -> Confusion:
    """Add up the confusions of a set's images."""
    return sum(confusions, Confusion())


def bootstrap_interval(
    confusions: Sequence[Confusion] | Sequence[Sequence[Confusion]],
    metric: str,
    level: float = 0.95,
    n: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> tuple[float, float]:
    """Estimate how far a pooled metric would move with other images of the same kind.

    The percentile bootstrap: draw as many images as there are, with replacement, pool them, take the metric; the
    interval holds the middle `level` of `n` such values. It covers the choice of images, not the training's
    randomness. Draws whose metric is undefined are left out.

    confusions: one an image; or such a list for each of several runs on the same images: then the interval is that of
    the mean over runs, each scored by itself. metric: one of `METRICS`. level: in (0, 1). n: number of draws.
    groups: for each image the photo that it was cut from. Images of one photo are alike, so they are drawn together
    (the cluster bootstrap); drawn one by one they make the interval too narrow. None: each is a photo of its own.
    Returns lower and upper limit in percent; (nan, nan) if the metric is undefined in every draw.
    Raises UserError for another metric, level or number.
    """
    check_value("metric", metric, METRICS)
    check_value("level", level, "(0, 1)")
    check_value("n", n, "[1, inf)")
    runs = [confusions] if isinstance(confusions[0], Confusion) else confusions
    counts = np.stack([[confusion.counts for confusion in run] for run in runs])  # (runs, N, 4)
    if groups is not None:
        names, owner = np.unique(groups, return_inverse=True)
        counts = np.eye(len(names), dtype=counts.dtype)[:, owner] @ counts  # (runs, photos, 4)
    values = _percent(metric, _draws(counts.shape[1], n, seed) @ counts).mean(axis=0)  # (n,)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _draws(images: int, n: int, seed: int) -> np.ndarray:
    """How often each image is drawn, ``(n, images)``. Kept, for every metric asks for the same."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=n)


def _percent(name: str, counts: np.ndarray) -> Any:
    """A metric from counts ``(..., 4)``: a float for ``(4,)``, else an array ``(...)``; nan where it is undefined."""
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    above, below = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "iou": (tp, tp + fp + fn),
        "prevalence": (tp + fn, tp + fp + fn + tn),
    }[name]
    with np.errstate(invalid="ignore"):
        percent = 100 * np.asarray(above) / np.asarray(below)
    return float(percent) if np.ndim(percent) == 0 else percent


# Scores over all thresholds. Histograms are small, add up, and give every curve again without the maps.


def histograms(error_map: Any, crack_mask: Any, bins: int = 256) -> np.ndarray:
    """Count the values of error maps, apart for background and crack.

    Bin k counts k / bins <= value < (k + 1) / bins, the last one 1.0 too; both limits are exact in binary for 256.
    The threshold of bin k is k / bins, and a pixel is predicted as crack where its value is at or above it.

    error_map: float in [0, 1], shaped like masks. bins: at least 1.
    Returns int64 ``(N, 2, bins)``: [:, 0] background, [:, 1] crack.
    Raises UserError for values outside [0, 1] or not a number too.
    """
    check_value("bins", bins, "[1, inf)")
    maps, masks = _stack(error_map, "error_map"), to_masks(crack_mask, "crack_mask")
    _check_same(maps, masks, "error_map and crack_mask")
    if maps.dtype.kind != "f":
        raise UserError(f"error_map must be float in [0, 1], not {maps.dtype}: divide 8-bit values by 255")
    low, high = float(maps.min()), float(maps.max())
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # a filter may round a little past its input's range
        raise UserError(f"error_map must lie in [0, 1], but spans {low:g} to {high:g}")
    counts = np.empty((len(maps), 2, bins), np.int64)
    for index, (values, crack) in enumerate(zip(maps, masks, strict=True)):
        level = np.clip((values * bins).astype(np.int64), 0, bins - 1)
        counts[index] = np.bincount((level + bins * crack).ravel(), minlength=2 * bins).reshape(2, bins)
    return counts


def ods(hist: np.ndarray) -> tuple[float, float]:
    """Optimal data set scale: the best F1 of one threshold for the whole set, and that threshold.

    Pixels are compared strictly and pooled over the set. Of equal thresholds the lowest is returned.
    hist: ``(N, 2, bins)`` or ``(2, bins)`` from `histograms`, as everywhere below.
    Returns F1 in percent and the threshold in [0, 1); (nan, nan) if the set has no crack pixel.
    """
    counts = _checked(hist).sum(axis=0)
    if counts[1].sum() == 0:
        return float("nan"), float("nan")
    f1 = _f1_curve(counts)
    best = int(np.argmax(f1))
    return float(f1[best]), best / counts.shape[-1]


def ois(hist: np.ndarray) -> float:
    """Optimal image scale: the mean over images of each image's best F1, in percent.

    Some programs pool the counts at the best thresholds instead, which weighs an image by its cracks. An image
    without crack pixels has no best F1 and does not count; nan if no image has any.
    """
    counts = _checked(hist)
    counts = counts[counts[:, 1].sum(axis=-1) > 0]
    return float(_f1_curve(counts).max(axis=-1).mean()) if len(counts) else float("nan")


def average_precision(hist: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum of steps, in percent; nan without crack pixels.

    AP = Σ_k (R_k - R_{k+1}) P_k over the thresholds, pooled over the set.
    """
    false, true = at_or_above(_checked(hist).sum(axis=0))
    if true[0] == 0:
        return float("nan")
    precision = true / np.maximum(true + false, 1)
    steps = -np.diff(true, append=0) / true[0]
    return 100 * float(np.sum(steps * precision))


def auroc(hist: np.ndarray) -> float:
    """Area under the receiver operating characteristic, in percent, pooled over the set.

    It is the chance that a crack pixel has a higher value than a background pixel; two values in one bin count one
    half. nan if the set has no crack or no background pixel.
    """
    background, crack = _checked(hist).sum(axis=0)
    pairs = float(background.sum()) * float(crack.sum())
    if pairs == 0:
        return float("nan")
    lower = np.cumsum(background) - background
    return 100 * float(np.sum(crack.astype(float) * (lower + background / 2))) / pairs


def _checked(hist: np.ndarray) -> np.ndarray:
    """Histograms as int64 ``(N, 2, bins)``."""
    counts = np.asarray(hist)
    counts = counts[None] if counts.ndim == 2 else counts
    if counts.ndim != 3 or counts.shape[1] != 2 or counts.dtype.kind not in "iu":
        raise UserError(f"hist must be integer (N, 2, bins) as `histograms` gives it, not {counts.shape}")
    return counts.astype(np.int64)


def at_or_above(counts: np.ndarray) -> np.ndarray:
    """Count values at or above each bin's threshold, ``(..., 2, bins)``."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]


def _f1_curve(counts: np.ndarray) -> np.ndarray:
    """F1 in percent for each threshold, ``(..., bins)``; crack pixels must exist."""
    false, true = np.moveaxis(at_or_above(counts), -2, 0)
    return 200 * true / (true + false + true[..., :1])  # 2 TP / (TP + FP + all crack pixels)


def _stack(values: Any, what: str) -> np.ndarray:
    """A NumPy or torch array as NumPy ``(N, H, W)``."""
    array = np.asarray(values.detach().cpu()) if hasattr(values, "detach") else np.asarray(values)
    shape = array.shape
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 4 and shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or array.size == 0:
        raise UserError(f"{what} must be (H, W), (N, H, W) or (N, 1, H, W) and not empty, not {shape}")
    return array


def to_masks(values: Any, what: str) -> np.ndarray:
    """A mask or a stack of masks as NumPy bool ``(N, H, W)``; `what` names it in errors."""
    array = _stack(values, what)
    if array.dtype != np.bool_:
        raise UserError(f"{what} must be bool, not {array.dtype}: compare it with a threshold first")
    return array


def _check_same(first: np.ndarray, second: np.ndarray, what: str) -> None:
    if first.shape != second.shape:
        raise UserError(f"{what} differ in shape: {first.shape} and {second.shape}; bring them to one size")


def same_masks(predicted: Any, crack_mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two masks, or stacks of masks, as bool ``(N, H, W)`` of one shape."""
    predicted, crack_mask = to_masks(predicted, "predicted"), to_masks(crack_mask, "crack_mask")
    _check_same(predicted, crack_mask, "predicted and crack_mask")
    return predicted, crack_mask
