"""Atomic writes, and settings as users give them.

Files are written aside, then renamed: a killed process leaves the old file or none, never half of a new one.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upcrack_lite.errors import FullDisk, UserError

LOCK = ".lock"
_ASIDE = re.compile(r"\..*\.\d+\.part")  # what `write_atomically` renames in the end
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a temporary file in the same folder, then rename it to `path` in one step.

    Raises UserError when the folder cannot be written to, or the disk is full.
    """
    name = path.name if len(os.fsencode(path.name)) < 240 else path.name[:50]  # 255 bytes is the most
    aside = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        aside.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Try to write where `folder` is or will be, before any work. Raises UserError when that fails."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UserError(f"{nearest} is a file: name a folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    why = error.strerror or error
    if error.errno in _FULL:
        return FullDisk(f"{path} cannot be written ({why}): free space, and give the same command again")
    return UserError(f"{path} cannot be written ({why}): name a folder that you may write to")


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only process that writes into a folder, which is made, and removed again where it stays empty.

    Raises UserError where another process is at work in it, or it cannot be written to.
    """
    from filelock import FileLock, Timeout  # here, because it brings asyncio

    made = not folder.exists()
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another process is at work in {folder}: wait until it ends, or name another folder"
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def holds(folder: Path) -> bool:
    """True for a folder with something in it, beside a lock and what killed processes left."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return not all(name == LOCK or _ASIDE.fullmatch(name) for name in names)


def clear_leftovers(folder: Path, names: str = "") -> None:
    """Remove what killed processes did not come to rename, below a folder in which this one is alone.

    names: a pattern of the files in a folder where others may write too; then only they are looked for.
    """
    for path in folder.glob(f".{names}.*.part") if names else folder.rglob(".*.part"):
        if _ASIDE.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: dict[str, Any] | list[Any]) -> None:
    """Write JSON."""
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def load_json(path: Path) -> Any:
    """Parse a JSON file. Raises OSError, or ValueError for what is no JSON, too deep, or with giant numbers."""
    try:
        return json.loads(
            path.read_text(encoding="utf-8"), parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no number that can be used")
    return value


def _whole(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{text[:20]}… is too large a number")
    return int(text)


def read_json(
    path: Path, what: str, remedy: str, version: int | None = None, fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a JSON file that holds an object. what: what it should be, such as "record".

    version: the format that it must say. fields: name to type, or types, of what it must hold.
    Raises UserError for a file that is missing, cannot be read, holds no object or is of another format, or a field
    that is missing or of another type.
    """
    try:
        values = load_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such {what}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a {what} ({error}); {remedy}") from None
    if not isinstance(values, dict) or (version is not None and type(values.get("format")) is not int):
        raise UserError(f"{path}: is no {what}; {remedy}")
    if version is not None and values["format"] != version:
        raise UserError(
            f"{path}: has format {values['format']}, this version reads {version}; use the version that wrote it. "
            "Nothing was touched"
        )
    check_fields(values, fields or {}, f"{path}: ", f", so it is no {what}; {remedy}")
    return values


def check_fields(values: Any, fields: Mapping[str, Any], where: str, remedy: str) -> None:
    """Raise UserError where values are no dict, or lack a field, or have it of another type than `fields` says.

    A type that includes None allows a field to be missing. where: what stands before the name of the field.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where}is no object{remedy}")
    for name, kind in fields.items():
        if not isinstance(values.get(name), kind):
            said = f"is {repr(values[name])[:40]}" if name in values else "is missing"
            raise UserError(f"{where}{name} {said}{remedy}")


def read_csv(
    path: Path, kinds: Mapping[str, Callable[[str], Any]], remedy: str, rest: Callable[[str], Any] = str
) -> list[dict[str, Any]]:
    """Read a CSV file with a header.

    kinds: each column that there must be, and what makes a value of a cell; rest: the same for other columns.
    Raises UserError, with line and column, for a file that is missing, is no such table, or a cell that is no value.
    """
    rows, line, column = [], 1, ""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if lacking := kinds.keys() - set(reader.fieldnames or ()):
                raise ValueError(f"it has no column {min(lacking)}")
            for cells in reader:
                line, column = reader.line_num, ""
                if None in cells or None in cells.values():
                    raise ValueError("it has more or fewer cells than the first line")
                row = {}
                for column, cell in cells.items():
                    guarded = cell.startswith("'") and _FORMULA.match(cell)
                    row[column] = kinds.get(column, rest)(cell[1:] if guarded else cell)
                rows.append(row)
    except (OSError, ValueError, csv.Error) as error:
        where = f"line {line}" + (f", column {column}" if column else "")
        raise UserError(f"{path}: cannot be read at {where} ({error}); {remedy}") from None
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]], end: str = "\r\n") -> None:
    """Write rows as CSV; the columns are the union of their keys, an absent value is an empty cell.

    end: of a line. A text that a table program would compute as a formula gets an apostrophe in front, which
    `read_csv` drops.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def write(aside: Path) -> None:
        with aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator=end)
            writer.writeheader()
            for row in rows:
                formulas = {
                    k: f"'{cell}" for k, cell in row.items() if isinstance(cell, str) and _FORMULA.match(cell)
                }
                writer.writerow(row | formulas)

    write_atomically(path, write)


def encoded(pixels: np.ndarray, suffix: str, quality: int = 95) -> bytes:
    """A picture, uint8 ``(H, W)`` gray or ``(H, W, 3)`` RGB, as a file of a format; quality, 0 to 100, of a JPEG."""
    pixels = pixels if pixels.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    # Color at full resolution, or a thin line drawn on a photo turns gray; a PNG has no such choice.
    full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    how = [*full, cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    return cv2.imencode(suffix, pixels, how)[1].tobytes()


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write a picture, as `encoded`, in the format of the file's ending."""
    data = encoded(pixels, path.suffix)
    write_atomically(path, lambda p: p.write_bytes(data))


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Turn NAME=VALUE words into preset values; VALUE is JSON, or plain text where it is none.

    Raises UserError for a word without "=" or a name given twice.
    """
    values: dict[str, Any] = {}
    for word in settings or []:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(f"--set takes NAME=VALUE, got {word!r}")
        if name in values:
            raise UserError(f"--set {name} is given twice")
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings. Raises UserError when it is missing or holds no names and values."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read as settings: {os.strerror(error.errno)}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as settings: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{path} holds no settings: it needs lines such as `bilateral_d: 5`")
    return values


def check_settings_file(path: Path, names: Iterable[str]) -> None:
    """Ask whether settings may be written to a file: a new one, or one that holds nothing but such names.

    Raises UserError when the folder is missing, or the path names a folder or a file that is something else.
    """
    if not path.name or path.is_dir():
        raise UserError(f"{path} is a folder: name a file in it, such as {path / 'parameters.yaml'}")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}: make it, or name a file in another one")
    if path.exists():
        with contextlib.suppress(UserError):
            there = read_settings(path).keys()
            if there and there <= set(names):  # one without names may hold comments of somebody's
                return
        raise UserError(f"{path} exists and is no parameter file: name another one; it was not touched")


def write_settings(path: Path | str, values: Mapping[str, Any], note: str = "") -> Path:
    """Write settings as YAML, for `read_settings` or ``papermill IN OUT -f path``, in one step; returns the path.

    note: a line of comment above them. An earlier file of the same names is replaced. Raises UserError as
    `check_settings_file`.
    """
    import yaml

    path = Path(path).expanduser()
    check_settings_file(path, values)
    write_text(path, (f"# {note}\n" if note else "") + yaml.safe_dump(dict(values), sort_keys=False))
    return path
