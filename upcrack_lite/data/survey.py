"""Read every file of a set once and write down the facts: sizes, shares, checksums, hashes. Chapter: the data.

Nothing is judged here. `verify` judges the facts, `manifest` stores them, `report` shows them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from upcrack_lite.data.facts import File, Photo, look_at_file, look_at_pair, relative
from upcrack_lite.data.layouts import LAYOUTS, layout_of, pair_up, split_folders
from upcrack_lite.data.reading import is_image
from upcrack_lite.errors import UserError

__all__ = ["COMPANIONS", "MANIFEST", "OWN_FILES", "PROVENANCE", "File", "Photo", "Survey", "survey"]

MANIFEST, PROVENANCE = "manifest.csv", "provenance.json"
"""Written into the folder of a fetched set: a line for each file, and where the set came from."""

OWN_FILES = frozenset({MANIFEST, PROVENANCE, "report.html", "report.json", "index.csv", "patches.json"})
"""Files at the top of a set's folder that the kit itself wrote there; a survey passes over them."""

COMPANIONS = frozenset({"recovered_names.csv"})
"""Files at the top of a set's folder that belong to the set without being a photo or a mask."""

# In the authors' folders `b` holds the pictures of `a` again; no reader needs it, and it is no stray file.
_REPEATED = {"crack500_authors": frozenset({"b"})}

_AHEAD = 2  # pairs in hand for each worker: enough to keep it busy, few enough to bound the memory
_Looked = tuple[Photo | None, list[File]]


@dataclass(frozen=True)
class Survey:
    """All facts about a set.

    Attributes:
        folder, layout: what was surveyed; `layout` is a key of `LAYOUTS`, never `auto`.
        photos: by part in the layout's order, then by name.
        files: sorted by path: every photo and mask in the layout's folders, also the ones without a partner,
            CFD's known unlabeled photos, and the files in `COMPANIONS`.
        unpaired: relative path to message, as `layouts.pair_up` says it, with paths relative to `folder`.
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


def survey(folder: str | Path, layout: str = "auto", workers: int = 2, progress: bool = False) -> Survey:
    """Read every file of a set and return the facts.

    Each file's bytes are read for its checksum and, right after, by the reader of `reading` (the second time
    they come from the system's cache). Only a few pairs are in memory at a time, whatever the set's size.

    Args:
        folder: folder of one set.
        layout: `auto` or a name in `LAYOUTS`.
        workers: number of threads, at least 1. The result does not depend on it.
        progress: show a bar.

    Raises:
        UserError: no such folder, no known layout, or none of the layout's parts is there. A file that
            cannot be read is a fact in the result and raises nothing.
    """
    folder = Path(folder)
    if workers < 1:
        raise UserError(f"workers must be at least 1, not {workers}")
    layout = layout_of(folder) if layout == "auto" else layout
    parts = _parts(layout)
    jobs: list[Callable[[], _Looked]] = [
        partial(look_at_file, folder, folder / name) for name in COMPANIONS if (folder / name).is_file()
    ]
    unpaired: dict[str, str] = {}
    missing: dict[str, str] = {}
    for part, split in parts.items():
        try:
            image_dir, mask_dir = split_folders(folder, layout, split)
        except UserError as error:
            missing[part] = str(error)
            continue
        pairs, problems = pair_up(folder, layout, split)
        jobs += [partial(look_at_pair, folder, part, pair) for pair in pairs]
        for path, text in problems.items():
            unpaired[path.relative_to(folder).as_posix()] = relative(folder, text)
            is_mask = path.parent == mask_dir and (mask_dir != image_dir or path.suffix.lower() == ".png")
            jobs.append(partial(look_at_file, folder, path, is_mask))
        if layout == "cfd":  # a photo that is neither paired nor a problem is one that was never labeled
            known = problems.keys() | {pair.image for pair in pairs}
            images = (path for path in image_dir.iterdir() if is_image(path) and path.is_file())
            jobs += [partial(look_at_file, folder, path) for path in images if path not in known]
    if len(missing) == len(parts):
        raise UserError(next(iter(missing.values())))
    photos: list[Photo] = []
    files: list[File] = []
    looked = _in_order(jobs, workers)
    for photo, its_files in tqdm(looked, total=len(jobs), unit=" pairs", disable=not progress):
        photos += [] if photo is None else [photo]
        files += its_files
    files.sort(key=lambda file: file.path)
    others = _others(folder, layout, {file.path for file in files})
    return Survey(folder, layout, photos, files, unpaired, others, list(missing))


def _parts(layout: str) -> dict[str, str]:
    """Map the parts of a layout to a split that gives them; `all` stands for splits that are all the same."""
    if layout not in LAYOUTS:
        raise UserError(f"unknown layout {layout!r}; choose auto, {', '.join(LAYOUTS)}")
    splits = LAYOUTS[layout]
    one_for_all = len(set(splits.values())) == 1
    return {"all": next(iter(splits))} if one_for_all else {split: split for split in splits}


def _in_order(jobs: list[Callable[[], _Looked]], workers: int) -> Iterator[_Looked]:
    """Run the jobs in threads and give their results in order, with few of them begun ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[_Looked]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(job))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an interruption nothing that has not begun is begun
            for future in waiting:
                future.cancel()


def _others(folder: Path, layout: str, used: set[str]) -> list[str]:
    """List the files below the folder that are neither used, hidden, the kit's own, nor known repetitions."""
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        repeated = _REPEATED.get(layout, ())
        folders[:] = [name for name in folders if not name.startswith(".") and name not in repeated]
        paths = [(Path(parent) / name).relative_to(folder).as_posix() for name in names if name[0] != "."]
        found += [path for path in paths if path not in used and path not in OWN_FILES]
    return sorted(found)
