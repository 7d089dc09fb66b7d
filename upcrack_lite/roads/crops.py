"""Crack-free windows cut from a training set: the undamaged roads that the method learns from.

The paper trains on undamaged crops but does not say how they were chosen. The rule here:
a window qualifies if it and a margin around it hold no crack pixel. Chapter: the data.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.roads.layouts import Pair, raise_for, read_pair, size_problem
from upcrack_lite.roads.reading import image_size, read_mask, resize

_CANDIDATES = 4096  # random positions tried in one photo; enough to fill it, few enough to be quick
# Crack500: an official crop (photo_x_y), one of the paper's authors (photo_n), or one of the kit (run_13_0013)
_CROP_OF_PHOTO = re.compile(r"(\d{8}_\d{6}|run_\d+)_\d+(?:_\d+)?")


@dataclass(frozen=True, eq=False)
class Crops:
    """Crack-free windows.

    Attributes:
        images: uint8 `(N, S, S, 3)` RGB.
        rows: for each window `name` of its file, `x` and `y` of its upper left corner and `window`, its
            side, in pixels of the file.
        groups: for each window the photo it comes from: split by these, never at random.
    """

    images: np.ndarray
    rows: list[dict[str, str | int]]
    groups: list[str]

    def __len__(self) -> int:
        return len(self.rows)


def undamaged_crops(
    pairs: list[Pair],
    window: int = 160,
    count: int = 300,
    margin: int = 4,
    size: int = 128,
    seed: int = 0,
    max_overlap: float = 0.25,
) -> Crops:
    """Cut `count` windows without cracks, spread over the photos as evenly as they allow.

    The photos are visited in a seeded order, one window each, then a second one each, and so on until
    there are enough. A photo's windows lie at seeded random places. Results depend on names, masks and
    arguments alone, not on where the files lie.

    Args:
        pairs: photos with masks; in a photo whose mask is None every window counts as crack-free.
        window: side of a window in pixels of the photo.
        count: how many windows.
        margin: a window qualifies if the square that reaches so many pixels further to every side
            holds no crack pixel (pixels beyond the border hold none).
        size: side of the result in pixels; `resize` averages when shrinking, else interpolates (cubic).
        seed: seed of the order and the places.
        max_overlap: the largest share of a window's area that a second one of the same photo may cover.

    Raises:
        UserError: fewer windows than asked for, unreadable files (all are listed), or a bad argument.
    """
    _check(pairs, window, count, margin, size, max_overlap)
    places, too_small = _places(pairs, window, margin, seed, max_overlap)
    available = sum(map(len, places))
    if available < count:
        small = f" ({too_small} photos are smaller than the window)" if too_small else ""
        fewer = "ask for fewer, or " if available else ""
        raise UserError(
            f"only {available} crack-free windows of {window}×{window} pixels in {len(pairs)} photos{small}, "
            f"{count} asked for: {fewer}use a smaller window (now {window}), a smaller margin "
            f"(now {margin}), or more photos"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    chosen: list[tuple[int, int, int]] = []  # index of the pair, x, y
    turn = 0
    while len(chosen) < count:
        chosen += [(int(index), *places[index][turn]) for index in order if turn < len(places[index])]
        turn += 1
    return _cut(pairs, chosen[:count], window, size)


def photo_of(name: str) -> str:
    """Return the photo that a file shows: a Crack500 crop's photo, else the file itself.

    Crack500's official crops are named `photo_x_y`, those of the paper's authors `photo_n`; the crops of one
    photo show the same road, and some overlap.
    """
    match = _CROP_OF_PHOTO.fullmatch(name)
    return match[1] if match else name


def free_places(crack_mask: np.ndarray, window: int, margin: int = 0) -> np.ndarray:
    """Mark the upper left corners of all windows that are free of cracks.

    Args:
        crack_mask: bool `(H, W)`, no smaller than the window.
        window, margin: as in `undamaged_crops`.

    Returns:
        bool `(H - window + 1, W - window + 1)`.
    """
    # A window is free of the mask dilated by a square exactly if the window grown by the margin is free
    # of the mask itself, so that four look-ups in an integral image answer for every place.
    padded = np.pad(crack_mask, margin).astype(np.uint8)
    total = cv2.integral(padded)  # (H + 2 margin + 1, W + 2 margin + 1)
    side = window + 2 * margin
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return inside == 0


def _check(pairs: list[Pair], window: int, count: int, margin: int, size: int, max_overlap: float) -> None:
    """Refuse arguments that cannot work, before any file is read."""
    if not pairs:
        raise UserError("no photos to cut windows from: pairs is empty")
    for name, value, least in (
        ("window", window, 1),
        ("count", count, 1),
        ("size", size, 1),
        ("margin", margin, 0),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, not {value}")
    if not 0 <= max_overlap < 1:
        raise UserError(f"max_overlap is a share of a window: at least 0 and below 1, not {max_overlap}")


def _places(
    pairs: list[Pair], window: int, margin: int, seed: int, max_overlap: float
) -> tuple[list[list[tuple[int, int]]], int]:
    """Find each photo's windows as a list of (x, y), and count the photos smaller than the window."""
    places: list[list[tuple[int, int]]] = []
    problems: list[str] = []
    too_small = 0
    for pair in pairs:
        places.append([])
        try:
            shape = image_size(pair.image)
            crack_mask = np.zeros(shape, np.bool_) if pair.mask is None else read_mask(pair.mask)
        except UserError as error:
            problems.append(str(error))
            continue
        if crack_mask.shape != shape:
            problems.append(size_problem(pair, shape, crack_mask.shape))
        elif window > min(shape):
            too_small += 1
        else:
            # Seeded by the name, so that another photo more or less does not move this one's windows.
            rng = np.random.default_rng([seed, zlib.crc32(pair.name.encode())])
            places[-1] = _scatter(free_places(crack_mask, window, margin), window, max_overlap, rng)
    raise_for(problems, "no windows can be cut, these files cannot be used")
    return places, too_small


def _scatter(
    free: np.ndarray, window: int, max_overlap: float, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Choose free places at random, one after the other, until no tried place is left."""
    y, x = np.divmod(np.flatnonzero(free), free.shape[1])
    order = rng.permutation(len(y))[:_CANDIDATES]
    y, x = y[order], x[order]
    chosen: list[tuple[int, int]] = []
    while len(y):
        chosen.append((int(x[0]), int(y[0])))
        across = np.clip(window - np.abs(x - x[0]), 0, None)
        down = np.clip(window - np.abs(y - y[0]), 0, None)
        left = across * down <= max_overlap * window**2
        left[0] = False
        y, x = y[left], x[left]
    return chosen


def _cut(pairs: list[Pair], chosen: list[tuple[int, int, int]], window: int, size: int) -> Crops:
    """Cut the chosen windows, reading each photo once."""
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    problems: list[str] = []
    for index in sorted({index for index, _, _ in chosen}):
        try:
            image, _ = read_pair(pairs[index])
        except UserError as error:
            problems.append(str(error))
            continue
        for position, (owner, x, y) in enumerate(chosen):
            if owner == index:
                images[position], _ = resize(image[y : y + window, x : x + window], None, size)
    raise_for(problems, "no windows can be cut, these files cannot be used")
    rows = [{"name": pairs[index].name, "x": x, "y": y, "window": window} for index, x, y in chosen]
    return Crops(images, rows, [photo_of(pairs[index].name) for index, _, _ in chosen])
