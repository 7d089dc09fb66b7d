"""The one exception that speaks to a person: it names the thing that is wrong and the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """Input that cannot be used. `upcrack` prints it as plain text and exits with status 2."""
