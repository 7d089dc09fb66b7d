"""Undamaged crops on disk: one PNG each, an index, and the facts they were made from. Chapter: the data.

    crops/0001.png ...   the crops in the order of the index
    index.csv            file, name, x, y, window, scale, group, sha256 (name to window as in `Crops.rows`)
    crops.json           how many, of which window sizes, how they were made, hashes

The same crops give the same bytes: no file holds a date or a place on this machine.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from upcrack_lite.data.crops import Crops
from upcrack_lite.data.folders import taken, whole_folder
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.io import check_fields, read_csv, read_json, write_csv, write_image, write_json

_FORMAT = 1  # raised when a file's meaning changes
_FACTS, _INDEX, _FOLDER = "crops.json", "index.csv", "crops"
_FIELDS = {"count": int, "size": int, "windows": dict, "photos": int, "facts": dict, "index_sha256": str}
_AGAIN = "delete the folder and cut the crops again"


def is_crop_folder(folder: str | Path) -> bool:
    """Tell whether `write_crops` made this folder, by its `crops.json`; its files are not checked."""
    return (Path(folder) / _FACTS).is_file()


def write_crops(crops: Crops, folder: str | Path, facts: Mapping[str, Any]) -> Path:
    """Write crops and their index to a new folder, which appears when it is complete and is returned.

    A folder that holds the same crops with the same facts is left alone.

    facts: plain values that say how the crops were made: `split`, which must not be "test", and whatever else makes
    them what they are, such as `set` and the values of the crop rule.
    Raises UserError: crops from test photos, a folder with other crops (the difference is named), with damaged
    files or with something else, or one that cannot be written.
    """
    folder = Path(folder)
    described = _describe(crops, facts)
    if is_crop_folder(folder):
        _refuse_other(folder, described)
        return folder
    if taken(folder):
        raise UserError(f"{folder}: holds something else than crops; give the name of a new folder")
    with whole_folder(folder) as aside:
        rows = []
        for number, image in enumerate(crops.images, 1):
            row = {"file": f"{_FOLDER}/{number:04d}.png"} | crops.rows[number - 1]
            write_image(aside / row["file"], image)
            row |= {
                "scale": f"{described['size'] / int(row['window']):.4f}",
                "group": crops.groups[number - 1],
            }
            rows.append(row | {"sha256": _sha256(aside / row["file"])})
        write_csv(aside / _INDEX, rows, "\n")
        write_json(aside / _FACTS, described | {"index_sha256": _sha256(aside / _INDEX)})
    return folder


def read_crops(folder: str | Path, size: int | None = None) -> Crops:
    """Read crops that `write_crops` wrote, check every file, and `resize` them to a size; None keeps the stored one.

    Raises UserError: no folder of crops, files that are missing, added, changed or cut off (all are listed), or
    crops from test photos.
    """
    folder = Path(folder)
    described = read_description(folder)
    if _sha256(folder / _INDEX) != described["index_sha256"]:
        raise UserError(f"{folder / _INDEX}: is missing, or was changed after it was written; {_AGAIN}")
    kinds = {"file": str, "name": str, "x": int, "y": int, "window": int, "group": str, "sha256": str}
    rows = read_csv(folder / _INDEX, kinds, _AGAIN)
    size = described["size"] if size is None else size
    extra = {f"{_FOLDER}/{path.name}" for path in (folder / _FOLDER).glob("[!.]*")} - {
        row["file"] for row in rows
    }
    problems = [f"{folder / name}: is not in the index" for name in sorted(extra)]
    images = np.empty((len(rows), size, size, 3), np.uint8)
    for position, row in enumerate(rows):
        path = folder / row["file"]
        if _sha256(path) == row["sha256"]:
            images[position], _ = resize(read_image(path), None, size)
        else:
            problems.append(f"{path}: is missing, or was changed or cut off after it was written")
    raise_for(problems, f"{folder}: the crops are not those that were written; {_AGAIN}")
    places = [{key: row[key] for key in ("name", "x", "y", "window")} for row in rows]
    return Crops(images, places, [row["group"] for row in rows])


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read and check `crops.json`: `count`, `size`, `windows`, `enlarged`, `photos`, `facts` and hashes.

    Raises UserError: no folder of crops, a malformed `crops.json`, or crops from test photos.
    """
    path = Path(folder) / _FACTS
    if not path.is_file():
        raise UserError(f"{folder}: is no folder of crops; it has no {_FACTS}")
    described = read_json(path, "description of crops", _AGAIN, _FORMAT, _FIELDS)
    check_fields(described["facts"], {"split": str}, f"{path}: facts.", f"; {_AGAIN}")
    _refuse_test_photos(described["facts"])
    return described


def _describe(crops: Crops, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `crops.json` says, without the hash of the index, which depends on the PNG encoder."""
    _refuse_test_photos(facts)
    windows = Counter(int(row["window"]) for row in crops.rows)
    return {
        "format": _FORMAT,
        "count": len(crops),
        "size": crops.images.shape[1],
        "windows": {str(window): windows[window] for window in sorted(windows, reverse=True)},
        "enlarged": crops.enlarged(crops.images.shape[1]),
        "photos": len(set(crops.groups)),
        "facts": json.loads(json.dumps(facts, sort_keys=True, allow_nan=False)),
        "pixels_sha256": hashlib.sha256(np.ascontiguousarray(crops.images)).hexdigest(),
    }


def _refuse_test_photos(facts: Mapping[str, Any]) -> None:
    if facts["split"] == "test":
        raise UserError("these crops come from test photos: a model must never learn from them; cut others")


def _refuse_other(folder: Path, described: dict[str, Any]) -> None:
    """Raise `UserError` that names what differs, if the folder holds other crops than these, or damaged ones."""
    there, asked = (found | found["facts"] for found in (read_description(folder), described))
    differing = [key for key in asked if key != "facts" and there.get(key) != asked[key]]
    lines = [f"{key}: {there.get(key, '(none)')} there, {asked[key]} asked for" for key in differing]
    raise_for(lines, f"{folder}: holds other crops; give another folder, or {_AGAIN}")
    read_crops(folder, size=1)  # checks every file, keeps next to nothing in memory


def _sha256(path: Path) -> str:
    """Of a file's bytes; "" for one that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
