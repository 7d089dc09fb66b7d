"""What speaks to a person: an error names the thing that is wrong and the remedy, a note how input was taken."""

from __future__ import annotations

import warnings

_LISTED = 20  # problems shown in one message
_said: set[str] = set()  # the notes that were shown


class UserError(ValueError):
    """Input that cannot be used. `upcrack` prints it as plain text and exits with status 2."""


def listed(problems: list[str], title: str) -> str:
    """A title and the problems under it, the first 20 in full."""
    shown, more = problems[:_LISTED], len(problems) - _LISTED
    lines = [f"{title} ({len(problems)}):", *shown, *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join(lines)


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
