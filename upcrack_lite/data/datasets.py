"""Road photos of one size with their masks: read from a folder, in memory or memory-mapped.

Chapter: the data. The folder layouts are described in `layouts`, the files in `reading`; their public
names can be imported from here.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upcrack_lite.data.aside import whole_folder
from upcrack_lite.data.layouts import (
    LAYOUTS,
    SPLITS,
    Pair,
    first_set,
    layout_of,
    pairs,
    photos,
    raise_for,
    read_pair,
    unlabeled,
)
from upcrack_lite.data.reading import RULES, check_rule, read_image, read_mask, resize
from upcrack_lite.data.space import check_space
from upcrack_lite.errors import UserError

__all__ = [
    "LAYOUTS",
    "RULES",
    "SPLITS",
    "Pair",
    "RoadSet",
    "first_set",
    "layout_of",
    "load",
    "pairs",
    "photos",
    "read_image",
    "read_mask",
    "read_pair",
    "resize",
    "unlabeled",
]

LARGEST = 4096
"""Largest side, in pixels, that a set is stretched to; networks here take 128 or 256."""

_FORMAT = 2  # of a stored set; raised when its files or the rule of `resize` change
_WORKERS = 2  # threads that decode photos
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

    Raises:
        UserError: shapes, types or counts do not fit together.
    """

    name: str
    images: np.ndarray
    crack_masks: np.ndarray | None
    names: list[str]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise UserError(f"images must be uint8 (N, H, W, 3), not {self.images.dtype} {self.images.shape}")
        masks = self.crack_masks
        if masks is not None and (masks.shape != self.images.shape[:3] or masks.dtype != np.bool_):
            raise UserError(
                f"crack_masks must be bool {self.images.shape[:3]}, not {masks.dtype} {masks.shape}"
            )
        if len(self.names) != len(self.images):
            raise UserError(f"{len(self.names)} names for {len(self.images)} images: give one name an image")

    def __len__(self) -> int:
        return len(self.images)


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
            as long as the files on disk have the same names, sizes and times. A subfolder whose name
            starts with a dot is a write that was interrupted, and one whose set has changed is of no more
            use; both can be deleted.
        rule: `area` or `nearest`.

    Raises:
        UserError: as in `pairs`, and for files that cannot be read or differ in size (all are listed).
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit must be at least 1, or None for all pairs; not {limit}")
    if not 1 <= size <= LARGEST:
        raise UserError(f"size must be from 1 to {LARGEST} pixels, not {size}")
    check_rule(rule)
    found = pairs(folder, layout, split)[:limit]
    name, names = Path(folder).resolve().name, [pair.name for pair in found]
    if memmap_dir is None:
        images = np.empty((len(found), size, size, 3), np.uint8)
        crack_masks = np.empty((len(found), size, size), np.bool_) if labeled(found) else None
        raise_for(_fill(found, size, rule, images, crack_masks), _UNREADABLE)
        return RoadSet(name, images, crack_masks, names)
    stored = _stored(found, size, rule, Path(folder).resolve(), split, Path(memmap_dir))
    images = np.load(stored / "images.npy", mmap_mode="r")
    crack_masks = np.load(stored / "crack_masks.npy", mmap_mode="r") if labeled(found) else None
    return RoadSet(name, images, crack_masks, names)


def labeled(found: list[Pair]) -> bool:
    """Return True if the photos have masks; a split has them all or none."""
    return found[0].mask is not None


def _fill(
    found: list[Pair], size: int, rule: str, images: np.ndarray, crack_masks: np.ndarray | None
) -> list[str]:
    """Read the pairs into arrays `(N, S, S, 3)` and `(N, S, S)`; return what is wrong with bad files."""

    def one(index: int) -> str | None:
        try:
            image, crack_mask = resize(*read_pair(found[index]), size, rule)
        except UserError as error:
            return str(error)
        images[index] = image
        if crack_masks is not None:
            crack_masks[index] = crack_mask
        return None

    # OpenCV lets other threads run while it decodes. Each holds one photo, so memory stays flat.
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [problem for problem in pool.map(one, range(len(found))) if problem]


def _stored(found: list[Pair], size: int, rule: str, source: Path, split: str, memmap_dir: Path) -> Path:
    """Return the folder of a stored set: one written before from the same files, or a new one."""
    index = {"format": _FORMAT, "source": str(source), "split": split, "size": size, "rule": rule}
    index |= {
        "count": len(found),
        "names": [pair.name for pair in found],
        "files_sha256": _fingerprint(found),
    }
    # The name depends on everything that the index says, so that no folder ever has to make room for another.
    digest = hashlib.sha256(json.dumps(index).encode()).hexdigest()
    target = memmap_dir / f"{source.name}-{split}-{size}-{rule}-{digest[:12]}"
    if _holds(target, index):
        return target
    if target.exists():
        raise UserError(f"{target} is damaged or holds something else: move it away, or name another folder")
    shapes = {"images": (np.uint8, (len(found), size, size, 3))}
    if labeled(found):
        shapes["crack_masks"] = (np.bool_, (len(found), size, size))
    needed = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in shapes.values())
    check_space(memmap_dir, needed, f"storing {source.name} at {size} pixels")
    try:
        with whole_folder(target) as aside:
            _write(found, size, rule, aside, shapes)
            (aside / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    except UserError:
        if not _holds(target, index):  # else another process was quicker with the same set
            raise
    return target


def _holds(target: Path, index: dict[str, object]) -> bool:
    """Return True if a folder is the stored set that this index describes."""
    try:
        return json.loads((target / "index.json").read_text(encoding="utf-8")) == index
    except (OSError, ValueError):
        return False


def _write(
    found: list[Pair], size: int, rule: str, folder: Path, shapes: dict[str, tuple[type, tuple[int, ...]]]
) -> None:
    """Write the arrays of a set, a block of photos at a time."""
    for name, (dtype, shape) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
    problems: list[str] = []
    for start in range(0, len(found), _BLOCK):
        # Mapped anew for each block: pages written stay in memory as long as the mapping does.
        block = slice(start, start + _BLOCK)
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes}
        views = [arrays[name][block] if name in arrays else None for name in ("images", "crack_masks")]
        problems += _fill(found[block], size, rule, *views)
    raise_for(problems, _UNREADABLE)


def _fingerprint(found: list[Pair]) -> str:
    """Hash the list of files with their sizes and times, so that a changed set is read again."""
    digest = hashlib.sha256()
    for pair in found:
        for path in filter(None, (pair.image, pair.mask)):
            state = path.stat()
            digest.update(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
