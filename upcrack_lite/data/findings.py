"""What a check says, and what it looks at. Chapter: the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from upcrack_lite.data.layouts import LAYOUTS
from upcrack_lite.data.manifest import Entry
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Photo, Survey

LEVELS = ("error", "warning", "note")
"""How bad a finding is: an error spoils scores, a warning asks you to look, a note is good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        check: short name of the check, such as `unpaired`.
        level: one of `LEVELS`.
        message: what is wrong and what to do, on one line.
        paths: the files in question, POSIX paths relative to the set's folder.
    """

    check: str
    level: str
    message: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """What the checks look at: a survey, and what its set is known to hold, where that is known."""

    survey: Survey
    source: Source | None = None
    expected: list[Entry] | None = None

    @cached_property
    def parts(self) -> dict[str, list[Photo]]:
        """The photos of each part, in the survey's order."""
        found: dict[str, list[Photo]] = {}
        for photo in self.survey.photos:
            found.setdefault(photo.part, []).append(photo)
        return found

    @cached_property
    def sha256(self) -> dict[str, str]:
        """The checksum of each file that could be read."""
        return {file.path: file.sha256 for file in self.survey.files if file.sha256}

    @property
    def name(self) -> str:
        """The set's name in a sentence."""
        return self.source.title if self.source else self.survey.folder.name


Check = Callable[[Case], Iterable[Finding]]


def pairs_of(photos: Iterable[Photo]) -> Iterator[Photo]:
    """Give the photos whose mask was read, so that `crack_share` is a number."""
    return (photo for photo in photos if photo.mask is not None and photo.crack_share is not None)


def pooled_share(photos: Iterable[Photo], of: str = "crack_share") -> float | None:
    """Return the percent of crack pixels among all pixels of the masks; None without a mask.

    Args:
        photos: photos of one part.
        of: `crack_share`, or `above_one_share` for what a CFD label gives if label 3 is taken for crack.
    """
    found = [(getattr(photo, of), photo.mask_size) for photo in photos]
    sizes = [(share, size[0] * size[1]) for share, size in found if share is not None and size is not None]
    total = sum(pixels for _, pixels in sizes)
    return sum(share * pixels for share, pixels in sizes) / total if total else None


def labeled(layout: str, part: str) -> bool:
    """Tell whether a part's photos come with masks in this layout."""
    splits = LAYOUTS[layout]
    return splits.get(part, next(iter(splits.values())))[1] is not None


def count(number: int, what: str) -> str:
    """Write `1 photo`, `2 photos`, `2 copies`."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("y") else f"{number} {what}s"


def wh(size: tuple[int, int]) -> str:
    """Write a (width, height) as width×height."""
    return f"{size[0]}×{size[1]}"


def few(names: Iterable[str], most: int = 3) -> str:
    """Write the first names and how many more there are."""
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
