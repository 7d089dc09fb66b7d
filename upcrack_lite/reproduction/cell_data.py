"""Photos with crack masks, whose files are checked one by one: a test set, or photos to learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.layouts import Pair, pairs, read_pair
from upcrack_lite.data.reading import resize_mask
from upcrack_lite.data.survey import MANIFEST
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError, raise_for

SYNTHETIC_VERSION = 1
"""Raised when the program that draws roads changes, so that other roads never pass for the same."""

SYNTHETIC_PHOTOS = 100  # roads with cracks
TRAIN_SEED, TEST_SEED = 0, 1  # of the roads; the same whatever the seed of the training


@dataclass(frozen=True)
class TestSet:
    """A set of photos with masks that is read photo by photo.

    Attributes:
        name: a name in `cells.TEST_SETS` or `cells.TRAIN_SETS`.
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
    seed: int = TEST_SEED  # of synthetic roads

    def __len__(self) -> int:
        return len(self.pairs) if self.folder else SYNTHETIC_PHOTOS

    def photos(self, size: int, seen: list[bytes]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Give (name, photo uint8 `(H, W, 3)`, mask bool `(size, size)`), one at a time.

        seen: a list that gets a line for each file: what `content_digest` sums up.
        Raises UserError for a file that cannot be read or is not as the manifest says.
        """
        if self.folder is None:
            for index in range(len(self)):
                photo, crack_mask = synthetic_road(256, [self.seed, index])
                both = hashlib.sha256(photo.tobytes() + crack_mask.tobytes()).hexdigest()
                seen.append(f"{index} {both}\n".encode())
                yield f"synthetic_{self.seed}_{index:05d}", photo, resize_mask(crack_mask, size)
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
                f"{path}: is not the file that the set's manifest names, so this would be another set; "
                f"see what differs with `upcrack data verify {self.name}`"
            )


def content_digest(seen: list[bytes]) -> str:
    """SHA-256 over what `TestSet.photos` has read, file by file."""
    return hashlib.sha256(b"".join(seen)).hexdigest()


def test_set(name: str, data_root: str | Path) -> TestSet:
    """Find a test set in `data_root` and compare its list of files with its manifest; see `photo_set`."""
    return photo_set(name, data_root, "test")


test_set.__test__ = False  # the name begins with "test"


def photo_set(name: str, data_root: str | Path, split: str) -> TestSet:
    """Find the photos with masks of a set's split, "train" or "test", and compare their list with the set's manifest.

    The manifest is the set's own `manifest.csv`, else the one that comes with the kit.

    Raises:
        UserError: the set is not there (the message names the command that fetches it), has no masks, or lacks
            files of its manifest, or has others.
    """
    if name == "synthetic":
        seed = TRAIN_SEED if split == "train" else TEST_SEED
        how = f"synthetic roads, version {SYNTHETIC_VERSION}, seed {seed}, {SYNTHETIC_PHOTOS} of 256 px"
        return TestSet(name, hashlib.sha256(how.encode()).hexdigest(), "synthetic", None, (), {}, seed)
    folder = Path(data_root) / name
    if not folder.is_dir():
        raise UserError(
            f"{name} is not in {data_root}: get it with `upcrack data fetch {name} --root {data_root}`"
        )
    found = tuple(pairs(folder, "auto", split))
    if any(pair.mask is None for pair in found):
        what = "scored" if split == "test" else "learned from them"
        raise UserError(f"{folder}: its {split} photos have no masks; nothing can be {what}")
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


def _listing(folder: Path, found: tuple[Pair, ...]) -> str:
    """A digest of names, sizes and contents for a set that has no manifest."""
    total = hashlib.sha256()
    for path in (path for pair in found for path in (pair.image, pair.mask)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()
