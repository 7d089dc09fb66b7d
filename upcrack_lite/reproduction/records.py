"""Records: what each cell gave, so that every number shown can be made again without a model.

`record_files` says what lies on disk; here it is checked where it is read. `results/` is the folder of records that
are committed. A record that must not be committed lies in its subfolder `dirty/`, which git ignores.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS, auroc, average_precision, bootstrap_interval, ods, pooled
from upcrack_lite.reproduction import record_files
from upcrack_lite.reproduction.committable import place, reasons, unknown_training_set
from upcrack_lite.reproduction.record_files import AGAIN, MAPS, MapCounts
from upcrack_lite.reproduction.record_schema import Record, check_maps
from upcrack_lite.reproduction.record_schema import make as make
from upcrack_lite.thin_shapes import tolerance_f1

_NAME = re.compile(r".+-s\d+(-[0-9a-f]{8})?\.json")


def uncommittable(record: Record) -> list[str]:
    """Why a record must not be committed, each with its remedy; empty: it may be."""
    train, environment = record.train, record.environment
    return reasons(
        environment.trained, environment.evaluation, record.test.known, train.max_steps
    ) + unknown_training_set(record.key.train_set, train.set_manifest_sha256)


def save(
    record: Record, maps: dict[str, MapCounts], folder: Path | str, *, allow_dirty: bool = False
) -> Path:
    """Check and write a record; an earlier record of the same cell is replaced. Returns the JSON file.

    maps: one of each of `MAPS`. folder: of records. allow_dirty: write a record that must not be committed to the
    subfolder `dirty`.
    Raises UserError for a record that must not be committed, maps that do not fit it, or as `record_files.write`.
    """
    path = place(record.slug, folder, uncommittable(record), allow_dirty)
    check_maps(record, maps)
    record_files.write(record.model_dump(mode="json"), maps, path)
    return path


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
    if path.stem != record.slug:
        raise UserError(f"{path}: its key says that it is {record.slug}.json; name it so")
    return record


def load_all(folder: Path | str) -> list[Record]:
    """Read all records of a folder, sorted by file name; its subfolders and other files are left out.

    Raises UserError as `load`, or when there is no such folder.
    """
    return [load(path) for path in paths(folder)]


def paths(folder: Path | str) -> list[Path]:
    """The JSON files of a folder's records, sorted. Raises UserError when there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of records")
    return [path for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name)]


def scores(record: Record) -> dict[str, Any]:
    """Compute what the tables show from a record, in percent; nan where a score is undefined.

    Returns:
        `images`, `crack_share`, the counts and five metrics of all pixels pooled, `interval_95` (metric to
        lower and upper limit of the bootstrap over images), `tolerance_f1`, `cldice` (mean over images), and
        where the record has its maps, `smoothed` and `raw`: each `ods_f1`, `ods_threshold` (0 to 1), `ois_f1`,
        `average_precision` and `auroc` of that map.
    """
    total = pooled(record.confusions)
    lines = [image.cldice for image in record.images if image.cldice is not None]
    result: dict[str, Any] = {
        "images": len(record.images),
        "crack_share": total.prevalence,
    } | total.to_dict()
    result["interval_95"] = {metric: bootstrap_interval(record.confusions, metric) for metric in METRICS}
    result["tolerance_f1"] = tolerance_f1(np.array([image.tolerance for image in record.images]))
    result["cldice"] = sum(lines) / len(lines) if lines else float("nan")
    for name in MAPS if record.has_maps else ():
        one = record.maps[name]
        best, threshold = ods(one.pooled)
        result[name] = {"ods_f1": best, "ods_threshold": threshold, "ois_f1": one.ois()}
        result[name] |= {"average_precision": average_precision(one.pooled), "auroc": auroc(one.pooled)}
    return result
