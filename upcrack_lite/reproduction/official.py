"""Whether a record was trained and tested on the paper's own photos, as far as the record can tell.

Of a set whose manifest comes with the kit, each test photo is known by its name and crack share. So an archive whose
bytes differ from that manifest, as DeepCrack's own does in 47 pairs that the kit has from a copy, is accepted, and
other photos of the same number are not.
"""

from __future__ import annotations

from functools import cache
from pathlib import PurePosixPath

from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.sources import source
from upcrack_lite.reproduction.records import Record

OFFICIAL = {"deepcrack": 237, "crack500": 1124}
"""Test sets of the paper that can be had, with their number of photos."""

TABLE_SIZE = 256
"""Side that the tables' photos are stretched to, px; as `photos.TABLE_SIZE`, which would import PyTorch."""

_SAME_SHARE = 0.1
"""Percent of crack by which a photo at 256 × 256 may differ from the manifest. In DeepCrack none differs by 0.06."""


def other_test_photos(record: Record) -> list[str]:
    """What keeps a record on an official test set from being one on its photos, one sentence each; empty: nothing."""
    name, size, images = record.key.test_set, record.protocol.size, record.test.images
    if images != OFFICIAL[name]:
        return [f"its test set has {images} images, the official one {OFFICIAL[name]}"]
    if size != TABLE_SIZE:
        return [f"it was tested at {size} × {size} px, not at {TABLE_SIZE} × {TABLE_SIZE}"]
    shares = _shares(name)
    if shares is None:
        low, high = source(name).shares["test"]
        if not low <= record.test.crack_share <= high:
            return [
                f"its test set has a crack share of {record.test.crack_share:.3f} %, the official one {low} to "
                f"{high} %"
            ]
        return []
    if record.test.known == "packaged" and record.test.digest != _digest(name):
        return [f"its test set has the kit's manifest of {name} by name, but not by its digest"]
    found = {image.name: 100 * (image.tp + image.fn) / size**2 for image in record.images}
    other = [one for one in shares if abs(found.get(one, -1) - shares[one]) > _SAME_SHARE]
    if other:
        return [
            f"its test photos are not those of {name}: each must have the name and the crack share that the kit's "
            f"manifest says, and {len(other)} have not ({other[0]})"
        ]
    return []


def other_training_photos(record: Record) -> list[str]:
    """What keeps a record from being trained on the photos of its training set, one sentence; empty: nothing.

    The manifest of the training photos must be the kit's, where it has one, or the one of the test photos, if they
    are of the same set.
    """
    name, found = record.key.train_set, record.train.set_manifest_sha256
    wanted = _digest(name)
    if wanted is None or found is None or found == wanted:
        return []  # a set without a manifest is refused elsewhere
    if record.key.test_set == name and found == record.test.digest:
        return []
    return [
        f"its training set is not {name}: its manifest must be the kit's, or the one of the photos that it was "
        "tested on"
    ]


@cache
def _entries(name: str) -> list[manifests.Entry] | None:
    path = manifests.packaged(name)
    return manifests.read(path) if path else None


def _digest(name: str) -> str | None:
    entries = _entries(name)
    return manifests.digest(entries) if entries else None


def _shares(name: str) -> dict[str, float] | None:
    """The crack share of each test photo in percent by the kit's manifest; None where the kit has none."""
    entries = _entries(name)
    if entries is None:
        return None
    paths = {PurePosixPath(entry.path): entry.crack_share for entry in entries}
    return {
        path.stem: share
        for path, share in paths.items()
        if share is not None and path.parts[0].startswith("test")
    }
