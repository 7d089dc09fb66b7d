"""Undamaged crops on disk: one PNG each, an index, and the facts they were made from. Chapter: the data.

    crops/0001.png ...   the crops in the order of the index
    index.csv            file, name, x, y, window, scale, group, sha256 (name to window as in `Crops.rows`)
    crops.json           how many, of which window sizes, how they were made, hashes

The same crops give the same bytes: no file holds a date or a place on this machine.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upcrack_lite.data.aside import taken, whole_folder
from upcrack_lite.data.crops import Crops, enlarged
from upcrack_lite.data.layouts import raise_for
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_json

_FORMAT = 1  # raised when a file's meaning changes
_FACTS, _INDEX, _FOLDER = "crops.json", "index.csv", "crops"
_COLUMNS = ("file", "name", "x", "y", "window", "scale", "group", "sha256")
_FILE = re.compile(r"crops/\d{4,}\.png")
_AGAIN = "delete the folder and cut the crops again"


def is_crop_folder(folder: str | Path) -> bool:
    """Tell whether `write_crops` made this folder, by its `crops.json`; its files are not checked."""
    return (Path(folder) / _FACTS).is_file()


def write_crops(crops: Crops, folder: str | Path, facts: Mapping[str, Any]) -> Path:
    """Write crops and their index to a new folder, which appears when it is complete.

    A folder that holds the same crops with the same facts is left alone.

    Args:
        crops: what `undamaged_crops` cut.
        folder: must not exist, or be empty, or hold these crops.
        facts: plain values that say how the crops were made: `split`, which must not be "test", and
            whatever else makes them what they are, such as `set`, `manifest` (a digest) and `parameters`.
            No absolute path, since the same crops elsewhere must give the same bytes.

    Returns:
        `folder`.

    Raises:
        UserError: crops from test photos, a folder with other crops (the difference is named), with
            damaged files or with something else, or one that cannot be written.
    """
    folder = Path(folder)
    if not len(crops):
        raise UserError(f"{folder}: there are no crops to write")
    described = _describe(crops, facts)
    if is_crop_folder(folder):
        _refuse_other(folder, described, crops)
        return folder
    if taken(folder):
        raise UserError(f"{folder}: holds something else than crops; give the name of a new folder")
    with whole_folder(folder) as aside:
        (aside / _FOLDER).mkdir()
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in _rows(crops):
            data = _png(crops.images[int(Path(row["file"]).stem) - 1])
            (aside / row["file"]).write_bytes(data)
            writer.writerow(row | {"sha256": hashlib.sha256(data).hexdigest()})
        index = text.getvalue().encode()
        (aside / _INDEX).write_bytes(index)
        write_json(aside / _FACTS, described | {"index_sha256": hashlib.sha256(index).hexdigest()})
    return folder


def read_crops(folder: str | Path, size: int | None = None) -> Crops:
    """Read crops that `write_crops` wrote, and check every file.

    Args:
        folder: folder with `crops.json`.
        size: side of the result in pixels (the rule is at `resize`); None keeps the stored one.

    Raises:
        UserError: no folder of crops, or files that are missing, added, changed or cut off, or an index
            with bad lines (all are listed), or crops from test photos.
    """
    folder = Path(folder)
    described = read_description(folder)
    rows = _read_index(folder, described)
    stored = described["size"]
    size = stored if size is None else size
    if size < 1:
        raise UserError(f"size must be at least 1 pixel, not {size}")
    images = np.empty((len(rows), size, size, 3), np.uint8)
    there = {f"{_FOLDER}/{path.name}" for path in (folder / _FOLDER).glob("*") if path.name[0] != "."}
    extra = sorted(there - {row["file"] for row in rows})
    problems = [f"{folder / name}: is not in the index" for name in extra]
    for position, row in enumerate(rows):
        path = folder / row["file"]
        try:
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                raise UserError(f"{path}: was changed or cut off after it was written")
            image = read_image(path)
            if image.shape != (stored, stored, 3):
                raise UserError(f"{path}: is {image.shape[1]}×{image.shape[0]}, not {stored}×{stored}")
            images[position], _ = resize(image, None, size)
        except UserError as error:
            problems.append(str(error))
    raise_for(problems, f"{folder}: the crops are not those that were written; {_AGAIN}")
    places = [{"name": row["name"]} | {key: int(row[key]) for key in ("x", "y", "window")} for row in rows]
    return Crops(images, places, [row["group"] for row in rows])


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read and check `crops.json`: `count`, `size`, `windows`, `enlarged`, `photos`, `facts` and hashes.

    Raises:
        UserError: no folder of crops, a malformed `crops.json`, or crops from test photos.
    """
    path = Path(folder) / _FACTS
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: is no folder of crops; it has no {_FACTS}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
    if not isinstance(described, dict) or described.get("format") != _FORMAT:
        raise UserError(f"{path}: is not in format {_FORMAT}; {_AGAIN}")
    numbers = (described.get("count"), described.get("size"))
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        raise UserError(f"{path}: needs a positive count and size; {_AGAIN}")
    _check_facts(described.get("facts"))
    return described


def _describe(crops: Crops, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `crops.json` says, without the hash of the index, which depends on the PNG encoder."""
    _check_facts(facts)
    size = crops.images.shape[1]
    windows = Counter(int(row["window"]) for row in crops.rows)
    return {
        "format": _FORMAT,
        "count": len(crops),
        "size": size,
        "windows": {str(window): windows[window] for window in sorted(windows, reverse=True)},
        "enlarged": enlarged(crops, size),
        "photos": len(set(crops.groups)),
        "facts": json.loads(json.dumps(facts, sort_keys=True, allow_nan=False)),
        "pixels_sha256": hashlib.sha256(np.ascontiguousarray(crops.images)).hexdigest(),
    }


def _check_facts(facts: Any) -> None:
    """Refuse crops from test photos, and facts that would differ from machine to machine."""
    if not isinstance(facts, Mapping) or not isinstance(facts.get("split"), str):
        raise UserError("the facts about crops must name the split that they come from, such as 'train'")
    if facts["split"].lower() == "test":
        raise UserError("these crops come from test photos: a model must never learn from them; cut others")
    for key, value in _flat(facts).items():
        if isinstance(value, Path) or (isinstance(value, str) and Path(value).is_absolute()):
            raise UserError(f"the fact {key} about crops is a path ({value}): give a name instead")


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Flatten nested values to one level, with dots between the keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return flat


def _refuse_other(folder: Path, described: dict[str, Any], crops: Crops) -> None:
    """Raise `UserError` that names what differs, if the folder holds other crops than these, or damaged ones."""
    there, asked = _flat(read_description(folder)), _flat(described)
    there.pop("index_sha256", None)
    differing = [key for key in dict.fromkeys([*asked, *there]) if there.get(key) != asked.get(key)]
    # How they were made explains the rest; hashes are shown only where nothing else differs.
    telling = [key for key in differing if key.startswith("facts.")] or differing
    lines = [
        f"{key}: {there.get(key, '(none)')} there, {asked.get(key, '(none)')} asked for" for key in telling
    ]
    raise_for(lines, f"{folder}: holds other crops; give another folder, or {_AGAIN}")
    stored = read_crops(folder, size=1)  # checks every file, keeps next to nothing in memory
    if stored.rows != crops.rows or stored.groups != crops.groups:
        raise UserError(
            f"{folder}: holds the same pixels from other places; give another folder, or {_AGAIN}"
        )


def _rows(crops: Crops) -> list[dict[str, Any]]:
    """Return the rows of the index without hashes."""
    size = crops.images.shape[1]
    return [
        {"file": f"{_FOLDER}/{number:04d}.png"}
        | {key: row[key] for key in ("name", "x", "y", "window")}
        | {"scale": f"{size / int(row['window']):.4f}", "group": group}
        for number, (row, group) in enumerate(zip(crops.rows, crops.groups, strict=True), 1)
    ]


def _read_index(folder: Path, described: dict[str, Any]) -> list[dict[str, str]]:
    """Read `index.csv`, and check every line before a file is opened by it."""
    path = folder / _INDEX
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {_AGAIN}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows, problems, seen = [], [], set()
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        problems.append(f"line 1: the columns must be {', '.join(_COLUMNS)}")
    for row in reader if not problems else ():
        whole = None not in row and None not in row.values()
        if not whole or not _FILE.fullmatch(row["file"]) or not _is_place(row):
            problems.append(f"line {reader.line_num}: is malformed")
        elif row["file"] in seen:
            problems.append(f"line {reader.line_num}: repeats {row['file']}")
        else:
            seen.add(row["file"])
            rows.append(row)
    if not problems and len(rows) != described["count"]:
        problems.append(f"{len(rows)} lines, but {_FACTS} counts {described['count']} crops")
    if not problems and hashlib.sha256(data).hexdigest() != described.get("index_sha256"):
        problems.append("was changed after it was written")
    raise_for(problems, f"{path}: cannot be used; {_AGAIN}")
    return rows


def _is_place(row: dict[str, str]) -> bool:
    """Tell whether x, y and window are numbers and name and group are not empty."""
    numbers = all(re.fullmatch(r"\d+", row[key], re.ASCII) for key in ("x", "y", "window"))
    return numbers and bool(row["name"]) and bool(row["group"])


def _png(image: np.ndarray) -> bytes:
    """Encode uint8 RGB `(S, S, 3)` without loss."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise UserError("a crop could not be encoded as PNG")
    return data.tobytes()
