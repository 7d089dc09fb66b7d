"""Scores of thin shapes: agreement within a tolerance, and of center lines, in percent. See chapter 15.

On a crack two pixels wide, a mask drawn one pixel beside it has lost half its F1. These scores, which the paper does
not have, ask instead whether the crack is detected near its place, and whether its course is unbroken.
Masks are bool ``(H, W)``, ``(N, H, W)`` or ``(N, 1, H, W)``, NumPy or torch, True = crack; both have one shape.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from skimage.morphology import skeletonize

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import same_masks


def tolerance_counts(predicted: Any, crack_mask: Any, radius: float = 2) -> np.ndarray:
    """Count pixels that lie at most `radius` pixels (Euclidean, 0 or more) from their counterpart, for each image.

    Returns int64 ``(N, 4)``: predicted pixels near a crack pixel, predicted pixels, crack pixels near a predicted
    pixel, crack pixels.
    """
    if radius < 0:
        raise UserError(f"radius must be at least 0 pixels, not {radius}")
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach[None, :] ** 2 <= radius**2).astype(np.uint8)
    counts = [
        (
            (p & (cv2.dilate(c.astype(np.uint8), disk) > 0)).sum(),
            p.sum(),
            (c & (cv2.dilate(p.astype(np.uint8), disk) > 0)).sum(),
            c.sum(),
        )
        for p, c in zip(*same_masks(predicted, crack_mask), strict=True)
    ]
    return np.array(counts, np.int64)


def tolerance_f1(counts: np.ndarray) -> float:
    """F1 with tolerance from counts ``(N, 4)`` or ``(4,)`` of `tolerance_counts`, pooled, in percent.

    Precision is the fraction of predicted pixels near a crack, recall the fraction of crack pixels near a
    prediction. nan if there is neither a crack nor a prediction, 0 if only one of them.
    """
    return _harmonic(*np.asarray(counts, np.int64).reshape(-1, 4).sum(axis=0).tolist())


def cldice(predicted: Any, crack_mask: Any) -> np.ndarray:
    """clDice of each image, in percent (Shit et al., CVPR 2021); for a set take `numpy.nanmean`.

    The harmonic mean of two fractions: how much of the prediction's skeleton lies on the crack, and how much of the
    crack's skeleton lies on the prediction.
    Returns float64 ``(N,)``; nan where there is neither a crack nor a prediction, 0 where only one of them.
    """
    scores = []
    for p, c in zip(*same_masks(predicted, crack_mask), strict=True):
        p_line, c_line = (skeletonize(mask) if mask.any() else mask for mask in (p, c))
        scores.append(_harmonic((p_line & c).sum(), p_line.sum(), (c_line & p).sum(), c_line.sum()))
    return np.array(scores, np.float64)


def _harmonic(part_a: int, all_a: int, part_b: int, all_b: int) -> float:
    """Harmonic mean of two fractions in percent; nan if both are of nothing, 0 if one is."""
    if all_a == 0 and all_b == 0:
        return float("nan")
    if part_a == 0 or part_b == 0:
        return 0.0
    first, second = part_a / all_a, part_b / all_b
    return 200 * first * second / (first + second)
