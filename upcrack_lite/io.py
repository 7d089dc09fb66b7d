"""Atomic writes, and settings as users give them.

Files are written aside, then renamed: a killed process leaves the old file or none, never half of a new one.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from upcrack_lite.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a temporary file in the same folder, then rename it to `path` in one step.

    Raises UserError when the folder cannot be written to, or the disk is full.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    return UserError(f"{path} cannot be written ({why}): name a folder that you may write to, or free space")


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: dict[str, Any] | list[Any]) -> None:
    """Write JSON."""
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, what: str, remedy: str, version: int) -> dict[str, Any]:
    """Read a JSON file that says its format. what: what it should be, such as "record".

    Raises UserError for a file that is missing, cannot be read, holds no object or is of another format.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such {what}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a {what} ({error}); {remedy}") from None
    if not isinstance(values, dict) or type(values.get("format")) is not int:
        raise UserError(f"{path}: is no {what}; {remedy}")
    if values["format"] != version:
        raise UserError(
            f"{path}: has format {values['format']}, this version reads {version}; use the version that wrote it. "
            "Nothing was touched"
        )
    return values


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV; the columns are the union of their keys, an absent value is an empty cell."""
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def write(aside: Path) -> None:
        with aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write a picture, uint8 ``(H, W)`` gray or ``(H, W, 3)`` RGB, in the format of the file's ending."""
    pixels = pixels if pixels.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    # Color at full resolution, or a thin line drawn on a photo turns gray; a PNG has no such choice.
    full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    ok, data = cv2.imencode(path.suffix, pixels, full if path.suffix == ".jpg" else [])
    if not ok:
        raise UserError(f"{path} could not be encoded")
    write_atomically(path, lambda p: p.write_bytes(data.tobytes()))


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
        except ValueError:
            values[name] = text
    return values


def read_settings(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings. Raises UserError when it is missing or holds no names and values."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read as settings: {os.strerror(error.errno)}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
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
        try:
            there = set(read_settings(path))
        except UserError:
            there = set()
        if not there or not there <= set(names):
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
