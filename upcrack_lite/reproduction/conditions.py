"""How records were made, in sentences, and what keeps them from being compared with a printed row.

Of a set whose manifest comes with the kit, each test photo is known by its name and crack fraction. So an archive
whose bytes differ from that manifest, as DeepCrack's own does in 47 pairs that the kit has from a copy, is accepted,
and other photos of the same number are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import BESIDE, COMPARED, CRACKNET, DRAWN, PATCHCORE, preset_of
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.sources import source
from upcrack_lite.metrics import auroc
from upcrack_lite.recipes import RELEASED, TABLE_SIZE
from upcrack_lite.reproduction.experiments import PAIRS, row_overrides
from upcrack_lite.reproduction.published import Row, implied_prevalence
from upcrack_lite.reproduction.records import Record
from upcrack_lite.reproduction.verdicts import SEEDS
from upcrack_lite.versions import testing_version, training_version

OFFICIAL = {"deepcrack": 237, "crack500": 1124}
"""Test sets of the paper that can be had, with their number of photos."""

UNKNOWN_PATCHES = "which 200 patches of CFD the paper tested on is not published, so the kit tests on others"

SETS = {
    "deepcrack": "DeepCrack",
    "crack500": "Crack500",
    "crack500_kept": "a proxy set for Crack500 (four fifths of its training photos that we have)",
    "crack500_heldout": "a proxy set for Crack500 (one fifth of its training photos that we have)",
    "cfd_patches": "patches sampled from CFD",
    "cfd": "CFD, whole photos",
    "synthetic": "synthetic roads",
}
"""The sets in words."""

LABELED = "photos with crack masks"

OWN_CROPS = "the undamaged crops are cut by the kit's rule, because the paper's is not published"

NOT_SHARED = ("scadn", "riad")
"""Methods whose program, as it was run for the paper, its authors did not share."""

SAME_FRACTION = 0.1
"""Percent of crack by which a photo at 256 × 256 may differ from the manifest. In DeepCrack none differs by 0.06."""


def conditions(record: Record) -> dict[str, Any]:
    """How a record was made, beside its experiment: two records are alike if these are equal.

    crops, photos: digests of what it was trained and tested on. style: the style loss's weights. versions: of the
    numbers that trained and tested it. precision: of the training. devices: those of all its starts, how many at
    once, and the one of the test.
    """
    where, test = record.environment, record.test
    used = tuple(dict.fromkeys(one.get("used_device") for one in where.trained))
    return {
        "crops": record.train.crops_sha256,
        "photos": (test.digest, test.content_sha256),
        "style": record.train.style_weights,
        "versions": (record.versions.training, record.versions.testing),
        "precision": record.train.precision,
        "devices": (used, where.training.get("processes", 1), where.evaluation.get("used_device")),
    }


def told(row: Row, some: list[Record]) -> list[str]:
    """How the records of a group were made, one sentence each."""
    first = some[0]
    fractions = _each(f"{record.test.crack_share:.3f} %" for record in some)
    printed = implied_prevalence(row)
    against = f"; the printed row implies {printed:.3f} %" if printed is not None else ""
    style = _each(record.train.style_weights for record in some if record.train.style_weights)
    said = [
        *_training(some),
        f"tested on {first.test.images} images of {SETS[first.key.test_set]}",
        f"prevalence of the test set {fractions}{against}",
    ]
    if style:
        said.append(f"style features: {style}")
    if not any(one.tp + one.fp for record in some for one in record.confusions):
        said.append("nothing is marked: in no photo does the map rise above the threshold")
    now = (training_version(first.key.method), testing_version(first.key.method))
    if old := {conditions(record)["versions"] for record in some} - {now}:
        before = _each(f"{trained} and {tested}" for trained, tested in sorted(old))
        said.append(f"of versions {before} of training and test; they are at {now[0]} and {now[1]} now")
    return said


def _training(some: list[Record]) -> list[str]:
    """How a group was trained, or, without training, chosen."""
    first = some[0]
    crops, epochs = (_each(getattr(one.train, name) for one in some) for name in ("crops", "epochs"))
    learned_from = LABELED if first.train.crack_masks_sha256 else "undamaged crops"
    origin = f"{crops} {learned_from} of {SETS[first.key.train_set]}"
    if chosen := first.train.chosen:
        middle = family_median(first)
        return [
            f"no training: of {chosen.variants} variants, the best on {origin} was chosen and frozen: {chosen.name}, "
            f"with F1 {chosen.training_f1:.2f} % there",
            f"all {chosen.variants} variants on the test set: median F1 {middle['f1']:.2f} %, median IoU "
            f"{middle['iou']:.2f} %",
        ]
    values = first.preset
    if first.key.method in (CRACKNET, DRAWN):
        width = f"{values['width']:g} channels in the first level"
    elif first.key.method == PATCHCORE:
        width = f"a memory of {values['memory']} vectors"
    else:
        width = "full width" if values["width"] == 1 else f"{values['width']:g} of its full width"
    length = "without steps" if epochs == "0" else f"{epochs} epochs"
    said = [f"{first.key.scale} scale: {values['size']} px, {width}", f"trained on {origin}, {length}"]
    if first.key.method not in (CRACKNET, DRAWN):
        encoder = first.train.encoder or {"source": "none, the network starts from nothing"}
        said.append(f"encoder weights: {encoder['source']}")
    if first.key.method in COMPARED:
        rule, value = values["threshold_rule"], values["threshold_value"]
        at = f"{value:g}" if rule == "fixed" else f"by the rule {rule}"
        said.append(f"its threshold is {at}; the paper does not name its own")
    return said


def family_median(record: Record) -> dict[str, float]:
    """The median of F1 and IoU over all variants of a record, percent; empty for a record that has none.

    An undefined value counts as 0.
    """
    if not record.family:
        return {}
    counts = [one.confusion for one in record.family]
    values = {metric: np.nan_to_num([getattr(one, metric) for one in counts]) for metric in ("f1", "iou")}
    return {metric: float(np.median(some)) for metric, some in values.items()}


def failed_runs(given: Iterable[Record]) -> frozenset[str]:
    """Digests of the checkpoints of runs that failed, as where a generator inverts the contrast of what it restores.

    Such a run is known by an error map that is lower on crack than on road (AUROC below 50 %) on any test set.
    """
    trained = [one for one in given if one.train.chosen is None and one.maps]
    return frozenset(r.train.checkpoint_sha256 for r in trained if auroc(r.maps["raw"].pooled) < 50)


_DIFFERENT = {"photos": "test sets", "crops": "training crops", "style": "weights of the style loss"}
_DIFFERENT |= {"versions": "versions of the numbers", "precision": "precision", "devices": "devices"}


def unmet(row: Row, some: list[Record]) -> list[str]:
    """What keeps a group from being compared with a printed row, one sentence each; empty: nothing.

    A failed run and seeds that are left out do so too; the group knows of them.
    """
    first = some[0]
    if row.key in BESIDE:
        return ["the paper has no such row"]
    said = ["the paper's own program of it is not shared"] if row.key in NOT_SHARED else []
    if first.key.scale != "full":
        said.append(f"its scale is {first.key.scale}, not full")
    if (epochs := first.preset.get("epochs")) != (usual := _usual_epochs(first)):
        said.append(f"its training ends after {epochs} epochs, not {usual}")
    # The row's loss, which the lite scale leaves out.
    wanted = row_overrides(row.table, row.key)[1].get("lambda_style") != 0
    if wanted and first.key.method == CRACKNET and not first.preset["lambda_style"]:
        said.append("its training has no style loss")
    said += dict.fromkeys(reason for record in some for reason in _other_sets(record, *PAIRS[row.table]))
    style, named = first.preset.get("style_network"), RELEASED["style_network"][0]
    # The paper names no network, so for its recipe any will do.
    if first.key.recipe == "released" and first.preset.get("lambda_style") and style != named:
        said.append(f"its style features come from {style}, not from {named}")
    if any(record.train.style_weights == "random" for record in some):
        said.append("its style features are random")
    if len(some) < SEEDS:
        said.append(f"it has {count(len(some), 'seed')}, and {SEEDS} are needed")
    alike = [conditions(record) for record in some]
    said += [
        f"its seeds have different {words}"
        for name, words in _DIFFERENT.items()
        if len({one[name] for one in alike}) > 1
    ]
    for record in some:
        if reasons := record.unfit():
            said.append(f"seed {record.key.seed}: {'; '.join(reasons)}")
        if stale := record.stale():
            said.append(f"seed {record.key.seed} is not of the present kit ({stale})")
    return said


def _usual_epochs(record: Record) -> int | None:
    """How many epochs its recipe and scale have; None for a method without epochs."""
    key = record.key
    return getattr(preset_of(key.method, key.recipe, key.scale), "epochs", None)


def _other_sets(record: Record, train: str, test: str) -> list[str]:
    """What keeps a record from being made with the photos of a pair of sets."""
    if record.key.train_set != train:
        said = [f"it was trained on {SETS[record.key.train_set]}, not on {SETS[train]}"]
    else:
        said = other_training_photos(record)
    if record.key.test_set != test:
        return [*said, f"it was tested on {SETS[record.key.test_set]}, not on {SETS[test]}"]
    return said + (other_test_photos(record) if test in OFFICIAL else [UNKNOWN_PATCHES])


def other_test_photos(record: Record) -> list[str]:
    """What keeps a record on an official test set from being one on its photos, one sentence each; empty: nothing."""
    name, size, images = record.key.test_set, record.protocol.size, record.test.images
    if images != OFFICIAL[name]:
        return [f"its test set has {images} images, the official one {OFFICIAL[name]}"]
    if size != TABLE_SIZE:
        return [f"it was tested at {size} × {size} px, not at {TABLE_SIZE} × {TABLE_SIZE}"]
    entries = _entries(name)
    if entries is None:
        low, high = source(name).shares["test"]
        if low <= record.test.crack_share <= high:
            return []
        return [
            f"its test set has a prevalence of {record.test.crack_share:.3f} %, the official one {low} to {high} %"
        ]
    if record.test.known == "packaged" and record.test.digest != manifests.digest(entries):
        return [f"its test set has the kit's manifest of {name} by name, but not by its digest"]
    wanted = test_shares(entries)
    has = {image.name: 100 * (image.tp + image.fn) / size**2 for image in record.images}
    other = [one for one in wanted if abs(has.get(one, -1) - wanted[one]) > SAME_FRACTION]
    if not other:
        return []
    return [
        f"its test photos are not those of {name}: each must have the name and the prevalence that the kit's "
        f"manifest says, and {len(other)} have not ({other[0]})"
    ]


def other_training_photos(record: Record) -> list[str]:
    """What keeps a record from being trained on the photos of its training set, one sentence; empty: nothing.

    The manifest of the training photos must be the kit's, where it has one, or the one of the test photos, if they
    are of the same set. A set without a manifest is refused elsewhere.
    """
    name, manifest = record.key.train_set, record.train.set_manifest_sha256
    entries = _entries(name)
    if entries is None or manifest is None or manifest == manifests.digest(entries):
        return []
    if record.key.test_set == name and manifest == record.test.digest:
        return []
    return [
        f"its training set is not {name}: its manifest must be the kit's, or the one of the photos that it was "
        "tested on"
    ]


def test_shares(entries: Iterable[manifests.Entry]) -> dict[str, float]:
    """Name of each test photo of a manifest to its crack fraction, percent."""
    masks = [(PurePosixPath(one.path), one.crack_share) for one in entries if one.crack_share is not None]
    return {path.stem: share for path, share in masks if path.parts[0].startswith("test")}


@cache
def _entries(name: str) -> list[manifests.Entry] | None:
    path = manifests.packaged(name)
    return manifests.read(path) if path else None


def _each(values: Iterable[Any]) -> str:
    """The different values in their order."""
    return ", ".join(dict.fromkeys(map(str, values)))


def count(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
