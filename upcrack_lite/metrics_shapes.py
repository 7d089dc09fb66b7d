"""Scores of thin shapes: agreement within a tolerance, and of center lines. Chapter: scoring.

On a crack two pixels wide, a mask drawn one pixel beside it has lost half its F1. These scores ask instead
whether the crack was found near its place, and whether its course is unbroken. In percent.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.metrics_maps import check_same, to_masks


def tolerance_counts(predicted: Any, crack_mask: Any, radius: float = 2) -> np.ndarray:
    """Count pixels that lie near their counterpart, for each image.

    Near means at most `radius` pixels away (Euclidean, between pixel centers).

    Args:
        predicted: bool `(H, W)`, `(N, H, W)` or `(N, 1, H, W)`, NumPy or Torch.
        crack_mask: bool of the same shape.
        radius: tolerance in pixels, at least 0.

    Returns:
        int64 `(N, 4)`: predicted pixels near a crack pixel, predicted pixels, crack pixels near a
        predicted pixel, crack pixels.

    Raises:
        UserError: shapes differ, a mask is not bool, or the radius is negative.
    """
    guesses, masks = _masks(predicted, crack_mask)
    if radius < 0:
        raise UserError(f"radius must be at least 0 pixels, not {radius}")
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach[None, :] ** 2 <= radius**2).astype(np.uint8)
    counts = np.empty((len(masks), 4), np.int64)
    for index, (guess, mask) in enumerate(zip(guesses, masks, strict=True)):
        near_mask = cv2.dilate(mask.astype(np.uint8), disk) > 0
        near_guess = cv2.dilate(guess.astype(np.uint8), disk) > 0
        counts[index] = (guess & near_mask).sum(), guess.sum(), (mask & near_guess).sum(), mask.sum()
    return counts


def tolerance_f1(counts: np.ndarray) -> float:
    """Compute F1 with tolerance from counts pooled over images, in percent.

    Precision is the share of predicted pixels near a crack, recall the share of crack pixels near a
    prediction. nan if there is neither a crack nor a prediction, 0 if only one of them.

    Args:
        counts: int `(N, 4)` or `(4,)` from `tolerance_counts`.
    """
    near_mask, n_guess, near_guess, n_mask = np.asarray(counts, np.int64).reshape(-1, 4).sum(axis=0).tolist()
    return _harmonic(near_mask, n_guess, near_guess, n_mask)


def cldice(predicted: Any, crack_mask: Any) -> np.ndarray:
    """Compute clDice for each image, in percent (Shit et al., CVPR 2021).

    The harmonic mean of two shares: how much of the prediction's skeleton lies on the crack, and how much
    of the crack's skeleton lies on the prediction. For a set take `numpy.nanmean`.

    Args:
        predicted: bool `(H, W)`, `(N, H, W)` or `(N, 1, H, W)`, NumPy or Torch.
        crack_mask: bool of the same shape.

    Returns:
        float64 `(N,)`; nan where there is neither a crack nor a prediction, 0 where only one of them.

    Raises:
        UserError: shapes differ, or a mask is not bool.
    """
    from skimage.morphology import skeletonize  # here, because only this score needs scikit-image

    guesses, masks = _masks(predicted, crack_mask)
    scores = np.empty(len(masks))
    for index, (guess, mask) in enumerate(zip(guesses, masks, strict=True)):
        # The skeleton of an empty mask is empty: nothing to thin.
        guess_line = skeletonize(guess) if guess.any() else guess
        mask_line = skeletonize(mask) if mask.any() else mask
        scores[index] = _harmonic(
            int((guess_line & mask).sum()),
            int(guess_line.sum()),
            int((mask_line & guess).sum()),
            int(mask_line.sum()),
        )
    return scores


def _masks(predicted: Any, crack_mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as bool `(N, H, W)` of one shape."""
    guesses, masks = to_masks(predicted, "predicted"), to_masks(crack_mask, "crack_mask")
    check_same(guesses, masks, "predicted and crack_mask")
    return guesses, masks


def _harmonic(part_a: int, all_a: int, part_b: int, all_b: int) -> float:
    """Compute the harmonic mean of two shares in percent; nan if both are of nothing, 0 if one is."""
    if all_a == 0 and all_b == 0:
        return float("nan")
    if part_a == 0 or part_b == 0:
        return 0.0
    first, second = part_a / all_a, part_b / all_b
    return 200 * first * second / (first + second)
