"""What a record holds, and which of its numbers must fit together.

Nothing has a default but what came later: it is None in records of UP-CrackNet, and in those that are older.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, JsonValue, PrivateAttr, ValidationError, model_validator

from upcrack_lite.baselines.registry import CRACKNET, FAMILIES, learns_from_masks, preset_from, preset_of
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.record_files import BINS, EDGES, MAPS, MapCounts
from upcrack_lite.reproduction.record_parts import (
    Arrays,
    Chosen,
    Environments,
    Image,
    Key,
    Part,
    Protocol,
    Sha256,
    Test,
    Time,
    Train,
    Variant,
    Versions,
)
from upcrack_lite.runs import COMMIT

# A path of a machine: it says nothing elsewhere, and may say who made the record.
_PATH = re.compile(r"(?:^|[\s='\"(,]|file:)(?:/|~|[A-Za-z]:[\\/])\S")


class Record(Part):
    """All that is known about one cell: what was done, with what, where, and what came out, photo by photo."""

    format: Literal[2]
    key: Key
    preset: dict[str, JsonValue]
    command: str
    protocol: Protocol
    train: Train
    test: Test
    environment: Environments
    versions: Versions
    code_sha256: Sha256  # of the kit that tested, for those who look for a difference; it is never compared
    images: Annotated[list[Image], Field(min_length=1)]
    arrays: Arrays
    started: Time
    finished: Time
    family: list[Variant] | None = (
        None  # all variants of a detector without training, the chosen one among them
    )

    _maps: dict[str, MapCounts] | None = PrivateAttr(None)

    @property
    def has_maps(self) -> bool:
        """True for a record that was loaded, or made with its maps."""
        return self._maps is not None

    @property
    def maps(self) -> dict[str, MapCounts]:
        """Histograms of each of `MAPS` over the photos, of a record that was loaded or made with them."""
        if not self.has_maps:
            raise UserError(f"{self.slug}: this record was made without its maps")
        return self._maps

    @cached_property
    def cell(self) -> Cell:
        """The cell that this record belongs to."""
        return Cell.from_key(self.key.model_dump())

    @cached_property
    def confusions(self) -> tuple[Confusion, ...]:
        """The counts of each photo."""
        return tuple(Confusion(image.tp, image.fp, image.fn, image.tn) for image in self.images)

    @property
    def slug(self) -> str:
        """The record's file name without its ending."""
        return self.cell.slug()

    def stale(self) -> str | None:
        """Say what has changed since the record was made, versions or values of its preset; None: nothing."""
        return self.cell.changed_since(self.preset, self.versions.model_dump())

    @model_validator(mode="after")
    def _fits_together(self) -> Record:
        for path, text in _texts(self.model_dump()):
            if _PATH.search(text):
                raise ValueError(f"{path}: holds a path of this machine ({text}); give a name instead")
        self._check_preset()
        self._check_kind()
        for index, image in enumerate(self.images):
            self._check_image(f"images.{index} ({image.name})", image)
        names = [image.name for image in self.images]
        if len(set(names)) != len(names):
            raise ValueError("images: two have the same name")
        if self.test.images != len(names):
            raise ValueError(f"test.images: says {self.test.images}, but there are {len(names)}")
        share = 100 * sum(i.tp + i.fn for i in self.images) / (len(names) * self.protocol.size**2)
        if abs(share - self.test.crack_share) > 1e-9:
            raise ValueError(f"test.crack_share: says {self.test.crack_share}, but the counts give {share}")
        if self.arrays.file != f"{self.slug}.npz":
            raise ValueError(f"arrays.file: must be {self.slug}.npz, as the key says, not {self.arrays.file}")
        self._check_environments()
        return self

    def _check_environments(self) -> None:
        found = self.environment
        named = {"training": found.training, "evaluation": found.evaluation}
        named |= {f"starts.{index}": one for index, one in enumerate(found.starts or ())}
        for name, environment in named.items():
            commit = environment.get("commit")
            if not isinstance(commit, dict) or not {"id", "dirty"} <= commit.keys():
                raise ValueError(f"environment.{name}.commit: must say id and dirty")
            number = commit["id"]
            if number is not None and not (isinstance(number, str) and re.fullmatch(COMMIT, number)):
                raise ValueError(
                    f"environment.{name}.commit.id: must be 7 to 40 digits (0-9, a-f), or null, not {number!r}"
                )
        if found.starts is not None:
            commits = [one["commit"] for one in found.starts]
            if len(commits) < 2 or found.training["commit"] not in commits:
                raise ValueError("environment.starts: must be two or more, the one of training among them")

    def _check_preset(self) -> None:
        method = self.key.method
        named = {"recipe": self.key.recipe} if method == CRACKNET else {"method": method}
        expected = named | {"scale": self.key.scale} | self.key.overrides
        differ = sorted(name for name in expected if self.preset.get(name) != expected[name])
        if differ:
            raise ValueError(f"preset.{differ[0]}: is not what the key says")
        if self.preset.get("threshold_rule") != self.protocol.threshold_rule:
            raise ValueError("protocol.threshold_rule: is not the preset's")
        try:
            now = preset_of(method, self.key.recipe, self.key.scale).to_dict()
            if self.preset.keys() <= now.keys():  # else of another version: see `stale`
                preset_from(method, self.preset)
        except UserError as error:
            raise ValueError(f"preset: {error}") from None

    def _check_kind(self) -> None:
        """What a method learns from, and the variants of a family, must be said where there are any."""
        method, train = self.key.method, self.train
        if (train.crack_masks_sha256 is not None) != learns_from_masks(method):
            raise ValueError(f"train.crack_masks_sha256: must say what {method} learned from, or be null")
        if (train.chosen is not None) != (method in FAMILIES) or (self.family is not None) != (
            method in FAMILIES
        ):
            raise ValueError(
                f"family: {method} must have its variants and the one chosen, or be without both"
            )
        if self.family is None:
            return
        chosen = [one for one in self.family if one.name == train.chosen.name]
        if len(self.family) != train.chosen.variants or len(chosen) != 1:
            raise ValueError("family: is not the variants that train.chosen counts, with the chosen one")
        for name in ("tp", "fp", "fn", "tn"):
            if getattr(chosen[0], name) != sum(getattr(image, name) for image in self.images):
                raise ValueError(f"family: {name} of the chosen variant is not the sum over the images")
        if train.chosen.training is not None:
            self._check_choice(train.chosen, [one.name for one in self.family])

    def _check_choice(self, chosen: Chosen, names: list[str]) -> None:
        """The chosen variant must be the one that `training_free.best_of` picks: the first with the best F1."""
        counts = [Confusion(one.tp, one.fp, one.fn, one.tn) for one in chosen.training]
        if [one.name for one in chosen.training] != names:
            raise ValueError("train.chosen.training: must have the variants of family, in their order")
        if len({(one.tp + one.fn, one.fp + one.tn) for one in counts}) > 1:
            raise ValueError("train.chosen.training: the variants differ in crack or background pixels")
        scores = [0.0 if math.isnan(one.f1) else one.f1 for one in counts]
        best = scores.index(max(scores))
        if chosen.name != names[best]:
            raise ValueError(
                f"train.chosen.name: {names[best]} is the best on the training photos, not {chosen.name}"
            )
        if abs(chosen.training_f1 - scores[best]) > 1e-9:
            raise ValueError(
                f"train.chosen.training_f1: says {chosen.training_f1}, but the counts give {scores[best]}"
            )

    def _check_image(self, where: str, image: Image) -> None:
        pixels = image.tp + image.fp + image.fn + image.tn
        if pixels != self.protocol.size**2:
            raise ValueError(f"{where}: tp + fp + fn + tn is {pixels}, not {self.protocol.size}²")
        near_mask, guessed, near_guess, crack = image.tolerance
        if (guessed, crack) != (image.tp + image.fp, image.tp + image.fn):
            raise ValueError(f"{where}: tolerance and the counts differ in predicted or crack pixels")
        if not (image.tp <= near_mask <= guessed and image.tp <= near_guess <= crack):
            raise ValueError(f"{where}: tolerance has fewer or more pixels near than there can be")
        if (image.cldice is None) != (guessed == 0 and crack == 0):
            raise ValueError(
                f"{where}: cldice must be null where nothing is crack or predicted, and only there"
            )


def make(values: dict[str, Any], maps: dict[str, MapCounts] | None = None) -> Record:
    """Make a record from plain values. Raises UserError that names each field that is wrong.

    maps: one of each of `MAPS`; they are compared with the counts of the photos. None: a record without them.
    """
    try:
        record = Record.model_validate_json(json.dumps(values, allow_nan=False))
        if maps is not None:
            check_maps(record, maps)
            record._maps = maps
        return record
    except ValidationError as error:
        raise UserError("this makes no record: " + problems(error)) from None
    except (TypeError, ValueError) as error:
        raise UserError(f"this makes no record: {error}") from None


def problems(error: ValidationError) -> str:
    """The fields that pydantic complains about, each with what is wrong, in one line."""
    lines = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"])
        said = one["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {said}" if where else said)
    return "; ".join(lines[:10]) + (f"; and {len(lines) - 10} more" if len(lines) > 10 else "")


def check_maps(record: Record, maps: Mapping[str, MapCounts]) -> None:
    """Check that histograms and counts tell the same story.

    Raises UserError: the histograms do not add up to the counts of a photo or of all; what is above a photo's
    threshold in its groups of bins cannot be the photo's counts; or its best F1 is none that the groups allow.
    """
    for name, one in maps.items():
        if not np.array_equal(one.groups.sum(axis=0), np.add.reduceat(one.pooled, EDGES[:-1], axis=-1)):
            raise UserError(f"{name}: the photos' histograms do not add up to the one of all photos")
    images = record.images
    counts = np.array([[one.tn, one.fn, one.fp, one.tp] for one in images]).reshape(-1, 2, 2)
    marked, wanted = counts[:, 1], counts.sum(axis=1)  # (N, 2): background and crack pixels
    # The smoothed map has 8 bits, so bin k holds the level k / 255 alone; in float32, as in the detection.
    levels = np.arange(BINS, dtype=np.float32) / np.float32(BINS - 1)
    first = np.searchsorted(levels, np.array([one.threshold for one in images], np.float32), "right")
    smoothed = maps["smoothed"]
    tests = []
    for name in MAPS:
        groups, best = maps[name].groups, maps[name].best
        tests.append(
            (f"{name} counts other background and crack pixels", (groups.sum(axis=-1) == wanted).all(axis=1))
        )
        tests.append((f"{name} cannot have its best F1 there", _allowed(groups, best[:, 0], best[:, :0:-1])))
    tests.append(
        ("cut at its threshold, smoothed gives other fp and tp", _allowed(smoothed.groups, first, marked))
    )
    (fp, tp), (_, best_tp, best_fp), crack = marked.T, smoothed.best.T, wanted[:, 1]
    better = tp * (best_tp + best_fp + crack) > best_tp * (tp + fp + crack)
    tests.append(("its F1 is above the best F1 of smoothed", ~better))
    for said, good in tests:
        if not good.all():
            index = int(np.argmin(good))
            raise UserError(f"images.{index} ({images[index].name}): {said} than the record says")


def _allowed(groups: np.ndarray, first: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Can photos have `found` pixels in the bins from `first` on? Groups limit it to both sides.

    groups: `(N, 2, 32)`. first: `(N,)`. found: `(N, 2)`, background and crack. Returns bool `(N,)`.
    """
    above = np.zeros((*groups.shape[:2], len(EDGES)), np.int64)
    above[..., :-1] = np.cumsum(groups[..., ::-1], axis=-1)[..., ::-1]
    photo = np.arange(len(groups))
    sure = above[photo, :, np.searchsorted(EDGES, first)]
    perhaps = above[photo, :, np.searchsorted(EDGES, first, "right") - 1]
    return ((sure <= found) & (found <= perhaps)).all(axis=1)


def _texts(value: Any, where: str = "") -> list[tuple[str, str]]:
    """All texts of nested values with the place of each, names of keys included."""
    if isinstance(value, str):
        return [(where, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [pair for key, one in items for pair in _texts(one, f"{where}.{key}".lstrip("."))]
    return inner + (
        [(where, key) for key in value if isinstance(key, str)] if isinstance(value, dict) else []
    )
