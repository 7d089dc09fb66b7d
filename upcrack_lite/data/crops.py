"""Crack-free windows cut from a training set: the undamaged roads that the method learns from. Chapter: the data.

The paper trains on undamaged crops but does not say how they were chosen. The rule here:
a window qualifies if it and a margin around it hold no crack pixel.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from upcrack_lite.data.layouts import Pair, read_pair
from upcrack_lite.data.reading import resize
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.recipes import check_value

Place = tuple[int, int, int]
"""A window in pixels of its photo: x and y of the upper left corner, and the side."""

_CANDIDATES = 4096  # random positions tried in one photo; enough to fill it, few enough to be quick
# Crack500: an official crop (photo_x_y), one of the paper's authors (photo_n), or one of the kit (run_13_0013)
_CROP_OF_PHOTO = re.compile(r"(\d{8}_\d{6}|run_\d+)_\d+(?:_\d+)?")


@dataclass(frozen=True)
class CropRule:
    """How windows are chosen and what becomes of them. Lengths are pixels.

    windows: sides of a window in the photo, the largest first. A photo gives its largest that has room.
    count: how many windows. seed: of the order and the places.
    margin: a window qualifies if the square that reaches so far beyond it on every side holds no crack pixel.
    size: side of the result; `resize` averages when shrinking, else interpolates (cubic).
    max_overlap: the largest share of a window's area that a second one of the same photo may cover; of two unequal
    windows, the share of the smaller one's area. stride: corners lie on a grid of so many pixels; 1 is anywhere.
    Raises UserError for a value that cannot work.
    """

    windows: tuple[int, ...] = (160,)
    count: int = 300
    margin: int = 4
    size: int = 128
    seed: int = 0
    max_overlap: float = 0.25
    stride: int = 1

    def __post_init__(self) -> None:
        if not self.windows or list(self.windows) != sorted(set(self.windows), reverse=True):
            raise UserError(f"windows must be different sides, the largest first, not {self.windows}")
        least = {"windows": (self.windows[-1], 1), "margin": (self.margin, 0)}
        least |= {name: (getattr(self, name), 1) for name in ("count", "size", "stride")}
        for name, (value, lowest) in least.items():
            check_value(name, value, f"[{lowest}, inf)")
        check_value("max_overlap", self.max_overlap, "[0, 1)")


@dataclass(frozen=True, eq=False)
class Crops:
    """Crack-free windows.

    images: uint8 `(N, S, S, 3)` RGB. rows: for each window `name` of its file, `x` and `y` of its upper left corner
    and `window`, its side, in pixels of the file. groups: for each window the photo it comes from: split by these,
    never at random.
    """

    images: np.ndarray
    rows: list[dict[str, str | int]]
    groups: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def enlarged(self, size: int) -> int:
        """Count the windows that are smaller than `size` pixels, so that they look blurred at that size."""
        return sum(int(row["window"]) < size for row in self.rows)


def undamaged_crops(pairs: list[Pair], rule: CropRule, least: int | None = None) -> Crops:
    """Cut windows without cracks, spread over the photos as evenly as they allow.

    The photos are visited in a seeded order, one window each, then a second one each, and so on until there are
    enough. A photo's windows lie at seeded random places. Results depend on names, masks and the rule alone.

    Several windows, such as (256, 192, 160, 128), are for photos that have no room for the largest one. Smaller ones
    come in only as far as `count` needs them: first photos whose own window is the largest size give all their
    windows of that size, in turns as above, then the photos whose own window is the second size, and so on. If there
    are still too few, photos also give windows smaller than their own, the largest first, where these fit beside the
    windows that they gave already.

    pairs: photos with masks, of a training split alone; in a photo whose mask is None every window counts as
    crack-free. least: so many are enough where the photos have no room for more; None takes `rule.count`.
    Raises UserError: no photos, fewer windows than asked for or enough, or unreadable files (all are listed).
    """
    if not pairs:
        raise UserError("no photos to cut windows from: pairs is empty")
    places = _places(pairs, rule)
    offered = Counter(window for photo in places for _, _, window in photo)
    needed = rule.count if least is None else min(least, rule.count)
    if offered.total() < needed:
        each = ", ".join(f"{offered[window]} of {window}×{window}" for window in rule.windows)
        asked = f"{needed} asked for: ask for fewer, or" if least is None else f"{needed} needed:"
        raise UserError(
            f"only {offered.total()} crack-free windows in {len(pairs)} photos ({each} pixels), {asked} "
            f"use a smaller window, a smaller margin (now {rule.margin}), a smaller stride (now {rule.stride}) "
            "or more photos"
        )
    order = np.random.default_rng(rule.seed).permutation(len(pairs))
    chosen: list[tuple[int, Place]] = []  # index of the pair, place
    for queues in _stages(places, rule.windows):
        for turn in range(max(map(len, queues))):
            chosen += [(int(index), queues[index][turn]) for index in order if turn < len(queues[index])]
    return _cut(pairs, chosen[: rule.count], rule.size)


def photo_of(name: str) -> str:
    """Return the photo that a file shows: that of a Crack500 crop, whose crops may overlap, else the file itself."""
    match = _CROP_OF_PHOTO.fullmatch(name)
    return match[1] if match else name


def free_places(crack_mask: np.ndarray, window: int, margin: int = 0) -> np.ndarray:
    """Mark the upper left corners of all windows that are free of cracks.

    crack_mask: bool `(H, W)`, no smaller than the window. window: side in pixels. margin: as in `CropRule`; pixels
    beyond the border hold no crack. Returns bool `(H - window + 1, W - window + 1)`.
    """
    # A window is free of the mask dilated by a square exactly if the window grown by the margin is free
    # of the mask itself, so that four look-ups in an integral image answer for every place.
    padded = np.pad(crack_mask, margin).astype(np.uint8)
    total = cv2.integral(padded)  # (H + 2 margin + 1, W + 2 margin + 1)
    side = window + 2 * margin
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return inside == 0


def overlap(x: np.ndarray, y: np.ndarray, window: int, place: Place) -> np.ndarray:
    """Return the area in pixels that each window with its upper left corner at (x, y) shares with `place`."""
    other_x, other_y, side = place
    across = np.minimum(x + window, other_x + side) - np.maximum(x, other_x)
    down = np.minimum(y + window, other_y + side) - np.maximum(y, other_y)
    return np.clip(across, 0, None) * np.clip(down, 0, None)


def _places(pairs: list[Pair], rule: CropRule) -> list[list[Place]]:
    """Find each photo's places, its largest windows first."""
    places: list[list[Place]] = []
    problems: list[str] = []
    for pair in pairs:
        try:
            image, crack_mask = read_pair(pair)
        except UserError as error:
            problems.append(str(error))
            continue
        crack_mask = np.zeros(image.shape[:2], np.bool_) if crack_mask is None else crack_mask
        # Seeded by the name, so that another photo more or less does not move this one's windows.
        rng = np.random.default_rng([rule.seed, zlib.crc32(pair.name.encode())])
        places.append(_fill(crack_mask, rule, rng))
    raise_for(problems, "no windows can be cut, these files cannot be used")
    return places


def _fill(crack_mask: np.ndarray, rule: CropRule, rng: np.random.Generator) -> list[Place]:
    """Choose free places at random until no more fit: first of the largest window, then of smaller ones."""
    taken: list[Place] = []
    for window in rule.windows:
        if window > min(crack_mask.shape):
            continue
        free = free_places(crack_mask, window, rule.margin)[:: rule.stride, :: rule.stride]
        y, x = (part * rule.stride for part in np.divmod(np.flatnonzero(free), free.shape[1]))
        for place in taken:  # of larger windows
            left = overlap(x, y, window, place) <= rule.max_overlap * window**2
            y, x = y[left], x[left]
        order = rng.permutation(len(y))[:_CANDIDATES]
        y, x = y[order], x[order]
        while len(y):
            taken.append((int(x[0]), int(y[0]), window))
            left = overlap(x, y, window, taken[-1]) <= rule.max_overlap * window**2
            left[0] = False
            y, x = y[left], x[left]
    return taken


def _stages(places: list[list[Place]], windows: tuple[int, ...]) -> Iterator[list[list[Place]]]:
    """Yield the places of each photo that are due together: own windows by size, then smaller ones by size."""
    for own in (True, False):
        for window in windows:
            yield [
                [p for p in photo if p[2] == window and (photo[0][2] == window) is own] for photo in places
            ]


def _cut(pairs: list[Pair], chosen: list[tuple[int, Place]], size: int) -> Crops:
    """Cut the chosen windows, reading each photo once."""
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    for index in sorted({index for index, _ in chosen}):
        image, _ = read_pair(pairs[index])
        for position, (owner, (x, y, window)) in enumerate(chosen):
            if owner == index:
                images[position], _ = resize(image[y : y + window, x : x + window], None, size)
    rows = [{"name": pairs[index].name, "x": x, "y": y, "window": side} for index, (x, y, side) in chosen]
    return Crops(images, rows, [photo_of(pairs[index].name) for index, _ in chosen])
