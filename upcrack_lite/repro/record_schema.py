"""What a record holds, and which of its numbers must fit together. Nothing has a default: all is said."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from upcrack_lite.errors import UserError
from upcrack_lite.presets import from_dict, preset
from upcrack_lite.repro.cells import Cell

FORMAT = 1  # raised when a field's meaning changes
MAPS = ("smoothed", "raw")
"""The arrays beside a record: histograms of the smoothed error map, and of the map before smoothing."""

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+]00:00$")]
# A path of a machine: it says nothing elsewhere, and may say who made the record.
_PATH = re.compile(r"(?:^|[\s='\"(,]|file:)(?:/|~|[A-Za-z]:[\\/])\S")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Key(_Part):
    """What names the cell."""

    method: str
    recipe: str
    scale: str
    overrides: dict[str, JsonValue]
    train_set: str
    test_set: str
    seed: Count


class Protocol(_Part):
    """How the test was done; the other values of the detection are in `preset`."""

    size: Annotated[int, Field(ge=8)]  # side that photo and mask are stretched to, px
    resize_rule: Literal["area", "nearest"]
    dropout_seed: Count
    threshold_rule: str
    tolerance_px: Annotated[float, Field(ge=0)]


class Train(_Part):
    """The training: its data, its length, its cost and its result."""

    crops: Count
    crops_trained: Count
    crops_validated: Count
    crops_sha256: Sha256  # of the pixels that went in
    crops_json: dict[str, JsonValue] | None  # how the crops were cut; None for roads drawn here
    set_manifest_sha256: Sha256 | None  # of the set that the crops were cut from
    max_steps: Count | None  # a limit makes a try, never a result
    steps: Count
    epochs: Count
    best_epoch: int
    precision: str
    seconds: Annotated[float, Field(ge=0)]
    peak_memory_mib: Count
    peak_gpu_memory_mib: Count | None
    style_weights: str | None
    start_sha256: Sha256 | None
    checkpoint_sha256: Sha256


class Test(_Part):
    """The test set."""

    __test__ = False  # the name begins with "Test", but pytest should not collect it

    digest: Sha256  # of the set's manifest
    known: Literal["packaged", "fetched", "synthetic"] | None
    content_sha256: Sha256  # of the files that were read
    images: Annotated[int, Field(ge=1)]
    crack_share: Annotated[float, Field(ge=0, le=100)]  # percent of the pixels at the protocol's size


class Environments(_Part):
    """Commit, versions, device and flags, as `runs.environment` reads them."""

    training: dict[str, JsonValue]
    evaluation: dict[str, JsonValue]


class Image(_Part):
    """One test photo: counts of pixels at the protocol's size."""

    name: str
    tp: Count
    fp: Count
    fn: Count
    tn: Count
    threshold: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[list[Count], Field(min_length=4, max_length=4)]  # as `metrics.tolerance_counts`
    cldice: Annotated[float, Field(ge=0, le=100 + 1e-9)] | None  # percent; None where it is undefined


class Arrays(_Part):
    """The file of arrays beside the record."""

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.npz$")]
    sha256: Sha256


class Record(_Part):
    """All that is known about one cell: what was done, with what, where, and what came out, photo by photo."""

    format: Literal[1]
    key: Key
    preset: dict[str, JsonValue]
    command: str
    protocol: Protocol
    train: Train
    test: Test
    environment: Environments
    code_sha256: Sha256  # of the files of the kit that make the numbers
    images: Annotated[list[Image], Field(min_length=1)]
    arrays: Arrays
    started: Time
    finished: Time

    @property
    def cell(self) -> Cell:
        """The cell that this record belongs to."""
        return Cell.from_key(self.key.model_dump())

    @property
    def slug(self) -> str:
        """The record's file name without its ending."""
        return self.cell.slug()

    def stale(self) -> str | None:
        """Say what has changed in the preset of this name since the record was made; None: nothing."""
        now = self.cell.preset().to_dict()
        gone = [name for name in self.preset if name not in now]
        changed = [
            f"{name} {self.preset.get(name)!r} is now {value!r}"
            for name, value in now.items()
            if self.preset.get(name) != value
        ]
        return "; ".join(changed + [f"{name} is gone" for name in gone]) or None

    @model_validator(mode="after")
    def _fits_together(self) -> Record:
        for path, text in _texts(self.model_dump()):
            if _PATH.search(text):
                raise ValueError(f"{path}: holds a path of this machine ({text}); give a name instead")
        self._check_preset()
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
        for name in ("training", "evaluation"):
            commit = getattr(self.environment, name).get("commit")
            if not isinstance(commit, dict) or not {"id", "dirty"} <= commit.keys():
                raise ValueError(f"environment.{name}.commit: must say id and dirty")
        return self

    def _check_preset(self) -> None:
        expected = {"recipe": self.key.recipe, "scale": self.key.scale} | self.key.overrides
        differ = sorted(name for name in expected if self.preset.get(name) != expected[name])
        if differ:
            raise ValueError(f"preset.{differ[0]}: is not what the key says")
        if self.preset.get("threshold_rule") != self.protocol.threshold_rule:
            raise ValueError("protocol.threshold_rule: is not the preset's")
        try:
            if self.preset.keys() == preset().to_dict().keys():  # else of another version: see `stale`
                from_dict(self.preset)
        except UserError as error:
            raise ValueError(f"preset: {error}") from None

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


def make(values: dict[str, Any]) -> Record:
    """Make a record from plain values. Raises UserError that names each field that is wrong."""
    try:
        return Record.model_validate_json(json.dumps(values, allow_nan=False))
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


def check_arrays(record: Record, arrays: dict[str, np.ndarray]) -> None:
    """Check that histograms and counts tell the same story.

    arrays: `smoothed` and `raw`, each uint32 `(N, 2, 256)`, [:, 0] background and [:, 1] crack.
    Raises UserError: an array is missing, unknown or of another type or shape; or its counts do not add up to
    the image's; or cutting the smoothed map at the image's threshold does not give the image's counts.
    """
    if sorted(arrays) != sorted(MAPS):
        raise UserError(f"the arrays must be {' and '.join(MAPS)}, not {', '.join(sorted(arrays)) or 'none'}")
    shape = (len(record.images), 2, 256)
    for name in MAPS:
        if arrays[name].dtype != np.uint32 or arrays[name].shape != shape:
            raise UserError(f"{name} must be uint32 {shape}, not {arrays[name].dtype} {arrays[name].shape}")
    # The smoothed map has 8 bits, so bin k holds the level k / 255 alone; in float32, as in the detection.
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    for index, image in enumerate(record.images):
        wanted = [image.fp + image.tn, image.tp + image.fn]
        for name in MAPS:
            found = arrays[name][index].sum(axis=1, dtype=np.int64).tolist()
            if found != wanted:
                raise UserError(
                    f"images.{index} ({image.name}): {name} counts {found} background and crack pixels, the "
                    f"record {wanted}"
                )
        above = arrays["smoothed"][index][:, levels > np.float32(image.threshold)].sum(axis=1, dtype=np.int64)
        if above.tolist() != [image.fp, image.tp]:
            raise UserError(
                f"images.{index} ({image.name}): cut at its threshold, smoothed gives fp, tp {above.tolist()}, "
                f"the record has {[image.fp, image.tp]}"
            )


def _texts(value: Any, where: str = "") -> list[tuple[str, str]]:
    """All texts of nested values with the place of each, names of keys included."""
    if isinstance(value, str):
        return [(where, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [pair for key, one in items for pair in _texts(one, f"{where}.{key}".lstrip("."))]
    return inner + (
        [(where, key) for key in value if isinstance(key, str)] if isinstance(value, dict) else []
    )
