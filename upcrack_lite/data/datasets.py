"""Road photos of one size with their masks: read from a folder, in memory or memory-mapped.

Chapter: the data. The folder layouts are described in `layouts`, the files in `reading`.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.data.folders import check_space, whole_folder
from upcrack_lite.data.layouts import Pair, pairs, read_pair
from upcrack_lite.data.reading import check_rule, resize
from upcrack_lite.errors import UserError, raise_for

LARGEST = 4096
"""Largest side, in pixels, that a set is stretched to; networks here take 128 or 256."""

_FORMAT = 3  # of a stored set; raised when its files or the rule of `resize` change
_WORKERS = 2  # threads that decode photos
_WAIT = 600  # seconds to wait for another process that stores the same set
_BLOCK = 128  # photos whose results are held in memory at a time while a set is stored
_UNREADABLE = "these pairs cannot be read"


@dataclass(frozen=True, eq=False)
class RoadSet:
    """Photos of one size with their masks, in memory or memory-mapped.

    Attributes:
        name: name of the set, such as `deepcrack`.
        images: uint8 `(N, S, S, 3)` RGB.
        crack_masks: bool `(N, S, S)`, True = crack; None if the photos have no labels.
        names: N names, one a photo.
    """

    name: str
    images: np.ndarray
    crack_masks: np.ndarray | None
    names: list[str]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a method learns from.

    images: uint8 `(N, S, S, 3)`; groups: the photo of each; facts: plain values for the run's manifest.
    crack_masks: bool `(N, S, S)` for a method that learns from them, else None: then the images are undamaged crops.
    """

    images: np.ndarray
    groups: list[str]
    facts: dict[str, Any]
    crack_masks: np.ndarray | None = None

    @property
    def what(self) -> str:
        """What they are, in words."""
        return "undamaged crops" if self.crack_masks is None else "photos with crack masks"


def load(
    folder: str | Path,
    split: str,
    size: int,
    layout: str = "auto",
    limit: int | None = None,
    memmap_dir: str | Path | None = None,
    rule: str = "area",
) -> RoadSet:
    """Read a set and stretch every photo and mask to `size` × `size` (the rules are at `resize`).

    Args:
        folder, split, layout: as in `pairs`.
        size: side in pixels.
        limit: read only the first so many pairs by name; None reads all.
        memmap_dir: keep the arrays in a subfolder of this one instead of in memory, and use them again
            as long as the files on disk have the same names, sizes and times. A subfolder whose set has
            changed is of no more use and can be deleted.
        rule: `area` or `nearest`.

    Raises:
        UserError: as in `pairs`, and for files that cannot be read or differ in size (all are listed).
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit must be at least 1, or None for all pairs; not {limit}")
    if not 1 <= size <= LARGEST:
        raise UserError(f"size must be from 1 to {LARGEST} pixels, not {size}")
    check_rule(rule)
    chosen = pairs(folder, layout, split)[:limit]
    name, names = Path(folder).resolve().name, [pair.name for pair in chosen]
    shapes = {"images": (np.uint8, (len(chosen), size, size, 3))}
    if chosen[0].mask is not None:  # a split has masks for all photos or for none
        shapes["crack_masks"] = (np.bool_, (len(chosen), size, size))
    if memmap_dir is None:
        arrays = {key: np.empty(shape, dtype) for key, (dtype, shape) in shapes.items()}
        raise_for(_fill(chosen, size, rule, arrays), _UNREADABLE)
    else:
        stored = _stored(chosen, size, rule, Path(folder).resolve(), split, Path(memmap_dir), shapes)
        arrays = {key: np.load(stored / f"{key}.npy", mmap_mode="r") for key in shapes}
    return RoadSet(name, arrays["images"], arrays.get("crack_masks"), names)


def _fill(chosen: list[Pair], size: int, rule: str, arrays: dict[str, np.ndarray]) -> list[str]:
    """Read the pairs into arrays `(N, S, S, 3)` and `(N, S, S)`; return what is wrong with bad files."""

    def one(index: int) -> str | None:
        try:
            image, crack_mask = resize(*read_pair(chosen[index]), size, rule)
        except UserError as error:
            return str(error)
        arrays["images"][index] = image
        if crack_mask is not None:
            arrays["crack_masks"][index] = crack_mask
        return None

    # OpenCV lets other threads run while it decodes. Each holds one photo, so memory stays flat.
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [problem for problem in pool.map(one, range(len(chosen))) if problem]


def _stored(
    chosen: list[Pair],
    size: int,
    rule: str,
    source: Path,
    split: str,
    memmap_dir: Path,
    shapes: dict[str, tuple[type, tuple[int, ...]]],
) -> Path:
    """Return the folder of a stored set: one written before from the same files, or a new one."""
    # The name depends on everything that makes the arrays what they are, so a folder of this name holds them.
    made_of = hashlib.sha256(f"{_FORMAT} {source} {split} {size} {rule}\n".encode())
    for path in (path for pair in chosen for path in (pair.image, pair.mask) if path):
        state = path.stat()
        made_of.update(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    target = memmap_dir / f"{source.name}-{split}-{size}-{rule}-{made_of.hexdigest()[:12]}"
    if target.is_dir():
        return target
    needed = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in shapes.values())
    check_space(memmap_dir, needed, f"storing {source.name} at {size} pixels")
    try:
        with whole_folder(target, _WAIT) as stage:
            _write(chosen, size, rule, stage, shapes)
    except UserError:
        if not target.is_dir():  # else another process was quicker with the same set
            raise
    return target


def _write(
    chosen: list[Pair], size: int, rule: str, folder: Path, shapes: dict[str, tuple[type, tuple[int, ...]]]
) -> None:
    """Write the arrays of a set, a block of photos at a time."""
    for name, (dtype, shape) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
    problems: list[str] = []
    for start in range(0, len(chosen), _BLOCK):
        # Mapped anew for each block: pages written stay in memory as long as the mapping does.
        block = slice(start, start + _BLOCK)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+")[block] for name in shapes}
        problems += _fill(chosen[block], size, rule, arrays)
    raise_for(problems, _UNREADABLE)
