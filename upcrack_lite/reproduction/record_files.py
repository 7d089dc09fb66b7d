"""A record's two files, written and read without looking into what they say; `records` checks it.

    SLUG.json     the record, with a digest of all that it says but its times
    SLUG.npz      by photo: counts, threshold, and histograms of the error map on background and on crack

NumPy and the standard library suffice, so that a machine which only trains and tests can write records. Histograms
of all photos together have the 256 bins of the map's levels, those of one photo `GROUPS`, which are narrower where
maps have most of their pixels. What needs a photo's 256 bins, its best F1, is counted before they are grouped.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.io import write_aside, write_text

FORMAT = 2  # raised when a field's meaning changes
MAPS = ("smoothed", "raw")
"""The maps that are kept: the error map as it is cut, and before smoothing."""

BINS, GROUPS = 256, 32
EDGES = np.maximum(
    np.round(BINS * (np.arange(GROUPS + 1) / GROUPS) ** 1.6).astype(int), np.arange(GROUPS + 1)
)
"""Group g of one photo's histogram holds the bins from EDGES[g] to EDGES[g + 1]: 1 to 13 of them."""

DIGEST, TIMES = "content_sha256", ("started", "finished")
AGAIN = "get it anew from the repository, or delete it and make it again with `upcrack cell`"

_COUNTS = ("tp", "fp", "fn", "tn")
_OTHERS = ("names", "threshold", "cldice", "counts", "near")


@dataclass(frozen=True, eq=False)
class MapCounts:
    """Histograms of one map over N photos; along the axis of two, background comes first, then crack.

    Attributes:
        pooled: int64 `(2, 256)`, all photos together.
        groups: int64 `(N, 2, 32)`, photo by photo, in the groups of `EDGES`.
        best: int64 `(N, 3)`: the lowest bin at which cutting gives the photo's best F1, and tp and fp there.
    """

    pooled: np.ndarray
    groups: np.ndarray
    best: np.ndarray

    @classmethod
    def of(cls, hist: np.ndarray) -> MapCounts:
        """From the histograms of all photos, int `(N, 2, 256)`, as `metrics.histograms` gives them."""
        hist = np.asarray(hist, np.int64)
        above = np.cumsum(hist[..., ::-1], axis=-1)[..., ::-1]
        false, true = above[:, 0], above[:, 1]
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

    images: a line for each photo, as `record_parts.Image`. maps: one of each of `MAPS`.
    """
    arrays: dict[str, np.ndarray] = {
        "names": np.array([image["name"] for image in images]),
        "threshold": np.array([image["threshold"] for image in images]),
        "cldice": np.array([np.nan if image["cldice"] is None else image["cldice"] for image in images]),
        "counts": np.array([[image[name] for image in images] for name in _COUNTS]),
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
    wanted = {*_OTHERS, *(f"{name}_{part}" for name in MAPS for part in ("pooled", "groups", "best"))}
    if arrays.keys() != wanted:
        raise ValueError(f"it has {', '.join(sorted(arrays))}, not {', '.join(sorted(wanted))}")
    n = len(arrays["names"])
    shapes = {"names": (n,), "threshold": (n,), "cldice": (n,), "counts": (4, n), "near": (2, n)}
    for name in MAPS:
        shapes |= {f"{name}_pooled": (2, BINS), f"{name}_best": (3, n), f"{name}_groups": (2, GROUPS, n)}
    for name, shape in shapes.items():
        kind = {"names": "U", "threshold": "f", "cldice": "f"}.get(name, "u")
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {kind} {shape}")
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
        images.append({"name": name, **dict(zip(_COUNTS, counts, strict=True)), **said})
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
                array = _unsigned(name, array)
            elif name == "threshold" and np.array_equal(array.astype(np.float32), array):
                array = array.astype(np.float32)
            inner = io.BytesIO()
            np.save(inner, np.ascontiguousarray(array))
            # The fixed date of ZipInfo: the same arrays give the same bytes.
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), inner.getvalue(), zipfile.ZIP_LZMA)
    return file.getvalue()


def _unsigned(name: str, array: np.ndarray) -> np.ndarray:
    if array.min(initial=0) < 0 or array.max(initial=0) >= 2**32:
        raise UserError(f"{name}: counts must lie between 0 and 2^32")
    return array.astype(np.uint32)


def write(values: Mapping[str, Any], maps: Mapping[str, MapCounts], path: Path) -> None:
    """Write a record's two files; an earlier record of the same name is replaced.

    values: plain values as `records.Record` has them, with `images`. path: of the JSON file.
    Raises UserError for arrays that are not those which the record names, a record of another format in its place
    (nothing is touched), or a folder that cannot be written.
    """
    data = pack(values["images"], maps)
    if hashlib.sha256(data).hexdigest() != values["arrays"]["sha256"]:
        raise UserError(f"arrays.sha256: these are not the arrays that the record of {path.stem} names")
    if path.is_file():
        leave_other_formats(path)
        path.unlink()  # first of all, so that no record stands beside the arrays of another
    said = {name: value for name, value in values.items() if name != "images"}
    write_aside(path.with_name(values["arrays"]["file"]), lambda aside: aside.write_bytes(data))
    text = json.dumps(said | {DIGEST: digest(said)}, indent=1, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")


def read(path: Path | str) -> tuple[dict[str, Any], dict[str, MapCounts]]:
    """The plain values of a record, with `images` from its arrays, and its maps.

    Raises UserError: no such file, another format, a file that was changed after it was written, or arrays that
    belong to another record.
    """
    path = Path(path)
    values = _values(path)
    if values.pop(DIGEST, None) != digest(values):
        raise UserError(f"{path}: {DIGEST}: the record was changed after it was written; {AGAIN}")
    part = values.get("arrays")
    if not isinstance(part, dict) or not re.fullmatch(r"[\w.-]+\.npz", str(part.get("file"))):
        raise UserError(f"{path}: arrays.file: names no file of arrays; {AGAIN}")
    file = path.with_name(part["file"])
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: the arrays of {path.name} cannot be read ({error.strerror}); {AGAIN}"
        ) from None
    if hashlib.sha256(data).hexdigest() != part.get("sha256"):
        raise UserError(f"{file}: was changed after it was written, or belongs to another record; {AGAIN}")
    try:
        images, maps = unpack(data)
    except ValueError as error:
        raise UserError(f"{file}: is no file of a record's arrays ({error}); {AGAIN}") from None
    return values | {"images": images}, maps


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over all that a record says but its times; its photos count by the digest of the arrays."""
    said = {name: value for name, value in values.items() if name not in (*TIMES, "images")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def leave_other_formats(path: Path) -> None:
    """Raise UserError for a record of another format; what cannot be read at all may be replaced."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return
    _values(path)


def _values(path: Path) -> dict[str, Any]:
    """The JSON of a record of this format. Raises UserError for a missing file, no JSON or another format."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such record") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a record ({error}); {AGAIN}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no record; {AGAIN}")
    if "format" in values and (type(values["format"]) is not int or values["format"] != FORMAT):
        raise UserError(
            f"{path}: format: this record has {values['format']!r}, this version reads {FORMAT}; use the version "
            "that wrote it. Nothing was touched"
        )
    return values
