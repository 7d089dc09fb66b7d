"""What an experiment learns from and is tested on: photos with crack masks, checked file by file, or undamaged crops.

PyTorch is not imported: a plan looks sets up, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import learns_from_masks
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.crops import is_crop_folder, read_crops, read_description
from upcrack_lite.data.datasets import TrainingData
from upcrack_lite.data.layouts import Pair, pairs, read_pair
from upcrack_lite.data.manifest import MANIFEST
from upcrack_lite.data.reading import resize, resize_mask
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.reproduction.experiments import Experiment

SYNTHETIC_VERSION = 1
"""Raised when the program that draws roads changes, so that other test roads never pass for the same.

What learned from undamaged synthetic roads is not told by it: raise `versions.TRAINING` of these methods too.
"""

SYNTHETIC_PHOTOS, SYNTHETIC_CROPS = 100, 300  # roads with cracks, and undamaged ones to train on
TRAIN_SEED, TEST_SEED = 0, 1  # of the roads; the same whatever the seed of the training
RULE = "area"  # of resizing photos


@dataclass(frozen=True)
class PhotoSet:
    """A set of photos with masks that is read, or drawn, photo by photo."""

    name: str
    digest: str  # SHA-256 that says which files it holds: of its manifest, or of how roads are drawn
    known: str | None  # whose manifest: "packaged", "fetched" with the set, "synthetic"; None: there is none
    folder: Path | None  # None for synthetic roads
    pairs: tuple[Pair, ...]  # photos and masks on disk
    expected: dict[str, str]  # path in the set to SHA-256; empty where no manifest is known
    seed: int = TEST_SEED  # of synthetic roads

    def __len__(self) -> int:
        return len(self.pairs) if self.folder else SYNTHETIC_PHOTOS

    def photos(self, size: int, seen: list[bytes]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Give (name, photo uint8 `(H, W, 3)`, mask bool `(size, size)`), one at a time; size 0 keeps the mask's own.

        seen: a list that gets a line for each file: what `content_digest` sums up.
        Raises UserError for a file that cannot be read or is not as the manifest says.
        """
        if self.folder is None:
            for index in range(len(self)):
                photo, crack_mask = synthetic_road(256, [self.seed, index])
                both = hashlib.sha256(photo.tobytes() + crack_mask.tobytes()).hexdigest()
                seen.append(f"{index} {both}\n".encode())
                name = f"synthetic_{self.seed}_{index:05d}"
                yield name, photo, resize_mask(crack_mask, size) if size else crack_mask
            return
        for pair in self.pairs:
            for path in (pair.image, pair.mask):
                inside, line = path.relative_to(self.folder).as_posix(), _line(path, self.folder)
                seen.append(line)
                if self.expected and f"{inside} {self.expected.get(inside)}\n".encode() != line:
                    raise UserError(
                        f"{path}: is not the file that the set's manifest names, so this would be another set; "
                        f"see what differs with `upcrack data verify {self.name}`"
                    )
            photo, crack_mask = read_pair(pair)
            yield pair.name, photo, resize_mask(crack_mask, size) if size else crack_mask


def content_digest(seen: list[bytes]) -> str:
    """SHA-256 over what `PhotoSet.photos` has read, file by file."""
    return hashlib.sha256(b"".join(seen)).hexdigest()


def photo_set(name: str, data_root: str | Path, split: str = "test") -> PhotoSet:
    """Find the photos with masks of a set's split, "train" or "test", and compare their list with the set's manifest.

    The manifest is the set's own `manifest.csv`, else the one that comes with the kit.

    Raises UserError: the set is not there (the message names the command that fetches it), has no masks, or lacks
    files of its manifest, or has others.
    """
    if name == "synthetic":
        seed = TRAIN_SEED if split == "train" else TEST_SEED
        how = f"synthetic roads, version {SYNTHETIC_VERSION}, seed {seed}, {SYNTHETIC_PHOTOS} of 256 px"
        return PhotoSet(name, hashlib.sha256(how.encode()).hexdigest(), "synthetic", None, (), {}, seed)
    folder = Path(data_root) / name
    if not folder.is_dir():
        raise UserError(
            f"{name} is not in {data_root}: get it with `upcrack data fetch {name} --root {data_root}`"
        )
    photos = tuple(pairs(folder, "auto", split))
    if any(pair.mask is None for pair in photos):
        raise UserError(f"{folder}: its {split} photos have no masks; an experiment needs them")
    files = [path for pair in photos for path in (pair.image, pair.mask)]
    own, packaged = folder / MANIFEST, manifests.packaged(name)
    if not own.is_file() and not packaged:
        digest = content_digest([_line(path, folder) for path in files])
        return PhotoSet(name, digest, None, folder, photos, {})
    entries, known = manifests.read(own if own.is_file() else packaged), "fetched"
    digest = manifests.digest(entries)
    if packaged and digest == manifests.digest(manifests.read(packaged)):
        known = "packaged"
    expected = {entry.path: entry.sha256 for entry in entries}
    here = {path.relative_to(folder).as_posix() for path in files}
    used = {Path(path).parent for path in here}
    wanted = {path for path in expected if Path(path).parent in used}
    # CFD has photos without labels in the same folder: they are there, and not tested on.
    missing = [path for path in sorted(wanted - here) if not (folder / path).is_file()]
    differing = [f"{path}: is not there" for path in missing]
    differing += [f"{path}: is not in the manifest" for path in sorted(here - wanted)]
    raise_for(
        differing,
        f"{folder}: is not the set that its manifest lists; fetch it anew with `upcrack data fetch {name}`",
    )
    return PhotoSet(name, digest, known, folder, photos, expected)


def _line(path: Path, folder: Path) -> bytes:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.relative_to(folder).as_posix()} {content}\n".encode()


def training_data(experiment: Experiment, data_root: str | Path) -> TrainingData:
    """Read, or draw, what an experiment's method learns from, at its preset's size.

    Raises UserError that names the command to fetch photos or to cut crops where they are not there, or for files
    that are damaged or not as the manifest says.
    """
    name, size = experiment.train_set, experiment.preset().size
    if learns_from_masks(experiment.method):
        return _training_photos(photo_set(name, data_root, "train"), size)
    if name == "synthetic":
        roads = synthetic_set(SYNTHETIC_CROPS, size, TRAIN_SEED, crack_free=1.0)
        return TrainingData(roads.images, roads.names, {"name": name, "seed": TRAIN_SEED})
    folder, described = _crop_folder(name, data_root)
    crops = read_crops(folder, size)
    return TrainingData(crops.images, crops.groups, {"name": folder.name, "crops": described})


def training_digest(experiment: Experiment, data_root: str | Path) -> str | None:
    """What tells the training data from others, without reading them; None for undamaged roads that are drawn.

    It is the digest of the photos' manifest, or of the crops' pixels. Raises UserError where they are not there.
    """
    if learns_from_masks(experiment.method):
        return photo_set(experiment.train_set, data_root, "train").digest
    if experiment.train_set == "synthetic":
        return None
    return _crop_folder(experiment.train_set, data_root)[1]["pixels_sha256"]


def source_manifest(facts: dict[str, Any]) -> str | None:
    """The digest of the manifest of the set that the training data come from; None where they name none.

    facts: of `TrainingData`, or as a run's manifest keeps them.
    """
    crops = facts.get("crops")
    said = crops["facts"] if isinstance(crops, dict) else facts
    return said.get("manifest_sha256") or said.get("fetched_manifest_sha256")


def _training_photos(photos: PhotoSet, size: int) -> TrainingData:
    """Photos and crack masks, stretched to `size`."""
    images = np.empty((len(photos), size, size, 3), np.uint8)
    crack_masks = np.empty((len(photos), size, size), bool)
    groups, seen = [], []
    for index, (name, photo, crack_mask) in enumerate(photos.photos(size, seen)):
        images[index], crack_masks[index] = resize(photo, None, size, RULE)[0], crack_mask
        groups.append(name)
    # A list of the files that happen to be here is no manifest.
    manifest = photos.digest if photos.known else None
    facts = {"name": photos.name, "split": "train", "manifest_sha256": manifest}
    return TrainingData(images, groups, facts | {"content_sha256": content_digest(seen)}, crack_masks)


def _crop_folder(train_set: str, data_root: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a set's undamaged crops and what it says of itself."""
    folder = Path(data_root) / f"{train_set}_undamaged"
    if not is_crop_folder(folder):
        raise UserError(
            f"{folder}: the undamaged crops to train on are not there; cut them with "
            f"`upcrack data build {train_set} --root {data_root}`"
        )
    described = read_description(folder)
    if (cut_from := described["facts"].get("set")) != train_set:
        raise UserError(
            f"{folder}: its crops were cut from {cut_from}, not from {train_set}; delete it and cut them again"
        )
    return folder, described
