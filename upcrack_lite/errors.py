"""What speaks to a person: an error names the thing that is wrong and the remedy, a note how input was taken."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LISTED = 20  # problems shown in one message
_said: set[str] = set()  # the notes that were shown


class UserError(ValueError):
    """Input that cannot be used. `upcrack` prints it as plain text and exits with status 2."""


class FullDisk(UserError):
    """A file that found no room: whatever is written next will find none either."""


_NO_MEMORY = ("out of memory", "t allocate", "to allocate", "insufficient memory", "bad_alloc")


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Raise UserError, with the remedy, where Python, NumPy, OpenCV or PyTorch find too little memory for a block."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)):
            raise
        raise UserError(f"{what} needs more memory than there is: {remedy}") from error


def safe(text: str) -> str:
    """A text for a terminal: what would move the cursor, turn the writing or is no character of UTF-8 is replaced."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def listed(problems: list[str], title: str) -> str:
    """A title and the problems under it, the first 20 in full."""
    shown, more = problems[:_LISTED], len(problems) - _LISTED
    lines = [f"{title} ({len(problems)}):", *shown, *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join(lines)


def first_of(names: Sequence[str]) -> str:
    """The first three of some names, and whether there are others."""
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


class Note(UserWarning):
    """Input that is used, though it may be meant otherwise. `upcrack` prints it as plain text."""


def note(message: str) -> None:
    """Say how unusual input is read. The same message is shown once in a process."""
    if message not in _said:
        # Python's own memory of what it has shown is emptied whenever anyone changes a filter.
        _said.add(message)
        warnings.warn(message, Note, stacklevel=2)


def raise_for(problems: list[str], title: str) -> None:
    """Raise one `UserError` that lists the problems; do nothing for none."""
    if problems:
        raise UserError(listed(problems, title))
