"""A record's two files, written and read without looking into what they say; `records` checks it.

    SLUG.json     the record, with a digest of all that it says except its times
    SLUG.npz      by photo: counts, threshold, and histograms of the error map on background and on crack

A record that must not be committed is a draft: its files are named SLUG-draft, git ignores them, and no table shows
them. NumPy and the standard library suffice, so that a machine which only trains and tests can write records.
Histograms of all photos together have the 256 bins of the map's levels, those of one photo `GROUPS`, which are
narrower where maps have most of their pixels. What needs a photo's 256 bins, its best F1, is counted
before they are grouped.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.baselines.registry import learns_from_masks
from upcrack_lite.errors import UserError
from upcrack_lite.io import clear_leftovers, load_json, read_json, write_atomically, write_text
from upcrack_lite.metrics import at_or_above
from upcrack_lite.reproduction.experiments import Experiment, RunOptions

FORMAT = 2  # raised when a field's meaning changes
MAPS = ("smoothed", "raw")
"""The maps that are kept: the error map as it is cut, and before smoothing."""

BINS, GROUPS = 256, 32
EDGES = np.maximum(
    np.round(BINS * (np.arange(GROUPS + 1) / GROUPS) ** 1.6).astype(int), np.arange(GROUPS + 1)
)
"""Group g of one photo's histogram holds the bins from EDGES[g] to EDGES[g + 1]: 1 to 13 of them."""

DIGEST, TIMES = "content_sha256", ("started", "finished")
DRAFT = "-draft"
AGAIN = "get it anew from the repository, or delete it and make it again with `upcrack cell`"

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True, eq=False)
class MapCounts:
    """Histograms of one map over N photos, int64; along the axis of two, background comes first, then crack."""

    pooled: np.ndarray  # (2, 256), all photos together
    groups: np.ndarray  # (N, 2, 32), photo by photo, in the groups of `EDGES`
    best: np.ndarray  # (N, 3): the lowest bin at which cutting gives the photo's best F1, and tp and fp there

    @classmethod
    def of(cls, hist: np.ndarray) -> MapCounts:
        """From the histograms of all photos, int `(N, 2, 256)`, as `metrics.histograms` gives them."""
        hist = np.asarray(hist, np.int64)
        false, true = np.moveaxis(at_or_above(hist), 1, 0)
        place = (2 * true / np.maximum(true + false + true[:, :1], 1)).argmax(axis=-1)
        photo = np.arange(len(hist))
        best = np.stack([place, true[photo, place], false[photo, place]], axis=-1)
        return cls(hist.sum(axis=0), np.add.reduceat(hist, EDGES[:-1], axis=-1), best)

    def ois(self) -> float:
        """Mean over photos of each photo's best F1 over 256 thresholds, percent; as `metrics.ois`."""
        crack = self.groups[:, 1].sum(axis=-1)
        tp, fp = self.best[:, 1], self.best[:, 2]
        some = crack > 0
        return float((200 * tp[some] / (tp + fp + crack)[some]).mean()) if some.any() else float("nan")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapCounts) and all(map(np.array_equal, astuple(self), astuple(other)))


def pack(images: Sequence[Mapping[str, Any]], maps: Mapping[str, MapCounts]) -> bytes:
    """The bytes of the .npz file; the same counts give the same bytes.

    images: a line for each photo, as `records.Image`. maps: one of each of `MAPS`.
    """
    arrays: dict[str, np.ndarray] = {
        "names": np.array([image["name"] for image in images]),
        "threshold": np.array([image["threshold"] for image in images]),
        "cldice": np.array([np.nan if image["cldice"] is None else image["cldice"] for image in images]),
        "counts": np.array([[image[name] for image in images] for name in COUNTS]),
        "near": np.array([image["tolerance"] for image in images]).T[[0, 2]],
    }
    for name in MAPS:
        one = maps[name]
        arrays |= {f"{name}_pooled": one.pooled, f"{name}_best": one.best.T}
        arrays[f"{name}_groups"] = one.groups.transpose(1, 2, 0)  # neighbors alike, which packs better
    return _zipped(arrays)


def unpack(data: bytes) -> tuple[list[dict[str, Any]], dict[str, MapCounts]]:
    """The lines and maps that `pack` was given. Raises ValueError for anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(error) from None
    n = len(arrays.get("names", ()))
    wanted = {"names": ("U", (n,)), "threshold": ("f", (n,)), "cldice": ("f", (n,))}
    wanted |= {"counts": ("u", (4, n)), "near": ("u", (2, n))}
    for name in MAPS:
        shapes = {"pooled": (2, BINS), "best": (3, n), "groups": (2, GROUPS, n)}
        wanted |= {f"{name}_{part}": ("u", shape) for part, shape in shapes.items()}
    has = {name: (array.dtype.kind, array.shape) for name, array in arrays.items()}
    if differ := [f"{one} is {has.get(one)}" for one in {**wanted, **has} if has.get(one) != wanted.get(one)]:
        raise ValueError(", ".join(differ))
    images = []
    for name, threshold, lines, counts, near in zip(
        *(arrays[key].tolist() for key in ("names", "threshold", "cldice")),
        arrays["counts"].T.tolist(),
        arrays["near"].T.tolist(),
        strict=True,
    ):
        tp, fp, fn, _ = counts
        said = {"threshold": threshold, "cldice": None if np.isnan(lines) else lines}
        said["tolerance"] = [near[0], tp + fp, near[1], tp + fn]
        images.append({"name": name, **dict(zip(COUNTS, counts, strict=True)), **said})
    numbers = {name: array.astype(np.int64) for name, array in arrays.items() if array.dtype.kind == "u"}
    maps = {}
    for name in MAPS:
        groups = np.ascontiguousarray(numbers[f"{name}_groups"].transpose(2, 0, 1))
        maps[name] = MapCounts(numbers[f"{name}_pooled"], groups, numbers[f"{name}_best"].T)
    return images, maps


def _zipped(arrays: Mapping[str, np.ndarray]) -> bytes:
    """As `numpy.savez`, packed with LZMA, which is half as large; `numpy.load` reads it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, array in sorted(arrays.items()):
            if array.dtype.kind == "i":
                if array.min(initial=0) < 0 or array.max(initial=0) >= 2**32:
                    raise UserError(f"{name}: counts must lie between 0 and 2^32")
                array = array.astype(np.uint32)
            elif name == "threshold" and np.array_equal(array.astype(np.float32), array):
                array = array.astype(np.float32)
            inner = io.BytesIO()
            np.save(inner, np.ascontiguousarray(array))
            # The fixed date of ZipInfo: the same arrays give the same bytes.
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), inner.getvalue(), zipfile.ZIP_LZMA)
    return file.getvalue()


def folder(name: str, given: Path | str = "") -> Path:
    """The folder that was given; where that is empty, the repository's own of this name, "results" or "runs"."""
    return Path(given) if str(given) else ROOT / name


def place(slug: str, results: Path | str, why: Sequence[str], allow_dirty: bool) -> Path:
    """The JSON file of a record, or of a draft if there are reasons (`unfit`) not to commit it.

    Raises UserError with these reasons unless `allow_dirty`.
    """
    if why and not allow_dirty:
        raise UserError(
            f"{slug} is no record to commit: {'; '.join(why)}. For a draft, which no table shows, use --allow-dirty"
        )
    return Path(results) / f"{slug}{DRAFT if why else ''}.json"


def unfit(
    environments: Mapping[str, Sequence[Mapping[str, Any]]],
    known: str | None,
    max_steps: int | None,
    train_set: str,
    manifest: str | None,
) -> list[str]:
    """Why a record must not be committed, each reason with its remedy; empty: it may be.

    environments: of all starts that "trained" it, and the one that "evaluated" it. known: where the manifest of the
    test set comes from. train_set, manifest: its name and the digest of its manifest; synthetic roads need none.
    """
    said = []
    for what, some in environments.items():
        commits = [environment["commit"] for environment in some]
        made = f"it is {'in part ' if len(commits) > 1 else ''}{what} by code"
        if any(commit["dirty"] for commit in commits):
            said.append(f"{made} that differs from its commit: commit first")
        if any(commit["id"] is None and not commit["dirty"] for commit in commits):
            said.append(f"{made} of an unknown commit: work in a clone, or set UPCRACK_COMMIT")
    if known is None:
        said.append(
            "its test set has no manifest, so nobody can tell which files it held: `upcrack data fetch`"
        )
    if max_steps is not None:
        said.append(f"its training was cut short at {max_steps} steps: leave --max-steps out")
    if not manifest and train_set != "synthetic":
        said.append(
            f"its training set {train_set} has no manifest, so nobody can tell which files it held: "
            f"`upcrack data fetch {train_set}`, and cut the crops anew if it learns from crops"
        )
    return said


def write(values: Mapping[str, Any], maps: Mapping[str, MapCounts], path: Path) -> None:
    """Write a record's two files; an earlier record of the same name holds until the new one does.

    The new arrays lie aside until the JSON file names their digest; `read` finds them there after a kill.

    values: plain values as `records.Record` has them, with `images`. path: of the JSON file, as `place` gives it.
    Raises UserError for a record of another format in its place (nothing is touched), or a folder that cannot be
    written.
    """
    data = pack(values["images"], maps)
    arrays = {"file": f"{path.stem}.npz", "sha256": hashlib.sha256(data).hexdigest()}
    if path.is_file():
        leave_other_formats(path)
    said = {**values, "arrays": arrays}
    del said["images"]
    said.pop(DIGEST, None)
    clear_leftovers(path.parent, f"{path.stem}.*")
    write_atomically(_aside(path), lambda aside: aside.write_bytes(data))
    text = json.dumps(said | {DIGEST: digest(said)}, indent=1, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")
    _aside(path).replace(path.with_suffix(".npz"))


def _aside(path: Path) -> Path:
    """Where a record's arrays lie until its JSON file is of them."""
    return path.with_suffix(".new")


def read(path: Path | str) -> tuple[dict[str, Any], dict[str, MapCounts]]:
    """The plain values of a record, with `images` from its arrays, and its maps.

    Raises UserError: no such file, another format, a file that was changed after it was written, or arrays that
    belong to another record.
    """
    path = Path(path)
    values = read_json(path, "record", AGAIN, FORMAT)
    if values.get(DIGEST) != digest(values):
        raise UserError(f"{path}: {DIGEST}: the record was changed after it was written; {AGAIN}")
    file = path.with_suffix(".npz")
    for there in (_aside(path), file):
        data = there.read_bytes() if there.is_file() else b""
        if values.get("arrays") == {"file": file.name, "sha256": hashlib.sha256(data).hexdigest()}:
            break
    else:
        raise UserError(f"{file}: is missing, was changed, or belongs to another record; {AGAIN}")
    try:
        images, maps = unpack(data)
    except ValueError as error:
        raise UserError(f"{file}: is no file of a record's arrays ({error}); {AGAIN}") from None
    return values | {"images": images}, maps


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over all that a record says except its times; its photos count by the digest of the arrays."""
    said = {name: value for name, value in values.items() if name not in (*TIMES, DIGEST, "images")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def leave_other_formats(path: Path) -> None:
    """Raise UserError for a record of another format; what cannot be read at all may be replaced."""
    try:
        values = load_json(path)
    except ValueError:
        return
    if isinstance(values, dict) and "format" in values:
        read_json(path, "record", AGAIN, FORMAT)


def outdated(
    path: Path,
    experiment: Experiment,
    options: RunOptions,
    tested_on: str | None,
    learned_from: str | None,
    run: Path,
) -> str:
    """Why the record of an experiment is not what would be made now, in a few words; empty where it holds.

    Versions of the numbers, preset values, options and digests are compared, never bytes of code or words of a
    command. A record counts without its run, as in a fresh clone.

    options: those that the experiment has a use for. tested_on: digest of the test set, None where it is not there.
    learned_from: of the training data, as `photo_sets.training_digest` gives it. run: the run's folder.
    """
    photos = "training photos" if learns_from_masks(experiment.method) else "crops"
    try:
        values, _ = read(path)
        train = values["train"]
        if changed := experiment.changed_since(values["preset"], values["versions"]):
            return f"its record is of an earlier kit: {changed}"
        if not _options_fit(train, options):
            return "its record was made with other options"
        if values["test"]["digest"] != tested_on:
            return "its record is of another test set"
        if _learned_from(train) != learned_from:
            return f"its record is of other {photos}"
        if run_status(run) and not _is_of(run, train["checkpoint_sha256"]):
            return "its record is of another training"
    except UserError as error:
        return f"its record cannot be compared: {error}"
    except (KeyError, TypeError, AttributeError) as error:
        return f"its record cannot be compared: it does not say {error}"
    return ""


def run_status(run: Path) -> str:
    """What a run's manifest says of its training, "finished" at its end; empty where there is none to read."""
    try:
        return load_json(run / "manifest.json").get("status", "running")
    except (OSError, ValueError, AttributeError):
        return ""


def _is_of(run: Path, checkpoint: str) -> bool:
    weights = run / "checkpoint.safetensors"
    finished = run_status(run) == "finished" and weights.is_file()
    return finished and hashlib.sha256(weights.read_bytes()).hexdigest() == checkpoint


def _learned_from(train: Mapping[str, Any]) -> str | None:
    """What a record learned from, as a digest: of its set's manifest, or of the pixels of its crops."""
    if train["crack_masks_sha256"]:
        return train["set_manifest_sha256"]
    return None if train["crops_json"] is None else train["crops_json"].get("pixels_sha256")


def _options_fit(train: Mapping[str, Any], options: RunOptions) -> bool:
    """True if a record was made with these options; a file of weights that is not named may be any."""
    source, given = train["style_weights"], options.vgg_weights
    if source is None or given is None:
        fits = source != "random"
    else:
        fits = source == (given if given == "random" else f"file {Path(given).name}")
    return fits and (train["precision"], train["max_steps"]) == (options.precision, options.max_steps)
