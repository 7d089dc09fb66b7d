"""Lists of a set's files with sizes and checksums: made, stored as CSV, compared. Chapter: the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upcrack_lite.roads.survey import File, Survey


@dataclass(frozen=True)
class Entry(File):
    """One line of a manifest: the facts of a `File`, and a note for the reader."""

    note: str = ""


@dataclass(frozen=True)
class Difference:
    """One file that is not as the manifest says.

    Attributes:
        path: relative to the set's folder.
        kind: `missing` (in the manifest only), `extra` (on disk only) or `changed`.
        detail: what differs, in words.
        note: the note of the expected entry.
    """

    path: str
    kind: str
    detail: str
    note: str


def entries_of(survey: Survey) -> list[Entry]:
    raise NotImplementedError


def write(path: str | Path, entries: list[Entry]) -> None:
    raise NotImplementedError


def read(path: str | Path) -> list[Entry]:
    raise NotImplementedError


def digest(entries: list[Entry]) -> str:
    raise NotImplementedError


def packaged(name: str) -> Path | None:
    raise NotImplementedError


def compare(entries: list[Entry], expected: list[Entry]) -> list[Difference]:
    raise NotImplementedError
