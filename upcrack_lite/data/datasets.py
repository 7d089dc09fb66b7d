"""Road photos of one size with their masks, read from a folder. Chapter: the data.

The folder layouts are described in `layouts`, the files in `reading`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.data.folders import blank_images
from upcrack_lite.data.layouts import pairs, read_pair
from upcrack_lite.data.reading import resize
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.recipes import check_value

LARGEST = 4096
"""Largest side, in pixels, that a set is stretched to; networks here take 128 or 256."""

_WORKERS = 2  # threads that decode photos


@dataclass(frozen=True, eq=False)
class RoadSet:
    """Photos of one size with their masks.

    images: uint8 `(N, S, S, 3)` RGB. crack_masks: bool `(N, S, S)`, True = crack; None without labels.
    names: N names, one a photo. name: of the set, such as `deepcrack`.
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
    folder: str | Path, split: str, size: int, layout: str = "auto", limit: int | None = None
) -> RoadSet:
    """Read a set and stretch every photo and mask to `size` × `size` px, as `resize` does.

    folder, split, layout: as in `pairs`. limit: read only the first so many pairs by name.
    Raises UserError as `pairs`, and for files that cannot be read or differ in size (all are listed).
    """
    check_value("limit", 1 if limit is None else limit, "[1, inf)")
    check_value("size", size, f"[1, {LARGEST}]")
    chosen = pairs(folder, layout, split)[:limit]
    images = blank_images(len(chosen), size)
    # A split has masks for all photos or for none.
    crack_masks = None if chosen[0].mask is None else np.empty((len(chosen), size, size), np.bool_)

    def read(index: int) -> str | None:
        try:
            images[index], crack_mask = resize(*read_pair(chosen[index]), size)
        except UserError as error:
            return str(error)
        if crack_masks is not None:
            crack_masks[index] = crack_mask
        return None

    # OpenCV lets other threads run while it decodes. Each holds one photo, so memory stays flat.
    with ThreadPoolExecutor(_WORKERS) as pool:
        raise_for(list(filter(None, pool.map(read, range(len(chosen))))), "these pairs cannot be read")
    return RoadSet(Path(folder).resolve().name, images, crack_masks, [pair.name for pair in chosen])
