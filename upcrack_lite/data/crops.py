"""Crack-free windows cut from a training set: the undamaged roads that the method learns from.

The paper trains on undamaged crops but does not say how they were chosen. The rule here:
a window qualifies if it and a margin around it hold no crack pixel. Chapter: the data.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from upcrack_lite.data.layouts import Pair, raise_for, read_pair, size_problem
from upcrack_lite.data.reading import image_size, read_mask, resize
from upcrack_lite.data.windows import Place, fill, free_places
from upcrack_lite.errors import UserError

__all__ = ["Crops", "enlarged", "free_places", "photo_of", "undamaged_crops"]

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
    window: int | Sequence[int] = 160,
    count: int = 300,
    margin: int = 4,
    size: int = 128,
    seed: int = 0,
    max_overlap: float = 0.25,
    stride: int = 1,
) -> Crops:
    """Cut `count` windows without cracks, spread over the photos as evenly as they allow.

    The photos are visited in a seeded order, one window each, then a second one each, and so on until
    there are enough. A photo's windows lie at seeded random places. Results depend on names, masks and
    arguments alone, not on where the files lie.

    Several windows, such as (256, 192, 160, 128), are for photos that have no room for the largest one:
    of DeepCrack's 300 training photos only 72 hold a crack-free square of 256 pixels with a margin of 4;
    252 hold one of 192, 294 one of 160, and all hold one of 128. A photo's own window is the largest one
    that has room in it. Smaller windows come in only as far as `count` needs them, in this order:

    1. photos whose own window is the largest size give all their windows of that size, in turns as
       above; then the photos whose own window is the second size give theirs, and so on;
    2. if there are still too few, photos also give windows smaller than their own, the largest first,
       where these fit beside the windows that they gave already.

    Args:
        pairs: photos with masks, of a training split alone; in a photo whose mask is None every window
            counts as crack-free.
        window: side of a window in pixels of the photo, or several sides, the largest first.
        count: how many windows.
        margin: a window qualifies if the square that reaches so many pixels further to every side
            holds no crack pixel (pixels beyond the border hold none).
        size: side of the result in pixels; `resize` averages when shrinking, else interpolates (cubic).
        seed: seed of the order and the places.
        max_overlap: the largest share of a window's area that a second one of the same photo may cover;
            of two unequal windows, the share of the smaller one's area.
        stride: corners lie on a grid of so many pixels; 1 is anywhere.

    Raises:
        UserError: fewer windows than asked for, unreadable files (all are listed), or a bad argument.
    """
    windows = (window,) if isinstance(window, int | np.integer) else tuple(window)
    _check(pairs, windows, count, margin, size, max_overlap, stride)
    places, too_small = _places(pairs, windows, margin, seed, max_overlap, stride)
    available = sum(map(len, places))
    if available < count:
        raise UserError(_too_few(windows, places, too_small, count, margin, stride))
    order = np.random.default_rng(seed).permutation(len(pairs))
    chosen: list[tuple[int, Place]] = []  # index of the pair, place
    for queues in _stages(places, windows):
        for turn in range(max(map(len, queues))):
            chosen += [(int(index), queues[index][turn]) for index in order if turn < len(queues[index])]
    return _cut(pairs, chosen[:count], size)


def enlarged(crops: Crops, size: int) -> int:
    """Count the windows that are smaller than `size` pixels, so that the result at that size is blurred."""
    return sum(int(row["window"]) < size for row in crops.rows)


def photo_of(name: str) -> str:
    """Return the photo that a file shows: a Crack500 crop's photo, else the file itself.

    Crack500's official crops are named `photo_x_y`, those of the paper's authors `photo_n`; the crops of one
    photo show the same road, and some overlap.
    """
    match = _CROP_OF_PHOTO.fullmatch(name)
    return match[1] if match else name


def _check(
    pairs: list[Pair],
    windows: tuple[int, ...],
    count: int,
    margin: int,
    size: int,
    max_overlap: float,
    stride: int,
) -> None:
    """Refuse arguments that cannot work, before any file is read."""
    if not pairs:
        raise UserError("no photos to cut windows from: pairs is empty")
    if list(windows) != sorted(set(windows), reverse=True) or not windows:
        raise UserError(f"give several windows as different sides, the largest first; not {windows}")
    for name, value, least in (
        *(("window", window, 1) for window in windows),
        ("count", count, 1),
        ("size", size, 1),
        ("margin", margin, 0),
        ("stride", stride, 1),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, not {value}")
    if not 0 <= max_overlap < 1:
        raise UserError(f"max_overlap is a share of a window: at least 0 and below 1, not {max_overlap}")


def _places(
    pairs: list[Pair], windows: tuple[int, ...], margin: int, seed: int, max_overlap: float, stride: int
) -> tuple[list[list[Place]], int]:
    """Find each photo's places, its largest windows first, and count the photos smaller than any window."""
    places: list[list[Place]] = []
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
            continue
        too_small += min(shape) < windows[-1]
        # Seeded by the name, so that another photo more or less does not move this one's windows.
        rng = np.random.default_rng([seed, zlib.crc32(pair.name.encode())])
        places[-1] = fill(crack_mask, windows, margin, max_overlap, rng, stride)
    raise_for(problems, "no windows can be cut, these files cannot be used")
    return places, too_small


def _stages(places: list[list[Place]], windows: tuple[int, ...]) -> Iterator[list[list[Place]]]:
    """Yield the places of each photo that are due together: own windows by size, then smaller ones by size."""
    for own in (True, False):
        for window in windows:
            yield [
                [p for p in found if p[2] == window and (found[0][2] == window) is own] for found in places
            ]


def _too_few(
    windows: tuple[int, ...], places: list[list[Place]], too_small: int, count: int, margin: int, stride: int
) -> str:
    """Say how many windows of each size there are, and what helps."""
    offered = Counter(window for found in places for _, _, window in found)
    available = offered.total()
    if len(windows) == 1:
        what = f"crack-free windows of {windows[0]}×{windows[0]} pixels in {len(places)} photos"
    else:
        each = ", ".join(f"{offered[window]} of {window}×{window}" for window in windows)
        what = f"crack-free windows in {len(places)} photos ({each} pixels)"
    which = "the window" if len(windows) == 1 else "every window"
    small = f" ({too_small} photos are smaller than {which})" if too_small else ""
    finer = f"a smaller stride (now {stride}), " if stride > 1 else ""
    fewer = "ask for fewer, or " if available else ""
    return (
        f"only {available} {what}{small}, {count} asked for: {fewer}use a smaller window (now {windows[-1]}), "
        f"a smaller margin (now {margin}), {finer}or more photos"
    )


def _cut(pairs: list[Pair], chosen: list[tuple[int, Place]], size: int) -> Crops:
    """Cut the chosen windows, reading each photo once."""
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    problems: list[str] = []
    for index in sorted({index for index, _ in chosen}):
        try:
            image, _ = read_pair(pairs[index])
        except UserError as error:
            problems.append(str(error))
            continue
        for position, (owner, (x, y, window)) in enumerate(chosen):
            if owner == index:
                images[position], _ = resize(image[y : y + window, x : x + window], None, size)
    raise_for(problems, "no windows can be cut, these files cannot be used")
    rows = [{"name": pairs[index].name, "x": x, "y": y, "window": side} for index, (x, y, side) in chosen]
    return Crops(images, rows, [photo_of(pairs[index].name) for index, _ in chosen])
