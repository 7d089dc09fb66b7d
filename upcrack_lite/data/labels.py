"""From the pixels of a label file to a crack mask: which channel and which level carry the label. Chapter: the data.

A mask is read as it is meant or refused, never read as "no crack" because its crack is dim. Of two levels the upper
one is crack; soft edges, as JPEG and resizing leave them, are crack above half of the range; anything else (class
labels, several colors, a photo, a faint map of probabilities) is refused with its values.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from upcrack_lite.errors import UserError

REMEDY = "save the crack as 255 and all else as 0"

_FEW = 16  # so many levels or fewer are drawn on purpose where the file is not a JPEG
_CLASSES = 16  # grays below it alone are class numbers: soft edges have brighter ones too
# A soft edge is steep, so wherever 5×5 pixels are even, they are near black or near white. Measured on 500 real
# masks as JPEG of quality 5 to 95 and at 1/4 to 6 times their size: none has an even area between these shares.
_EVEN, _SIDE, _DARK, _BRIGHT = 0.03, 5, 0.15, 0.75


@dataclass(frozen=True)
class Label:
    """What a label file says.

    crack_mask: bool `(H, W)`, True = crack. levels: the two levels (road, crack) of a mask that is neither 0 and
    white nor 0 and 1. gray_share: share, 0 to 1, of pixels that are neither black nor white; 0 for two levels.
    """

    crack_mask: np.ndarray
    levels: tuple[int, int] | None = None
    gray_share: float = 0.0


def label_of(pixels: np.ndarray, opacity: np.ndarray | None = None, is_jpeg: bool = False) -> Label:
    """Tell crack from road in the pixels of a label.

    pixels: uint8 or uint16 `(H, W, 3)` RGB; a colored label counts by its brightest channel. opacity: the alpha
    channel `(H, W)`, or None. It is the label where the color is even. is_jpeg: levels near each other are noise,
    not class numbers.
    Raises UserError: the pixels are no mask of crack and road; the message has no file name.
    """
    if opacity is not None and opacity.min() < opacity.max():
        if (pixels != pixels[0, 0]).any():
            raise UserError(f"has several colors and transparency; {REMEDY}, without transparency")
        pixels = np.dstack([opacity] * 3)
    top = np.iinfo(pixels.dtype).max
    values = pixels.max(axis=2)
    levels = np.flatnonzero(np.bincount(values.ravel()))
    if (pixels != values[..., None]).any():
        _check_colors(pixels, values, len(levels) <= _FEW)
    if len(levels) == 1:
        if levels[0] not in (0, top):
            raise UserError(f"every pixel is {levels[0]}, which may be crack or road; {REMEDY}")
        return Label(values > 0)
    if len(levels) == 2:
        road, crack = levels.tolist()
        usual = road == 0 and crack in (1, top)
        return Label(values == crack, None if usual else (road, crack))
    _check_levels(values, levels, is_jpeg)
    return Label(values > top // 2, gray_share=float(np.mean((values > 0) & (values < top))))


def _check_levels(values: np.ndarray, levels: np.ndarray, is_jpeg: bool) -> None:
    """Refuse more than two levels that are no soft edge between black and white."""
    top = np.iinfo(values.dtype).max
    few = len(levels) <= _FEW
    listed = ", ".join(map(str, levels)) if few else f"{levels[0]} to {levels[-1]}"
    if few and not is_jpeg:
        inner = levels[(levels > 0) & (levels < top)]
        even = _even(values, 3 if len(levels) <= 4 else _SIDE, 0)
        even &= (values > levels[0]) & (values < levels[-1])
        # What was a JPEG once has noise on both sides: just above black and just below white.
        noisy = (inner > top - _CLASSES).any()
        if (inner < _CLASSES).all() or (even.any() and not noisy):
            raise UserError(f"holds the values {listed}, so it is an image of class labels; {REMEDY}")
    if levels[-1] <= top // 2:
        raise UserError(f"holds the values {listed} of {top}, and no limit between road and crack; {REMEDY}")
    between = np.mean((values > 0.2 * top) & (values < 0.8 * top))
    # Soft edges and JPEG make some gray; many levels over a fifth of all pixels make a photo.
    if between > 0.2 and len(levels) > 32:
        raise UserError(f"is {100 * between:.0f} % gray, so it is a photo and no mask of black and white")
    middle = values[_even(values, _SIDE, _EVEN * top) & (values > _DARK * top) & (values < _BRIGHT * top)]
    if len(middle):
        raise UserError(f"holds areas of the gray {int(np.median(middle))} of {top} besides others; {REMEDY}")


def _check_colors(pixels: np.ndarray, values: np.ndarray, few: bool) -> None:
    """Refuse bright colors that the brightest channel does not tell apart, such as red and green, or red on white.

    few: the mask has so few levels that they were drawn on purpose; of soft edges or JPEG only even areas tell.
    """
    top = np.iinfo(pixels.dtype).max
    even = values > int(values.max()) - top // 16 if few else _even(pixels, _SIDE, _EVEN * top).all(axis=2)
    bright = pixels[even & (few | (values > top // 2))].astype(int)
    if len(bright) and (spread := np.ptp(bright, axis=0)).max() > top // 4:
        channel = bright[:, spread.argmax()]
        unlike = bright[[channel.argmin(), channel.argmax()]].tolist()
        listed = " and ".join("(" + " ".join(map(str, color)) + ")" for color in unlike)
        raise UserError(f"holds the colors {listed} in RGB, about as bright; {REMEDY}")


def _even(pixels: np.ndarray, side: int, spread: float) -> np.ndarray:
    """Where the square of `side` pixels around a pixel has values at most `spread` apart; per channel."""
    square = np.ones((side, side), np.uint8)
    return cv2.dilate(pixels, square) - cv2.erode(pixels, square) <= spread
