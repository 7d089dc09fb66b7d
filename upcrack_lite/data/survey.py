"""Read every file of a set and write down the facts: sizes, shares, checksums, hashes. Chapter: the data.

`check` judges the facts, `manifest` stores them, `report` shows them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from upcrack_lite.data.duplicates import contrasts, perceptual_hashes
from upcrack_lite.data.layouts import LAYOUTS, layout_of, pair_up, split_folders
from upcrack_lite.data.layouts import photos as photos_in
from upcrack_lite.data.manifest import Entry
from upcrack_lite.data.reading import read_image, read_label, read_segmentation
from upcrack_lite.errors import UserError

_WORKERS = 2  # threads that read files
_COMPANIONS = ("recovered_names.csv",)  # belong to a set without being a photo or a mask


@dataclass(frozen=True)
class Photo:
    """Facts about one pair, or about one photo of undamaged road. None or empty without a mask or when unreadable.

    part: `train`, `val` or `test`, or `all` where the layout has no split (`cfd`, `plain`).
    name: file name without its ending. image, mask: POSIX paths relative to the set's folder.
    image_size, mask_size: (width, height) in pixels, as a viewer shows them. crack_share: crack pixels in percent.
    levels, gray_share: as in `labels.Label`. mask_pixels: a hash of the mask's pixels, whatever its file format.
    above_one_share: `.mat` only: percent of label values above 1, which counts label 3 as crack too.
    hashes, contrast: `perceptual_hashes` of the photo and `contrasts` of the pair, each in 8 orientations.
    problem: the reader's message when the image or the mask could not be read, with paths as above.
    """

    part: str
    name: str
    image: str
    mask: str | None = None
    image_size: tuple[int, int] | None = None
    mask_size: tuple[int, int] | None = None
    crack_share: float | None = None
    levels: tuple[int, int] | None = None
    gray_share: float | None = None
    above_one_share: float | None = None
    mask_pixels: str | None = None
    hashes: tuple[int, ...] = ()
    contrast: tuple[float, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Survey:
    """All facts about a set.

    layout: a key of `LAYOUTS`, never `auto`. photos: by part in the layout's order, then by name.
    files: sorted by path: every photo and mask in the layout's folders, also those without a partner or a label.
    unpaired: relative path to what `layouts.pair_up` says. missing_parts: splits whose folder is not there.
    """

    folder: Path
    layout: str
    photos: list[Photo]
    files: list[Entry] = field(default_factory=list)
    unpaired: dict[str, str] = field(default_factory=dict)
    missing_parts: list[str] = field(default_factory=list)


def survey(folder: str | Path, layout: str = "auto") -> Survey:
    """Read every file of a set and return the facts. A file that cannot be read is a fact, too.

    layout: `auto` or a name in `LAYOUTS`. A bar is shown on a terminal.
    Raises UserError: no such folder, no known layout, or none of the layout's parts is there.
    """
    folder = Path(folder)
    layout = layout_of(folder) if layout == "auto" else layout
    splits = LAYOUTS[layout]
    has_one = len(set(splits.values())) == 1  # every split gives the same photos
    parts = {"all": next(iter(splits))} if has_one else {split: split for split in splits}
    # Part, photo, mask; without a part the file stands alone.
    jobs: list[tuple[str | None, Path | None, Path | None]] = []
    unpaired: dict[str, str] = {}
    missing: dict[str, UserError] = {}
    for part, split in parts.items():
        try:
            image_dir, mask_dir = split_folders(folder, layout, split)
        except UserError as error:
            missing[part] = error
            continue
        pairs, problems = pair_up(folder, layout, split)
        jobs += [(part, pair.image, pair.mask) for pair in pairs]
        for path, message in problems.items():
            unpaired[path.relative_to(folder).as_posix()] = _relative(folder, message)
            is_mask = path.parent == mask_dir and (mask_dir != image_dir or path.suffix.lower() == ".png")
            jobs.append((None, None, path) if is_mask else (None, path, None))
        if layout == "cfd":  # a photo that is neither paired nor a problem is one that was never labeled
            known = problems.keys() | {pair.image for pair in pairs}
            jobs += [(None, path, None) for path in photos_in(image_dir) if path not in known]
    if len(missing) == len(parts):
        raise next(iter(missing.values()))
    with ThreadPoolExecutor(_WORKERS) as pool:
        results = pool.map(lambda job: _look(folder, *job), jobs)
        seen = list(tqdm(results, total=len(jobs), unit=" pairs", disable=None))
    photos = [photo for (part, _, _), (photo, _) in zip(jobs, seen, strict=True) if part]
    files = [file for _, its_files in seen for file in its_files]
    files += [_file(folder, folder / name) for name in _COMPANIONS if (folder / name).is_file()]
    files.sort(key=lambda file: file.path)
    return Survey(folder, layout, photos, files, unpaired, list(missing))


def _look(
    folder: Path, part: str | None, image_path: Path | None, mask_path: Path | None
) -> tuple[Photo | None, list[Entry]]:
    """Gather the facts of a pair, or of a file that stands alone. What cannot be read raises nothing."""
    facts, files, problems = {}, [], []
    image = label = None
    if image_path:
        image = _tried(read_image, image_path, problems)
        hashes = () if image is None else perceptual_hashes(image)
        files.append(_file(folder, image_path, image, phash=f"{hashes[0]:016x}" if hashes else None))
        facts |= {"image": files[-1].path, "image_size": _size(image), "hashes": hashes}
    if mask_path:
        label = _tried(read_label, mask_path, problems)
        crack_mask = label and label.crack_mask
        share = None if label is None else 100 * float(crack_mask.mean())
        files.append(_file(folder, mask_path, crack_mask, share))
        facts |= {"mask": files[-1].path, "mask_size": _size(crack_mask), "crack_share": share}
        if label:
            facts |= {"levels": label.levels, "gray_share": label.gray_share}
            facts["mask_pixels"] = hashlib.sha256(crack_mask.tobytes()).hexdigest()
        if label and mask_path.suffix.lower() == ".mat":
            facts["above_one_share"] = 100 * float(np.mean(read_segmentation(mask_path) > 1))
    if part is None:
        return None, files
    if image is not None and label:
        facts["contrast"] = contrasts(image, label.crack_mask)
    problem = _relative(folder, "; ".join(problems)) or None
    return Photo(part=part, name=image_path.stem, problem=problem, **facts), files


def _tried(read: Callable[[Path], Any], path: Path, problems: list[str]) -> Any:
    """Read a file, or note the reader's message and return None."""
    try:
        return read(path)
    except UserError as error:
        problems.append(str(error))
        return None


def _relative(folder: Path, message: str) -> str:
    """Write a reader's message with its paths relative to the set's folder, so that it is the same anywhere."""
    start = re.escape(str(folder).rstrip("/\\"))
    return re.sub(rf"(?<!\S){start}[/\\]", "", message)


def _file(
    folder: Path,
    path: Path,
    pixels: np.ndarray | None = None,
    crack_share: float | None = None,
    phash: str | None = None,
) -> Entry:
    """Return what a manifest says about a file; `pixels` and the others are None where there is nothing to say."""
    try:
        data = path.read_bytes()
    except OSError:
        data = None
    digest = "" if data is None else hashlib.sha256(data).hexdigest()
    share = None if crack_share is None else round(crack_share, 4)
    size = _size(pixels) or (None, None)
    return Entry(path.relative_to(folder).as_posix(), len(data or b""), digest, *size, share, phash)


def _size(pixels: np.ndarray | None) -> tuple[int, int] | None:
    """Return (width, height), the order in which sizes are written for people."""
    return None if pixels is None else (pixels.shape[1], pixels.shape[0])
