"""Terms of use: shown and accepted once for each set, before anything is downloaded or copied."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from upcrack_lite.data.sources import Source
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_json

_FILE = ".accepted-terms.json"


def accept(source: Source, root: Path, accepted: bool) -> None:
    """Note in `root` that the terms of a set are accepted.

    Raises:
        UserError: they are not, now or earlier; the message holds the terms and says how to accept them.
    """
    path = root / _FILE
    noted = _noted(path)
    if noted.get(source.name, {}).get("terms") == source.terms:
        return
    if not accepted:
        raise UserError(
            f"{source.title}. Terms of use: {source.terms}\n"
            f"Please cite: {source.cite}\n"
            f"If you accept these terms, add --accept-terms. You are asked once."
        )
    noted[source.name] = {
        "terms": source.terms,
        "accepted": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(path, noted)


def accepted(source: Source, root: Path) -> bool:
    """Return True if the terms of a set, as they are now, were accepted in `root`."""
    return _noted(root / _FILE).get(source.name, {}).get("terms") == source.terms


def _noted(path: Path) -> dict[str, dict[str, str]]:
    """Read the notes. A file that cannot be read counts as none: the worst is to be asked again."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
