"""Records: what each experiment gave, so that every number shown can be computed again without a model.

`record_files` says what lies on disk; here it is checked where it is read. `results/` is the folder of records that
are committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, ValidationError, model_validator
from typing_extensions import TypedDict

from upcrack_lite import metrics
from upcrack_lite.baselines.registry import FAMILIES, learns_from_masks
from upcrack_lite.data.crops import photo_of
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS, Confusion, pooled
from upcrack_lite.reproduction import record_files
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.record_files import AGAIN, BINS, DRAFT, EDGES, MapCounts
from upcrack_lite.thin_shapes import tolerance_f1
from upcrack_lite.versions import COMMIT

_NAME = re.compile(r".+-s\d+(-[0-9a-f]{8})?\.json")  # no draft
# What the name of an image has beside that of its photo: DeepCrack's number of a crop, the place of a patch of CFD.
_CUT = {"deepcrack": r"-\d+$", "cfd_patches": r"_\d+_\d+$"}
# A path of a machine: it says nothing elsewhere, and may say who made the record.
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')  # of JSON
_PATH = re.compile(r"(?:^|[\s='\"(,]|file:)(?:/|~|[A-Za-z]:[\\/])\S")

Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+]00:00$")]


class Part(BaseModel):
    """Values that are all said, none too many, and never changed. Only what came later may be absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Key(Part):
    """What names the experiment."""

    method: str
    recipe: str
    scale: str
    overrides: dict[str, JsonValue]
    train_set: str
    test_set: str
    seed: Count


class Protocol(Part):
    """How the test was done; the other values of the detection are in `preset`."""

    size: Count  # side that photo and mask are stretched to, px; 0: each photo has its own size
    resize_rule: Literal["area", "nearest"]
    dropout_seed: Count
    threshold_rule: str
    tolerance_px: Annotated[float, Field(ge=0)]


class Counts(Part):
    """Pixels of one photo, or of all photos of a set."""

    name: str
    tp: Count
    fp: Count
    fn: Count
    tn: Count

    @property
    def confusion(self) -> Confusion:
        """The four counts."""
        return Confusion(self.tp, self.fp, self.fn, self.tn)


class Image(Counts):
    """One test photo: counts of pixels at the protocol's size."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[list[Count], Field(min_length=4, max_length=4)]  # as `thin_shapes.tolerance_counts`
    cldice: Annotated[float, Field(ge=0, le=100 + 1e-9)] | None  # percent; None where it is undefined

    def wrong(self, pixels: int) -> str:
        """What does not fit together; empty: nothing. pixels: of the photo; 0 where the record does not say."""
        said = self.tp + self.fp + self.fn + self.tn
        if pixels and said != pixels:
            return f"tp + fp + fn + tn is {said}, not {pixels}"
        near_mask, predicted, near_predicted, crack = self.tolerance
        if (predicted, crack) != (self.tp + self.fp, self.tp + self.fn):
            return "tolerance and the counts differ in predicted or crack pixels"
        if not (self.tp <= near_mask <= predicted and self.tp <= near_predicted <= crack):
            return "tolerance has fewer or more pixels near than there can be"
        if (self.cldice is None) != (predicted == 0 and crack == 0):
            return "cldice must be null where nothing is crack or predicted, and only there"
        return ""


class Chosen(Part):
    """The variant of a training-free baseline that is best on the training photos."""

    name: str
    variants: Annotated[int, Field(ge=1)]  # among how many
    training_f1: Annotated[float, Field(ge=0, le=100)]  # percent, on the training photos
    training: list[Counts] | None = None  # all variants on the training photos, in order


class Train(Part):
    """The training: its data, length, cost and result."""

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
    encoder: dict[str, JsonValue] | None  # source and digest of weights to start from; None: from nothing
    crack_masks_sha256: Sha256 | None  # where the method learns from masks; the crops are then whole photos
    chosen: Chosen | None
    log: dict[str, float] | None = None  # of the epoch that was kept: each term's mean, before its weight


class TestFacts(Part):
    """The test set."""

    __test__ = False  # the name begins with "Test", but pytest should not collect it

    digest: Sha256  # of the set's manifest
    known: Literal["packaged", "fetched", "synthetic"] | None
    content_sha256: Sha256  # of the files that were read
    images: Annotated[int, Field(ge=1)]
    crack_share: Annotated[float, Field(ge=0, le=100)]  # percent of the pixels at the protocol's size


class Commit(TypedDict):
    """Of the code; None where git does not tell."""

    id: Annotated[str, Field(pattern=f"^{COMMIT}$")] | None
    dirty: bool | None


class Environment(TypedDict):
    """Commit, versions, device and flags, as `runs.environment` reads them."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)
    commit: Commit


class Environments(Part):
    """Where the experiment was made."""

    training: Environment  # of the last start
    evaluation: Environment
    starts: list[Environment] | None = None  # of all starts, if they differ in commit, code or device

    @property
    def trained(self) -> list[dict[str, Any]]:
        """The environments that the model was trained in, in order."""
        return list(self.starts or [self.training])


class Versions(Part):
    """Versions of the numbers, as `upcrack_lite.versions` counts them."""

    training: Annotated[int, Field(ge=1)]
    testing: Annotated[int, Field(ge=1)]


class Record(Part):
    """All that is known about one experiment: what was done, with what, where, and what came out, photo by photo."""

    format: Literal[2]
    key: Key
    preset: dict[str, JsonValue]
    command: str
    protocol: Protocol
    train: Train
    test: TestFacts
    environment: Environments
    versions: Versions
    code_sha256: Sha256  # of the kit that tested, for those who look for a difference; it is never compared
    images: Annotated[list[Image], Field(min_length=1)]
    family: list[Counts] | None  # all variants of a training-free baseline, the chosen one among them
    started: Time
    finished: Time
    arrays: dict[str, str] | None = None  # the file of arrays, and its digest, of a record that was loaded
    content_sha256: Sha256 | None = None

    _maps: dict[str, MapCounts] = PrivateAttr(default_factory=dict)

    @property
    def maps(self) -> dict[str, MapCounts]:
        """Histograms of each of `MAPS` over the photos; empty for a record that was made without them."""
        return self._maps

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that this record belongs to."""
        return Experiment.from_key(self.key.model_dump())

    @cached_property
    def confusions(self) -> tuple[Confusion, ...]:
        """The counts of each photo."""
        return tuple(image.confusion for image in self.images)

    @cached_property
    def photos(self) -> list[str]:
        """For each image the photo that it was cut from, as far as its name tells."""
        ending = _CUT.get(self.key.test_set, "$")
        return [photo_of(re.sub(ending, "", image.name)) for image in self.images]

    @property
    def slug(self) -> str:
        """The record's file name without its ending."""
        return self.experiment.slug()

    def stale(self) -> str | None:
        """Say what has changed since the record was made, versions or values of its preset; None: nothing."""
        return self.experiment.changed_since(self.preset, self.versions.model_dump())

    def unfit(self) -> list[str]:
        """Why the record must not be committed, each reason with its remedy; empty: it may be."""
        train, where = self.train, self.environment
        by = {"trained": where.trained, "evaluated": [where.evaluation]}
        source = (self.key.train_set, train.set_manifest_sha256)
        return record_files.unfit(by, self.test.known, train.max_steps, *source)

    @model_validator(mode="after")
    def _fits_together(self) -> Record:
        for text in _TEXT.findall(self.model_dump_json(exclude={"images"})):
            if _PATH.search(text):
                raise ValueError(f"holds a path of this machine ({text}); give a name instead")
        names = [image.name for image in self.images]
        for index, image in enumerate(self.images):
            if wrong := image.wrong(self.protocol.size**2):
                raise ValueError(f"images.{index} ({image.name}): {wrong}")
        if len(set(names)) != len(names):
            raise ValueError("images: two have the same name")
        share = sum(self.confusions, Confusion()).prevalence
        for name, counted in (("images", len(names)), ("crack_share", share)):
            if abs(getattr(self.test, name) - counted) > 1e-9:
                raise ValueError(f"test.{name}: says {getattr(self.test, name)}, the photos give {counted}")
        self._check_kind()
        return self

    def _check_kind(self) -> None:
        """What a method learns from, and the variants of a family, must be said where there are any."""
        method, chosen = self.key.method, self.train.chosen
        if (self.train.crack_masks_sha256 is not None) != learns_from_masks(method):
            raise ValueError(f"train.crack_masks_sha256: must say what {method} learned from, or be null")
        if {chosen is not None, self.family is not None} != {method in FAMILIES}:
            raise ValueError(
                f"family: {method} must have its variants and the one chosen, or be without both"
            )
        if chosen is None:
            return
        counts = [one.confusion for one in self.family if one.name == chosen.name]
        if len(self.family) != chosen.variants or counts != [sum(self.confusions, Confusion())]:
            raise ValueError("family: the variant chosen is not there, or not the sum over the images")


def make(values: Mapping[str, Any], maps: dict[str, MapCounts] | None = None) -> Record:
    """Make a record from plain values. Raises UserError that names each field that is wrong.

    maps: one of each of `MAPS`; they are compared with the counts of the photos. None: a record without them.
    """
    try:
        record = Record.model_validate_json(json.dumps(values, allow_nan=False))
    except ValidationError as error:
        lines = []
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            where = ".".join(str(part) for part in one["loc"])
            lines.append(f"{where}: {one['msg']}".removeprefix(": ").removeprefix("Value error, "))
        raise UserError("this makes no record: " + "; ".join(lines[:10])) from None
    except (TypeError, ValueError) as error:
        raise UserError(f"this makes no record: {error}") from None
    if maps is not None:
        _check_maps(record.images, maps)
        record._maps = maps
    return record


def _check_maps(images: list[Image], maps: Mapping[str, MapCounts]) -> None:
    """Check that histograms and counts tell the same story.

    Raises UserError: the histograms do not add up to the counts of a photo or of all; or what is above a photo's
    threshold in its groups of bins cannot be the photo's counts.
    """
    counts = np.array([[one.tn, one.fn, one.fp, one.tp] for one in images]).reshape(-1, 2, 2)
    tests = {}
    for name, one in maps.items():
        if not np.array_equal(one.groups.sum(axis=0), np.add.reduceat(one.pooled, EDGES[:-1], axis=-1)):
            raise UserError(f"{name}: the photos' histograms do not add up to the one of all photos")
        same = (one.groups.sum(axis=-1) == counts.sum(axis=1)).all(axis=1)
        tests[f"{name} counts other background and crack pixels"] = same
    # The smoothed map has 8 bits, so bin k holds the level k / 255 alone; in float32, as in the detection.
    levels = np.arange(BINS, dtype=np.float32) / np.float32(BINS - 1)
    first = np.searchsorted(levels, np.array([one.threshold for one in images], np.float32), "right")
    fits = _allowed(maps["smoothed"].groups, first, counts[:, 1])
    for said, good in {**tests, "above its threshold, smoothed gives other fp and tp": fits}.items():
        if not good.all():
            index = int(np.argmin(good))
            raise UserError(f"images.{index} ({images[index].name}): {said} than the record says")


def _allowed(groups: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Can photos have `counts` pixels in the bins from `first` on? Groups limit it to both sides.

    groups: `(N, 2, 32)`. first: `(N,)`. counts: `(N, 2)`, background and crack. Returns bool `(N,)`.
    """
    above = np.zeros((*groups.shape[:2], len(EDGES)), np.int64)
    above[..., :-1] = np.cumsum(groups[..., ::-1], axis=-1)[..., ::-1]
    photo = np.arange(len(groups))
    sure = above[photo, :, np.searchsorted(EDGES, first)]
    perhaps = above[photo, :, np.searchsorted(EDGES, first, "right") - 1]
    return ((sure <= counts) & (counts <= perhaps)).all(axis=1)


def load(path: Path | str) -> Record:
    """Read a record with its maps, and check it.

    Raises UserError as `record_files.read`, or for a field that is missing, unknown or wrong (it is named), or counts
    that do not add up.
    """
    path = Path(path)
    values, maps = record_files.read(path)
    try:
        record = make(values, maps)
    except UserError as error:
        raise UserError(f"{path}: {error}; {AGAIN}") from None
    if path.stem.removesuffix(DRAFT) != record.slug:
        raise UserError(f"{path}: its key says that it is {record.slug}.json; name it so")
    return record


def load_all(folder: Path | str) -> list[Record]:
    """Read all records of a folder, sorted by file name; drafts and other files are left out.

    A folder that is not there has none. Raises UserError as `load`.
    """
    return [load(path) for path in paths(folder)]


def paths(folder: Path | str) -> list[Path]:
    """The JSON files of a folder's records, sorted."""
    return [path for path in sorted(Path(folder).glob("*.json")) if _NAME.fullmatch(path.name)]


def scores(record: Record) -> dict[str, Any]:
    """Compute the scores of one record, in percent; nan where one is undefined. `tables` joins several seeds.

    Returns `images`, `crack_share`, the counts and five metrics of all pixels pooled, `interval_95` (metric to
    lower and upper limit of the bootstrap over photos), `tolerance_f1`, `cldice` (mean over images), and where the
    record has its maps, `smoothed` and `raw`: each `ods_f1`, `ods_threshold` (0 to 1), `ois_f1`,
    `average_precision` and `auroc` of that map.
    """
    total = pooled(record.confusions)
    lines = [image.cldice for image in record.images if image.cldice is not None]
    result = {"images": len(record.images), "crack_share": total.prevalence, **total.to_dict()}
    result["interval_95"] = {
        metric: metrics.bootstrap_interval(record.confusions, metric, groups=record.photos)
        for metric in METRICS
    }
    result["tolerance_f1"] = tolerance_f1(np.array([image.tolerance for image in record.images]))
    result["cldice"] = sum(lines) / len(lines) if lines else float("nan")
    for name, one in record.maps.items():
        best, threshold = metrics.ods(one.pooled)
        areas = {score: getattr(metrics, score)(one.pooled) for score in ("average_precision", "auroc")}
        result[name] = {"ods_f1": best, "ods_threshold": threshold, "ois_f1": one.ois(), **areas}
    return result
