"""Write what a widget's sliders say as a parameter file for papermill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from upcrack_lite.errors import UserError
from upcrack_lite.io import write_text


def write_parameters(path: Path | str, parameters: Mapping[str, Any]) -> Path:
    """Write a YAML file for ``papermill IN OUT -f path``; written aside, then renamed.

    An earlier file of the same parameters is replaced. Returns the path. Raises UserError when the folder is
    missing, the path names a folder or a file that is something else, or it cannot be written.
    """
    if not str(path).strip():
        raise UserError("name a file to export to, such as parameters.yaml")
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:  # "~name" of nobody
        raise UserError(f"{path} cannot be found: {error}") from error
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}: make it, or name a file in another one")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file in it, such as {path / 'parameters.yaml'}")
    if path.exists() and not _holds(path, parameters):
        raise UserError(f"{path} exists and is no parameter file: name another one; it was not touched")
    text = yaml.safe_dump(dict(parameters), sort_keys=False)
    write_text(path, text)
    return path


def _holds(path: Path, parameters: Mapping[str, Any]) -> bool:
    """True when the file holds nothing but values of these parameters, so that it may be replaced."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(found, dict) and bool(found) and set(found) <= set(parameters)
