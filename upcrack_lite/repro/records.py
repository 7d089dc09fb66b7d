"""Records on disk: what each cell gave, so that every number shown can be made again without a model.

    SLUG.json     the record, with a digest of all that it says but its times
    SLUG.npz      histograms of each photo's error map, on background and on crack

`results/` is the folder of records that are committed. A record that must not be committed lies in its
subfolder `dirty/`, which git ignores.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from upcrack_lite.errors import UserError
from upcrack_lite.files import write_aside, write_text
from upcrack_lite.metrics import (
    METRICS,
    Confusion,
    auroc,
    average_precision,
    bootstrap_interval,
    ods,
    ois,
    pooled,
    tolerance_f1,
)
from upcrack_lite.repro.record_schema import FORMAT as FORMAT
from upcrack_lite.repro.record_schema import MAPS, Record, check_arrays, problems
from upcrack_lite.repro.record_schema import make as make

DIRTY = "dirty"
_NAME = re.compile(r".+-s\d+(-[0-9a-f]{8})?\.json")
_DIGEST, _TIMES = "content_sha256", ("started", "finished")
_AGAIN = "get it anew from the repository, or delete it and make it again with `upcrack cell`"


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of the .npz file; the same arrays give the same bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **{name: arrays[name] for name in sorted(arrays)})
    return file.getvalue()


def uncommittable(record: Record) -> list[str]:
    """Why a record must not be committed, each with its remedy; empty: it may be."""
    train, environment = record.train, record.environment
    return reasons(
        environment.trained, environment.evaluation, record.test.known, train.max_steps
    ) + unknown_training_set(record.key.train_set, train.set_manifest_sha256)


def reasons(
    training: Sequence[dict[str, Any]],
    evaluation: dict[str, Any],
    known: str | None,
    max_steps: int | None,
) -> list[str]:
    """As `uncommittable`, from what is known before the work, but for `unknown_training_set`.

    training: the environments of all starts of the training, as `RunFolder.starts` gives them.
    """
    found = []
    for what, environments in (("trained", training), ("evaluated", [evaluation])):
        commits = [environment["commit"] for environment in environments]
        partly = "in part " if len(commits) > 1 else ""
        if any(commit["dirty"] for commit in commits):
            found.append(f"it is {partly}{what} by code that differs from its commit: commit first")
        if any(commit["id"] is None and not commit["dirty"] for commit in commits):
            found.append(
                f"it is {partly}{what} by code of an unknown commit: work in a clone, or set UPCRACK_COMMIT"
            )
    if known is None:
        found.append(
            "its test set has no manifest, so nobody can tell which files it held: `upcrack data fetch`"
        )
    if max_steps is not None:
        found.append(f"its training was cut short at {max_steps} steps: leave --max-steps out")
    return found


def unknown_training_set(name: str, manifest: str | None) -> list[str]:
    """Why a record whose training set has no manifest must not be committed; empty where it has one.

    name: of the training set; synthetic roads need none. manifest: its digest.
    """
    if manifest or name == "synthetic":
        return []
    return [
        f"its training set {name} has no manifest, so nobody can tell which files it held: "
        f"`upcrack data fetch {name}`, and cut the crops anew if it learns from crops"
    ]


def place(slug: str, folder: Path | str, why: list[str], allow_dirty: bool) -> Path:
    """Where a record belongs: `folder`, or its subfolder `dirty` if there are reasons not to commit it.

    Raises UserError with these reasons unless `allow_dirty`.
    """
    if why and not allow_dirty:
        raise UserError(
            f"{slug} is no record to commit: {'; '.join(why)}. For a record that must not be committed use "
            "--allow-dirty"
        )
    return Path(folder) / DIRTY / f"{slug}.json" if why else Path(folder) / f"{slug}.json"


def save(
    record: Record, arrays: dict[str, np.ndarray], folder: Path | str, *, allow_dirty: bool = False
) -> Path:
    """Write a record and its arrays; an earlier record of the same cell is replaced.

    Args:
        arrays: `smoothed` and `raw`, each uint32 `(N, 2, 256)`.
        folder: the folder of records.
        allow_dirty: write a record that must not be committed to the subfolder `dirty`.

    Returns:
        The JSON file.

    Raises:
        UserError: a record that must not be committed, arrays that do not fit it, a record of another format
            in its place (nothing is touched), or a folder that cannot be written.
    """
    path = place(record.slug, folder, uncommittable(record), allow_dirty)
    check_arrays(record, arrays)
    data = pack(arrays)
    if hashlib.sha256(data).hexdigest() != record.arrays.sha256:
        raise UserError(f"arrays.sha256: these are not the arrays that the record of {record.slug} names")
    if path.is_file():
        _leave_other_formats(path)
        path.unlink()  # first of all, so that no record stands beside the arrays of another
    values = record.model_dump(mode="json")
    write_aside(path.with_name(record.arrays.file), lambda aside: aside.write_bytes(data))
    text = json.dumps(values | {_DIGEST: _digest(values)}, indent=1, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")
    return path


def load(path: Path | str) -> Record:
    """Read a record and check it, its arrays included.

    Raises UserError: no such file, another format, a field that is missing, unknown or wrong (it is named),
    counts that do not add up, or a file that was changed after it was written.
    """
    path = Path(path)
    values = _values(path)
    digest = values.pop(_DIGEST, None)
    try:
        record = Record.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise UserError(f"{path}: {problems(error)}; {_AGAIN}") from None
    if path.stem != record.slug:
        raise UserError(f"{path}: its key says that it is {record.slug}.json; name it so")
    arrays = _unpacked(path, record)
    try:
        check_arrays(record, arrays)
    except UserError as error:
        raise UserError(f"{path}: {error}; {_AGAIN}") from None
    if digest != _digest(values):
        raise UserError(f"{path}: {_DIGEST}: the record was changed after it was written; {_AGAIN}")
    return record


def load_all(folder: Path | str) -> list[Record]:
    """Read all records of a folder, sorted by file name; its subfolders and other files are left out.

    Raises UserError as `load`, or when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of records")
    return [load(path) for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name)]


def arrays_of(path: Path | str) -> dict[str, np.ndarray]:
    """Read the arrays of the record at `path`: `smoothed` and `raw`, each uint32 `(N, 2, 256)`.

    Raises UserError as `load`.
    """
    return _unpacked(Path(path), load(path))


def scores(record: Record, arrays: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Compute what the tables show from a record, in percent; nan where a score is undefined.

    Args:
        arrays: from `arrays_of`; None leaves out the scores over all thresholds.

    Returns:
        `images`, `crack_share`, the counts and five metrics of all pixels pooled, `interval_95` (metric to
        lower and upper limit of the bootstrap over images), `tolerance_f1`, `cldice` (mean over images), and
        with arrays `smoothed` and `raw`: each `ods_f1`, `ods_threshold` (0 to 1), `ois_f1`,
        `average_precision` and `auroc` of that map.
    """
    confusions = [Confusion(image.tp, image.fp, image.fn, image.tn) for image in record.images]
    total = pooled(confusions)
    lines = [image.cldice for image in record.images if image.cldice is not None]
    result: dict[str, Any] = {"images": len(confusions), "crack_share": total.crack_share} | total.to_dict()
    result["interval_95"] = {metric: bootstrap_interval(confusions, metric) for metric in METRICS}
    result["tolerance_f1"] = tolerance_f1(np.array([image.tolerance for image in record.images]))
    result["cldice"] = sum(lines) / len(lines) if lines else float("nan")
    if arrays is not None:
        check_arrays(record, arrays)
        for name in MAPS:
            hist = arrays[name].astype(np.int64)
            best, threshold = ods(hist)
            result[name] = {"ods_f1": best, "ods_threshold": threshold, "ois_f1": ois(hist)}
            result[name] |= {"average_precision": average_precision(hist), "auroc": auroc(hist)}
    return result


def _leave_other_formats(path: Path) -> None:
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
        raise UserError(f"{path}: cannot be read as a record ({error}); {_AGAIN}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no record; {_AGAIN}")
    if "format" in values and (type(values["format"]) is not int or values["format"] != FORMAT):
        raise UserError(
            f"{path}: format: this record has {values['format']!r}, this version reads {FORMAT}; use the version "
            "that wrote it. Nothing was touched"
        )
    return values


def _unpacked(path: Path, record: Record) -> dict[str, np.ndarray]:
    file = path.with_name(record.arrays.file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"{file}: the arrays of {path.name} cannot be read ({error.strerror}); {_AGAIN}"
        ) from None
    if hashlib.sha256(data).hexdigest() != record.arrays.sha256:
        raise UserError(f"{file}: was changed after it was written, or belongs to another record; {_AGAIN}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: is no file of arrays ({error}); {_AGAIN}") from None


def _digest(values: dict[str, Any]) -> str:
    """SHA-256 over all that a record says but its times."""
    said = {name: value for name, value in values.items() if name not in _TIMES}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
