"""Cells that were tried and failed: a small file each, so that a table page can say so.

    results/failed/SLUG.json    which cell, when, by which command, the error in a line, the name of its log

Git ignores the folder: a failure is of one machine, and goes away once the cell has a record.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError
from upcrack_lite.io import write_json
from upcrack_lite.reproduction.cells import Cell

FOLDER = "failed"
LONGEST = 300  # letters of an error that are kept; the log has them all

_CHAPTER = re.compile(r"^Chapter \S+ failed: (?:UserError: )?(.*)")  # as workflow/run_notebook.py says it
_PATH = re.compile(r"(?<![\w.…/])(?!(?<=:)//)(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"`,;]+[\\/])*([^\s\\/:'\"`,;]+)")


@dataclass(frozen=True)
class Failure:
    """One cell that failed. key: as `Cell.key`; when: in UTC; error: one line; log: a file's name, or empty."""

    key: dict[str, Any]
    when: str
    command: str
    error: str
    log: str

    @property
    def cell(self) -> Cell:
        """The cell. Raises UserError where this version of the kit does not know its values."""
        return Cell.from_key(self.key)


def note(cell: Cell, results: Path | str, error: str, log: Path | str = "", command: str = "") -> Path:
    """Write down that a cell failed; an earlier failure of the same cell is replaced.

    error: one line; paths of this machine are cut down to their last name. log: only its name is kept. command: how
    the cell can be tried again; empty takes `cell.command()`. Returns the file. Raises UserError when it cannot be
    written.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    failure = Failure(cell.key(), when, command or cell.command(), _line(error), Path(log).name)
    path = Path(results) / FOLDER / f"{cell.slug()}.json"
    write_json(path, asdict(failure))
    return path


def clear(cell: Cell, results: Path | str) -> None:
    """Forget that a cell failed; nothing happens where it did not."""
    (Path(results) / FOLDER / f"{cell.slug()}.json").unlink(missing_ok=True)


def load_all(results: Path | str) -> list[Failure]:
    """Read all failures under a folder of records, sorted by name; none where there is no such folder.

    Raises UserError for a file that is no failure; it names the file.
    """
    found = []
    for path in sorted((Path(results) / FOLDER).glob("*.json")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            failure = Failure(**values)
            if failure.cell.slug() != path.stem:
                raise ValueError(f"it tells of {failure.cell.slug()}")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError) as error:
            raise UserError(f"{path}: cannot be read as a failed cell ({error}); delete it") from None
        found.append(failure)
    return found


def error_in(log: str) -> str:
    """The line of a log that says what went wrong: what a chapter failed with, else the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    chapter = [match[1] for line in lines if (match := _CHAPTER.match(line))]
    return (chapter or lines or ["it ended without a message"])[-1].removeprefix("upcrack: ")


def _line(text: str) -> str:
    line = _PATH.sub(lambda match: f"…/{match[1]}", " ".join(text.split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
