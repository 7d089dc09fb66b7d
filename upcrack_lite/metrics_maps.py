"""Scores of an error map over all its thresholds, from 256-bin histograms. Chapter: scoring.

Histograms are small, add up, and give every threshold curve again without the maps. Scores are in percent.
The threshold of bin k is k / 256, and a pixel is predicted as crack where `error_map >= threshold`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from upcrack_lite.errors import UserError


def to_stack(values: Any, what: str) -> np.ndarray:
    """Return a NumPy or Torch array of shape `(H, W)`, `(N, H, W)` or `(N, 1, H, W)` as NumPy `(N, H, W)`.

    Raises:
        UserError: another shape, or an empty one.
    """
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
    """Return a bool mask or stack as NumPy bool `(N, H, W)`; shapes as in `to_stack`.

    Raises:
        UserError: wrong shape, or values that are not bool (a map is cut at a threshold first).
    """
    array = to_stack(values, what)
    if array.dtype != np.bool_:
        raise UserError(f"{what} must be bool, not {array.dtype}: compare it with a threshold first")
    return array


def check_same(first: np.ndarray, second: np.ndarray, what: str) -> None:
    """Raise `UserError` if two stacks differ in shape."""
    if first.shape != second.shape:
        raise UserError(f"{what} differ in shape: {first.shape} and {second.shape}; bring them to one size")


def histograms(error_map: Any, crack_mask: Any, bins: int = 256) -> np.ndarray:
    """Count the values of error maps, apart for background and crack.

    Bin k counts k / bins <= value < (k + 1) / bins, the last one 1.0 too. Both limits are exact in binary
    for 256 bins.

    Args:
        error_map: float in [0, 1], `(H, W)`, `(N, H, W)` or `(N, 1, H, W)`, NumPy or Torch.
        crack_mask: bool of the same shape, True = crack.
        bins: number of bins, at least 1.

    Returns:
        int64 `(N, 2, bins)`: [:, 0] background, [:, 1] crack.

    Raises:
        UserError: shapes differ, the mask is not bool, or values outside [0, 1] or not a number.
    """
    if bins < 1:
        raise UserError(f"bins must be at least 1, not {bins}")
    maps, masks = to_stack(error_map, "error_map"), to_masks(crack_mask, "crack_mask")
    check_same(maps, masks, "error_map and crack_mask")
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

    Args:
        hist: int `(N, 2, bins)` or `(2, bins)` from `histograms`.

    Returns:
        F1 in percent and the threshold in [0, 1); (nan, nan) if the set has no crack pixel.
    """
    counts = _pooled(hist)
    if counts[1].sum() == 0:
        return float("nan"), float("nan")
    f1 = _f1_curve(counts)
    best = int(np.argmax(f1))
    return float(f1[best]), best / counts.shape[-1]


def ois(hist: np.ndarray) -> float:
    """Optimal image scale: the mean over images of each image's best F1, in percent.

    This is the mean of F1 values. Some programs pool the counts at the best thresholds instead, which
    weighs an image by its cracks. An image without crack pixels has no best F1 and does not count; nan if
    no image has any.

    Args:
        hist: int `(N, 2, bins)` from `histograms`.
    """
    counts = _checked(hist)
    counts = counts[counts[:, 1].sum(axis=-1) > 0]
    return float(_f1_curve(counts).max(axis=-1).mean()) if len(counts) else float("nan")


def average_precision(hist: np.ndarray) -> float:
    """Area under the precision-recall curve as a sum of steps, in percent; nan without crack pixels.

    AP = Σ_k (R_k - R_{k+1}) P_k over the thresholds, pooled over the set.

    Args:
        hist: int `(N, 2, bins)` or `(2, bins)` from `histograms`.
    """
    false, true = _above(_pooled(hist))
    if true[0] == 0:
        return float("nan")
    precision = true / np.maximum(true + false, 1)
    steps = -np.diff(true, append=0) / true[0]
    return 100 * float(np.sum(steps * precision))


def auroc(hist: np.ndarray) -> float:
    """Area under the receiver operating characteristic, in percent, pooled over the set.

    It is the chance that a crack pixel has a higher value than a background pixel; two values in one bin
    count one half. nan if the set has no crack or no background pixel.

    Args:
        hist: int `(N, 2, bins)` or `(2, bins)` from `histograms`.
    """
    background, crack = _pooled(hist)
    pairs = float(background.sum()) * float(crack.sum())
    if pairs == 0:
        return float("nan")
    lower = np.cumsum(background) - background
    return 100 * float(np.sum(crack.astype(float) * (lower + background / 2))) / pairs


def _checked(hist: np.ndarray) -> np.ndarray:
    """Return histograms as `(N, 2, bins)`."""
    counts = np.asarray(hist)
    counts = counts[None] if counts.ndim == 2 else counts
    if counts.ndim != 3 or counts.shape[1] != 2 or counts.dtype.kind not in "iu":
        raise UserError(f"hist must be integer (N, 2, bins) as `histograms` gives it, not {counts.shape}")
    return counts.astype(np.int64)


def _pooled(hist: np.ndarray) -> np.ndarray:
    """Sum histograms over images: int64 `(2, bins)`."""
    return _checked(hist).sum(axis=0)


def _above(counts: np.ndarray) -> np.ndarray:
    """Count values at or above each bin's threshold, `(..., 2, bins)`."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]


def _f1_curve(counts: np.ndarray) -> np.ndarray:
    """Compute F1 in percent for each threshold, `(..., bins)`; crack pixels must exist."""
    above = _above(counts)
    false, true = above[..., 0, :], above[..., 1, :]
    return 200 * true / (true + false + true[..., :1])  # 2 TP / (TP + FP + all crack pixels)
