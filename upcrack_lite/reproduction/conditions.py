"""How records were made, in sentences, and what keeps them from being compared with a printed row."""

from __future__ import annotations

import math
import statistics
from typing import Any

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES
from upcrack_lite.metrics import Confusion
from upcrack_lite.recipes import preset
from upcrack_lite.reproduction import cells
from upcrack_lite.reproduction.official import OFFICIAL as OFFICIAL
from upcrack_lite.reproduction.official import other_test_photos, other_training_photos
from upcrack_lite.reproduction.published import Row
from upcrack_lite.reproduction.records import Record, uncommittable
from upcrack_lite.versions import testing_version, training_version

SEEDS = 3  # at least so many trainings before a row is compared

UNKNOWN_PATCHES = "which 200 patches of CFD the paper tested on is not published, so the kit tests on others"

SETS = {
    "deepcrack": "DeepCrack",
    "crack500": "Crack500",
    "crack500_kept": "a stand-in for Crack500 (four fifths of its training photos that we have)",
    "crack500_heldout": "a stand-in for Crack500 (one fifth of its training photos that we have)",
    "cfd_patches": "CFD, as patches that the kit draws",
    "synthetic": "synthetic roads",
}
"""The sets in words."""

LABELED = "photos with crack masks"

_NOTHING = "nothing is marked: in no photo does the map rise above the threshold"

NOT_SHARED = ("scadn", "riad")
"""Methods whose program, as it was run for the paper, its authors did not share."""


def conditions(record: Record) -> dict[str, Any]:
    """How a record was made, beside its cell: two records are alike if these are equal.

    crops, photos: digests of what it was trained and tested on. versions: of the numbers that trained and tested
    it (`upcrack_lite.versions`). precision, devices: of the training, the devices of all its starts, and the
    device of the test.
    """
    training, evaluation = record.environment.training, record.environment.evaluation
    starts = record.environment.trained
    used = tuple(dict.fromkeys(one.get("used_device") for one in starts))
    return {
        "crops": record.train.crops_sha256,
        "photos": (record.test.digest, record.test.content_sha256),
        "versions": (record.versions.training, record.versions.testing),
        "precision": record.train.precision,
        "devices": (
            used,
            training.get("processes", 1),
            evaluation.get("used_device"),
        ),
    }


def told(row: Row, some: list[Record]) -> list[str]:
    """How the records of a group were made, one sentence each."""
    first = some[0]
    shares = ", ".join(dict.fromkeys(f"{record.test.crack_share:.3f} %" for record in some))
    printed = implied_share(row)
    against = f"; the printed row implies {printed:.3f} %" if printed is not None else ""
    crops = ", ".join(dict.fromkeys(f"{record.train.crops}" for record in some))
    lengths = ", ".join(dict.fromkeys(f"{record.train.epochs}" for record in some))
    style = ", ".join(dict.fromkeys(r.train.style_weights for r in some if r.train.style_weights))
    return [
        *_training(first, crops, lengths),
        f"tested on {first.test.images} images of {SETS[first.key.test_set]}",
        f"crack share of the test set {shares}{against}",
        *([f"style features: {style}"] if style else []),
        *(["trained without the style loss, which the printed row has"] if _lacks_style(row, first) else []),
        *([_NOTHING] if not any(one.tp + one.fp for record in some for one in record.confusions) else []),
        *_earlier_versions(some),
    ]


def _earlier_versions(some: list[Record]) -> list[str]:
    """Whether a group was made by earlier versions of the numbers, one sentence."""
    method = some[0].key.method
    now = (training_version(method), testing_version(method))
    old = {conditions(record)["versions"] for record in some} - {now}
    said = ", ".join(f"{trained} and {tested}" for trained, tested in sorted(old))
    return [f"of versions {said} of training and test; they are at {now[0]} and {now[1]} now"] if old else []


def _training(first: Record, crops: str, lengths: str) -> list[str]:
    """How the first record of a group was trained, or, without training, chosen."""
    learned_from = LABELED if first.train.crack_masks_sha256 else "undamaged crops"
    source = f"{crops} {learned_from} of {SETS[first.key.train_set]}"
    if chosen := first.train.chosen:
        middle = family_median(first)
        return [
            f"no training: of {chosen.variants} variants, the best on {source} was chosen and frozen: {chosen.name}, "
            f"with F1 {chosen.training_f1:.2f} % there",
            f"all {chosen.variants} variants on the test set: median F1 {middle['f1']:.2f} %, median IoU "
            f"{middle['iou']:.2f} %",
        ]
    size, width = first.preset["size"], first.preset["width"]
    found = [
        f"{first.key.scale} scale: {size} px, {_width(first, width)}",
        f"trained on {source}, {lengths} epochs",
    ]
    if first.key.method != CRACKNET:
        encoder = first.train.encoder
        found.append(
            f"encoder weights: {encoder['source'] if encoder else 'none, the network starts from nothing'}"
        )
        found.append(f"its map is cut {_cut(first)}; the paper does not say how it cuts")
    return found


def _width(record: Record, width: float) -> str:
    """Channels for UP-CrackNet, a share of its own for a compared network."""
    if record.key.method == CRACKNET:
        return f"{width:g} channels in the first level"
    return "full width" if width == 1 else f"{width:g} of its full width"


def _lacks_style(row: Row, record: Record) -> bool:
    """True where the printed row has the style loss and the record has not, as at the lite scale."""
    if record.key.method != CRACKNET or record.preset["lambda_style"]:
        return False
    return cells.row_overrides(row.table, row.key)[1].get("lambda_style") != 0


def _cut(record: Record) -> str:
    """How a compared method makes a mask of its map, in words."""
    rule, value = record.preset["threshold_rule"], record.preset["threshold_value"]
    return f"at {value:g}" if rule == "fixed" else f"by the rule {rule}"


def family_median(record: Record) -> dict[str, float]:
    """The median of F1 and IoU over all variants of a record, percent; empty for a record that has none.

    An undefined value counts as 0.
    """
    counts = [Confusion(one.tp, one.fp, one.fn, one.tn) for one in record.family or ()]

    def middle(metric: str) -> float:
        values = [getattr(one, metric) for one in counts]
        return statistics.median(0.0 if math.isnan(value) else value for value in values)

    return {metric: middle(metric) for metric in ("f1", "iou")} if counts else {}


def unmet(row: Row, some: list[Record]) -> list[str]:
    """What keeps a group from being compared with a printed row, one sentence each; empty: nothing."""
    first, (train, test) = some[0], cells.PAIRS[row.table]
    if row.key in FAMILIES:
        return ["the paper has no such row"]
    found = ["the paper's own program of it is not shared"] if row.key in NOT_SHARED else []
    if first.key.scale != "full":
        found.append(f"its scale is {first.key.scale}, not full")
    if _lacks_style(row, first):
        found.append("its training has no style loss")
    for record in some:
        found += [one for one in _photos(record, train, test) if one not in found]
    style = first.preset.get("style_network")
    if first.preset.get("lambda_style") and style != (named := preset(first.key.recipe).style_network):
        found.append(f"its style features come from {style}, not from {named}")
    if any(record.train.style_weights == "random" for record in some):
        found.append("its style features are random")
    if len(some) < SEEDS:
        found.append(f"it has {count(len(some), 'seed')}, and {SEEDS} are needed")
    for what, facts in (
        ("test sets", {(r.test.digest, r.test.content_sha256) for r in some}),
        ("training crops", {r.train.crops_sha256 for r in some}),
        ("versions of the numbers", {conditions(r)["versions"] for r in some}),
        ("precision", {conditions(r)["precision"] for r in some}),
        ("devices", {conditions(r)["devices"] for r in some}),
    ):
        if len(facts) > 1:
            found.append(f"its seeds have different {what}")
    for record in some:
        reasons = uncommittable(record)
        if reasons:
            found.append(f"seed {record.key.seed}: {'; '.join(reasons)}")
        if stale := record.stale():
            found.append(f"seed {record.key.seed} is not of the present kit ({stale})")
    return found


def _photos(record: Record, train: str, test: str) -> list[str]:
    """What keeps a record from being made with the photos of a pair of sets."""
    if record.key.train_set != train:
        trained = [f"it was trained on {SETS[record.key.train_set]}, not on {SETS[train]}"]
    else:
        trained = other_training_photos(record)
    return trained + _test_set(record, test)


def _test_set(record: Record, wanted: str) -> list[str]:
    name = record.key.test_set
    if name != wanted:
        return [f"it was tested on {SETS[name]}, not on {SETS[wanted]}"]
    return other_test_photos(record) if name in OFFICIAL else [UNKNOWN_PATCHES]


def implied_share(row: Row) -> float | None:
    """Crack share in percent that a printed row implies once its columns are put right; None where it cannot."""
    if not row.precision or not row.recall:
        return None
    precision, recall = row.recall / 100, row.precision / 100  # the printed columns are exchanged
    wrong = recall / precision + 1 - 2 * recall
    return (100 - row.accuracy) / wrong if wrong > 0 else None


def count(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
