"""The photos of a cell: undamaged crops to train on, and a test set whose files are checked one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.repro.cells import Cell
from upcrack_lite.roads import manifest as manifests
from upcrack_lite.roads.crop_folder import is_crop_folder, read_crops, read_description
from upcrack_lite.roads.layouts import Pair, pairs, raise_for, read_pair
from upcrack_lite.roads.reading import resize_mask
from upcrack_lite.roads.survey import MANIFEST
from upcrack_lite.roads.synthetic import synthetic_road, synthetic_set

SYNTHETIC_VERSION = 1
"""Raised when the program that draws roads changes, so that other roads never pass for the same."""

SYNTHETIC_CROPS, SYNTHETIC_PHOTOS = 300, 100  # undamaged roads to train on; roads with cracks to test on
TRAIN_SEED, TEST_SEED = 0, 1  # of the roads; the same whatever the seed of the training


@dataclass(frozen=True, eq=False)
class TrainingCrops:
    """images: uint8 `(N, S, S, 3)`; groups: the photo of each crop; facts: plain values for the run's manifest."""

    images: np.ndarray
    groups: list[str]
    facts: dict[str, Any]


def training_crops(cell: Cell, data_root: str | Path) -> TrainingCrops:
    """Read the undamaged crops of a cell's training set at its preset's size, or draw them.

    Raises UserError that names the command to cut them where they are not there, or for damaged files.
    """
    size = cell.preset().size
    if cell.train_set == "synthetic":
        roads = synthetic_set(SYNTHETIC_CROPS, size, TRAIN_SEED, crack_free=1.0)
        return TrainingCrops(roads.images, roads.names, {"name": "synthetic", "seed": TRAIN_SEED})
    folder = Path(data_root) / f"{cell.train_set}_undamaged"
    if why := missing_crops(cell.train_set, data_root):
        raise UserError(why)
    described = read_description(folder)
    if described["facts"].get("set") != cell.train_set:
        raise UserError(
            f"{folder}: its crops were cut from {described['facts'].get('set')}, not from {cell.train_set}; "
            "delete the folder and cut them again"
        )
    cut = read_crops(folder, size)
    return TrainingCrops(cut.images, cut.groups, {"name": folder.name, "crops": described})


def missing_crops(train_set: str, data_root: str | Path) -> str:
    """What to do where the undamaged crops of a training set are not there; empty where they are."""
    folder = Path(data_root) / f"{train_set}_undamaged"
    if train_set == "synthetic" or is_crop_folder(folder):
        return ""
    return (
        f"{folder}: the undamaged crops to train on are not there; cut them with "
        f"`upcrack data build {train_set} --root {data_root}`"
    )


@dataclass(frozen=True)
class TestSet:
    """A test set that is read photo by photo.

    Attributes:
        name: a name in `cells.TEST_SETS`.
        digest: SHA-256 that says which files the set holds: of its manifest, or of how synthetic roads are
            drawn.
        known: where the manifest comes from: "packaged" with the kit, "fetched" with the set, "synthetic", or
            None where there is none.
        pairs: photos and masks on disk; empty for synthetic roads.
    """

    __test__ = False  # the name begins with "Test", but pytest should not collect it

    name: str
    digest: str
    known: str | None
    folder: Path | None
    pairs: tuple[Pair, ...]
    expected: dict[str, str]  # path in the set to SHA-256; empty where no manifest is known

    def __len__(self) -> int:
        return len(self.pairs) if self.folder else SYNTHETIC_PHOTOS

    def photos(self, size: int, seen: list[bytes]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Give (name, photo uint8 `(H, W, 3)`, mask bool `(size, size)`), one at a time.

        seen: a list that gets a line for each file: what `content_digest` sums up.
        Raises UserError for a file that cannot be read or is not as the manifest says.
        """
        if self.folder is None:
            for index in range(len(self)):
                photo, crack_mask = synthetic_road(256, [TEST_SEED, index])
                both = hashlib.sha256(photo.tobytes() + crack_mask.tobytes()).hexdigest()
                seen.append(f"{index} {both}\n".encode())
                yield f"synthetic_{TEST_SEED}_{index:05d}", photo, resize_mask(crack_mask, size)
            return
        for pair in self.pairs:
            for path in (pair.image, pair.mask):
                self._check(path, seen)
            photo, crack_mask = read_pair(pair)
            yield pair.name, photo, resize_mask(crack_mask, size)

    def _check(self, path: Path, seen: list[bytes]) -> None:
        inside = path.relative_to(self.folder).as_posix()
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        seen.append(f"{inside} {found}\n".encode())
        if self.expected and self.expected.get(inside) != found:
            raise UserError(
                f"{path}: is not the file that the set's manifest names, so the score would be of another set; "
                f"see what differs with `upcrack data verify {self.name}`"
            )


def content_digest(seen: list[bytes]) -> str:
    """SHA-256 over what `TestSet.photos` has read, file by file."""
    return hashlib.sha256(b"".join(seen)).hexdigest()


def test_set(name: str, data_root: str | Path) -> TestSet:
    """Find a test set in `data_root` and compare its list of files with its manifest.

    The manifest is the set's own `manifest.csv`, else the one that comes with the kit.

    Raises:
        UserError: the set is not there (the message names the command that fetches it), has no masks, or lacks
            files of its manifest, or has others.
    """
    if name == "synthetic":
        how = f"synthetic roads, version {SYNTHETIC_VERSION}, seed {TEST_SEED}, {SYNTHETIC_PHOTOS} of 256 px"
        return TestSet(name, hashlib.sha256(how.encode()).hexdigest(), "synthetic", None, (), {})
    folder = Path(data_root) / name
    if not folder.is_dir():
        raise UserError(
            f"{name} is not in {data_root}: get it with `upcrack data fetch {name} --root {data_root}`"
        )
    found = tuple(pairs(folder, "auto", "test"))
    if any(pair.mask is None for pair in found):
        raise UserError(f"{folder}: its test photos have no masks; nothing can be scored")
    own, packaged = folder / MANIFEST, manifests.packaged(name)
    if own.is_file():
        entries, known = manifests.read(own), "fetched"
    elif packaged:
        entries, known = manifests.read(packaged), "packaged"
    else:
        return TestSet(name, _listing(folder, found), None, folder, found, {})
    digest = manifests.digest(entries)
    if packaged and digest == manifests.digest(manifests.read(packaged)):
        known = "packaged"
    expected = {entry.path: entry.sha256 for entry in entries}
    here = {path.relative_to(folder).as_posix() for pair in found for path in (pair.image, pair.mask)}
    used = {Path(path).parent for path in here}
    wanted = {path for path in expected if Path(path).parent in used}
    differing = [f"{path}: is not there" for path in sorted(wanted - here)]
    differing += [f"{path}: is not in the manifest" for path in sorted(here - wanted)]
    raise_for(
        differing,
        f"{folder}: is not the set that its manifest lists; fetch it anew with `upcrack data fetch {name}`",
    )
    return TestSet(name, digest, known, folder, found, expected)


test_set.__test__ = False  # the name begins with "test"


def _listing(folder: Path, found: tuple[Pair, ...]) -> str:
    """A digest of names, sizes and contents for a set that has no manifest."""
    total = hashlib.sha256()
    for path in (path for pair in found for path in (pair.image, pair.mask)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()
