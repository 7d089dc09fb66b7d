"""What a cell is trained on: undamaged crops, or photos with crack masks, as its method learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import learns_from_masks
from upcrack_lite.data.crop_folder import is_crop_folder, read_crops, read_description
from upcrack_lite.data.reading import resize
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction.cell_data import TRAIN_SEED, content_digest, photo_set
from upcrack_lite.reproduction.cells import Cell

SYNTHETIC_CROPS = 300  # undamaged roads to train on
RULE = "area"  # of resizing photos, as in the test


@dataclass(frozen=True, eq=False)
class TrainingData:
    """images: uint8 `(N, S, S, 3)`; groups: the photo of each; facts: plain values for the run's manifest.

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


def training_data(cell: Cell, data_root: str | Path) -> TrainingData:
    """Read what a cell's method learns from, at its preset's size. Raises UserError as the two functions below."""
    read = training_photos if learns_from_masks(cell.method) else training_crops
    return read(cell, data_root)


def training_crops(cell: Cell, data_root: str | Path) -> TrainingData:
    """Read the undamaged crops of a cell's training set at its preset's size, or draw them.

    Raises UserError that names the command to cut them where they are not there, or for damaged files.
    """
    size = cell.preset().size
    if cell.train_set == "synthetic":
        roads = synthetic_set(SYNTHETIC_CROPS, size, TRAIN_SEED, crack_free=1.0)
        return TrainingData(roads.images, roads.names, {"name": "synthetic", "seed": TRAIN_SEED})
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
    return TrainingData(cut.images, cut.groups, {"name": folder.name, "crops": described})


def training_photos(cell: Cell, data_root: str | Path) -> TrainingData:
    """Read the photos and crack masks of a cell's training set, stretched to its preset's size, or draw them.

    Raises UserError where the set is not there, has no masks to train on, or is not as its manifest says.
    """
    found, size = photo_set(cell.train_set, data_root, "train"), cell.preset().size
    images = np.empty((len(found), size, size, 3), np.uint8)
    crack_masks = np.empty((len(found), size, size), bool)
    groups, seen = [], []
    for index, (name, photo, crack_mask) in enumerate(found.photos(size, seen)):
        images[index], crack_masks[index] = resize(photo, None, size, RULE)[0], crack_mask
        groups.append(name)
    listed = (
        found.digest if found.known else None
    )  # a list of the files that happen to be here vouches for none
    facts = {"name": cell.train_set, "split": "train", "manifest_sha256": listed}
    return TrainingData(images, groups, facts | {"content_sha256": content_digest(seen)}, crack_masks)


def source_manifest(facts: dict[str, Any]) -> str | None:
    """The digest of the manifest of the set that the training data come from; None where they name none.

    facts: of `TrainingData`, or as a run's manifest keeps them.
    """
    crops = facts.get("crops")
    said = crops["facts"] if isinstance(crops, dict) else facts
    return said.get("manifest_sha256") or said.get("fetched_manifest_sha256")


def missing_data(cell: Cell, data_root: str | Path) -> str:
    """What to do where a cell's training data is not there; empty where it is."""
    if not learns_from_masks(cell.method):
        return missing_crops(cell.train_set, data_root)
    try:
        photo_set(cell.train_set, data_root, "train")
    except UserError as error:
        return str(error)
    return ""


def missing_crops(train_set: str, data_root: str | Path) -> str:
    """What to do where the undamaged crops of a training set are not there; empty where they are."""
    folder = Path(data_root) / f"{train_set}_undamaged"
    if train_set == "synthetic" or is_crop_folder(folder):
        return ""
    return (
        f"{folder}: the undamaged crops to train on are not there; cut them with "
        f"`upcrack data build {train_set} --root {data_root}`"
    )
