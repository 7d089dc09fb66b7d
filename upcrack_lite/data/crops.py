"""Crack-free windows cut from a training set, the undamaged roads that the method learns from. Chapter: the data.

The paper trains on undamaged crops but does not say how they were chosen. The rule here:
a window qualifies if it and a margin around it hold no crack pixel. On disk a set of crops is a folder:

    crops/0001.png ...   the crops in the order of the index
    index.csv            file, name, x, y, window, scale, group, sha256 (name to window as in `Crops.rows`)
    crops.json           how many, of which window sizes, how they were made, hashes

The same crops give the same bytes: no file holds a date or a place on this machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upcrack_lite.data.folders import blank_images, taken, whole_folder
from upcrack_lite.data.layouts import Pair, read_pair
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.io import check_fields, read_csv, read_json, write_csv, write_image, write_json
from upcrack_lite.recipes import check_value

Place = tuple[int, int, int]
"""A window in pixels of its photo: x and y of the upper left corner, and the side."""

_CANDIDATES = 4096  # random positions tried in one photo; enough to fill it, few enough to be quick
_FORMAT = 1  # raised when a file's meaning changes
_FACTS, _INDEX, _FOLDER = "crops.json", "index.csv", "crops"
_FIELDS = {"count": int, "size": int, "windows": dict, "photos": int, "facts": dict, "index_sha256": str}
_AGAIN = "delete the folder and cut the crops again"
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
    ranked = []
    for rank, index in enumerate(order.tolist()):
        turns: Counter[int] = Counter()
        for place in places[index]:
            window, own = place[2], places[index][0][2]
            ranked.append(((window != own, -window, turns[window], rank), index, place))
            turns[window] += 1
    return _cut(pairs, [(index, place) for _, index, place in sorted(ranked)[: rule.count]], rule.size)


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


def _cut(pairs: list[Pair], chosen: list[tuple[int, Place]], size: int) -> Crops:
    """Cut the chosen windows, reading each photo once."""
    images = blank_images(len(chosen), size)
    by_photo: dict[int, list[int]] = {}
    for position, (index, _) in enumerate(chosen):
        by_photo.setdefault(index, []).append(position)
    for index, positions in sorted(by_photo.items()):
        image = read_image(pairs[index].image)
        for position in positions:
            x, y, window = chosen[position][1]
            images[position], _ = resize(image[y : y + window, x : x + window], None, size)
    rows = [{"name": pairs[index].name, "x": x, "y": y, "window": side} for index, (x, y, side) in chosen]
    return Crops(images, rows, [photo_of(pairs[index].name) for index, _ in chosen])


def is_crop_folder(folder: str | Path) -> bool:
    """Tell whether `write_crops` made this folder, by its `crops.json`; its files are not checked."""
    return (Path(folder) / _FACTS).is_file()


def write_crops(crops: Crops, folder: str | Path, facts: Mapping[str, Any]) -> Path:
    """Write crops and their index to a new folder, which appears when it is complete and is returned.

    A folder that holds the same crops with the same facts is left alone.

    facts: plain values that say how the crops were made: `split`, which must not be "test", and whatever else makes
    them what they are, such as `set` and the values of the crop rule.
    Raises UserError: crops from test photos, a folder with other crops (the difference is named), with damaged
    files or with something else, or one that cannot be written.
    """
    folder = Path(folder)
    described = _describe(crops, facts)
    if is_crop_folder(folder):
        _refuse_other(folder, described)
        return folder
    if taken(folder):
        raise UserError(f"{folder}: holds something else than crops; give the name of a new folder")
    with whole_folder(folder) as aside:
        rows = []
        for number, image in enumerate(crops.images, 1):
            row = {"file": f"{_FOLDER}/{number:04d}.png"} | crops.rows[number - 1]
            row["scale"] = f"{described['size'] / int(row['window']):.4f}"
            row["group"] = crops.groups[number - 1]
            write_image(aside / row["file"], image)
            rows.append(row | {"sha256": _sha256(aside / row["file"])})
        write_csv(aside / _INDEX, rows, "\n")
        write_json(aside / _FACTS, described | {"index_sha256": _sha256(aside / _INDEX)})
    return folder


def read_crops(folder: str | Path, size: int | None = None) -> Crops:
    """Read crops that `write_crops` wrote, check every file, and `resize` them to a size; None keeps the stored one.

    Raises UserError: no folder of crops, files that are missing, added, changed or cut off (all are listed), or
    crops from test photos.
    """
    folder = Path(folder)
    described = read_description(folder)
    if _sha256(folder / _INDEX) != described["index_sha256"]:
        raise UserError(f"{folder / _INDEX}: is missing, or was changed after it was written; {_AGAIN}")
    kinds = {"file": str, "name": str, "x": int, "y": int, "window": int, "group": str, "sha256": str}
    rows = read_csv(folder / _INDEX, kinds, _AGAIN)
    size = described["size"] if size is None else size
    listed = {folder / row["file"] for row in rows}
    extra = sorted({*(folder / _FOLDER).glob("[!.]*")} - listed)
    problems = [f"{path}: is not in the index" for path in extra]
    images = blank_images(len(rows), size)
    for position, row in enumerate(rows):
        path = folder / row["file"]
        if _sha256(path) == row["sha256"]:
            images[position], _ = resize(read_image(path), None, size)
        else:
            problems.append(f"{path}: is missing, or was changed or cut off after it was written")
    raise_for(problems, f"{folder}: the crops are not those that were written; {_AGAIN}")
    places = [{key: row[key] for key in ("name", "x", "y", "window")} for row in rows]
    return Crops(images, places, [row["group"] for row in rows])


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read and check `crops.json`: `count`, `size`, `windows`, `enlarged`, `photos`, `facts` and hashes.

    Raises UserError: no folder of crops, a malformed `crops.json`, or crops from test photos.
    """
    path = Path(folder) / _FACTS
    described = read_json(path, "description of crops", _AGAIN, _FORMAT, _FIELDS)
    check_fields(described["facts"], {"split": str}, f"{path}: facts.", f"; {_AGAIN}")
    _refuse_test_photos(described["facts"])
    return described


def _describe(crops: Crops, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `crops.json` says, without the hash of the index, which depends on the PNG encoder."""
    _refuse_test_photos(facts)
    windows = Counter(int(row["window"]) for row in crops.rows)
    return {
        "format": _FORMAT,
        "count": len(crops),
        "size": crops.images.shape[1],
        "windows": {str(window): windows[window] for window in sorted(windows, reverse=True)},
        "enlarged": crops.enlarged(crops.images.shape[1]),
        "photos": len(set(crops.groups)),
        "facts": json.loads(json.dumps(facts, sort_keys=True, allow_nan=False)),
        "pixels_sha256": hashlib.sha256(np.ascontiguousarray(crops.images)).hexdigest(),
    }


def _refuse_test_photos(facts: Mapping[str, Any]) -> None:
    if facts["split"] == "test":
        raise UserError("these crops come from test photos: a model must never learn from them; cut others")


def _refuse_other(folder: Path, described: dict[str, Any]) -> None:
    """Raise `UserError` that names what differs, if the folder holds other crops than these, or damaged ones."""
    there, asked = (found | found["facts"] for found in (read_description(folder), described))
    differing = [key for key in asked if key != "facts" and there.get(key) != asked[key]]
    lines = [f"{key}: {there.get(key, '(none)')} there, {asked[key]} asked for" for key in differing]
    raise_for(lines, f"{folder}: holds other crops; give another folder, or {_AGAIN}")
    read_crops(folder, size=1)  # checks every file, keeps next to nothing in memory


def _sha256(path: Path) -> str:
    """Of a file's bytes; "" for one that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
