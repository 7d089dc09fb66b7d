"""The one exception that speaks to a person: it names the thing that is wrong and the remedy."""

from __future__ import annotations

_LISTED = 20  # problems shown in one message


class UserError(ValueError):
    """Input that cannot be used. `upcrack` prints it as plain text and exits with status 2."""


def listed(problems: list[str], title: str) -> str:
    """A title and the problems under it, the first 20 in full."""
    shown, more = problems[:_LISTED], len(problems) - _LISTED
    lines = [f"{title} ({len(problems)}):", *shown, *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join(lines)


def raise_for(problems: list[str], title: str) -> None:
    """Raise one `UserError` that lists the problems; do nothing for none."""
    if problems:
        raise UserError(listed(problems, title))
