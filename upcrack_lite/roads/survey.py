"""Read every file of a set once and write down the facts: sizes, shares, checksums, hashes. Chapter: the data.

Nothing is judged here. `verify` judges the facts, `manifest` stores them, `report` shows them.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from upcrack_lite.errors import UserError
from upcrack_lite.roads.facts import contrasts, label_facts, perceptual_hashes  # noqa: F401
from upcrack_lite.roads.layouts import LAYOUTS, Pair, layout_of, pair_up, split_folders
from upcrack_lite.roads.reading import is_image, read_image, read_mask

OWN_FILES = frozenset(
    {"manifest.csv", "provenance.json", "report.html", "report.json", "index.csv", "patches.json"}
)
"""Files at the top of a set's folder that the kit itself wrote there; a survey passes over them."""

COMPANIONS = frozenset({"recovered_names.csv"})
"""Files at the top of a set's folder that belong to the set without being a photo or a mask."""

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Photo:
    """Facts about one pair, or about one photo of undamaged road.

    Attributes:
        part: `train`, `val` or `test`, or `all` where the layout has no split (`cfd`, `plain`).
        name: file name without its ending.
        image, mask: POSIX paths relative to the set's folder; `mask` is None without a label.
        image_size, mask_size: (width, height) in pixels, as a viewer shows them; None when unreadable.
        crack_share: share of crack pixels in percent.
        gray_share: share, 0 to 1, of mask pixels that are neither black nor white; 0 for `.mat`.
        above_one_share: `.mat` only: percent of label values above 1, which counts label 3 as crack too.
        hashes: 64-bit perceptual hashes of the photo in the 8 orientations of `facts.ORIENTATIONS`, upright
            first; empty when the photo is unreadable.
        contrast: how much darker the mask's pixels are than their surroundings, for the mask in the same
            8 orientations; nan where the turned mask does not fit; empty without a mask or when unreadable.
        problem: the reader's message when the image or the mask could not be read.
    """

    part: str
    name: str
    image: str
    mask: str | None
    image_size: tuple[int, int] | None
    mask_size: tuple[int, int] | None
    crack_share: float | None
    gray_share: float | None
    above_one_share: float | None
    hashes: tuple[int, ...]
    contrast: tuple[float, ...]
    problem: str | None


@dataclass(frozen=True)
class File:
    """One file of a set: POSIX path relative to the set's folder, size in bytes, SHA-256, and what it shows.

    `width` and `height` are None where it is no image or cannot be read; `crack_share`, in percent, is
    there for masks only. `sha256` is empty where the system refuses to give the bytes.
    """

    path: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    crack_share: float | None


@dataclass(frozen=True)
class Survey:
    """All facts about a set.

    Attributes:
        folder, layout: what was surveyed; `layout` is a key of `LAYOUTS`, never `auto`.
        photos: by part in the layout's order, then by name.
        files: sorted by path: every photo and mask in the layout's folders, also the ones without a partner,
            CFD's known unlabeled photos, and the files in `COMPANIONS`.
        unpaired: relative path to message, as `layouts.pair_up` says it.
        others: files that no reader uses, sorted; hidden files and `OWN_FILES` are left out.
        missing_parts: splits of the layout whose folder is not there.
    """

    folder: Path
    layout: str
    photos: list[Photo]
    files: list[File]
    unpaired: dict[str, str]
    others: list[str]
    missing_parts: list[str]


def survey(
    folder: str | Path, layout: str = "auto", workers: int = 2, progress: bool = False
) -> Survey:
    """Read every file of a set and return the facts.

    Raises:
        UserError: no such folder, no known layout, or none of the layout's parts is there. A file that
            cannot be read is a fact in the result and raises nothing.
    """
    raise NotImplementedError
