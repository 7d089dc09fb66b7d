"""Where numbers come from: a digest of the kit, and how a commit is named.

Both are kept for those who look for a difference, and never compared: a changed comment makes nothing stale.
What does is in `upcrack_lite.versions`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import upcrack_lite

COMMIT = r"[0-9a-f]{7,40}"
"""What a commit is named by, as a regular expression."""


@cache
def code_digest() -> str:
    """SHA-256 over all Python files of the kit, with their names."""
    root, total = Path(upcrack_lite.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return total.hexdigest()
