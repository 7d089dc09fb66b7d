"""Is there room on the disk? Asked before work starts, not after an hour of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from upcrack_lite.errors import UserError


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Compare the free space of the disk that `folder` is or will be on with what is needed.

    Args:
        folder: a folder, which need not exist yet.
        needed_bytes: how much will be written.
        what: what it is needed for, for the message: "unpacking data.zip".

    Raises:
        UserError: there is less room; the message says how much is needed and free.
    """
    nearest = Path(folder).absolute()
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    if free < needed_bytes:
        raise UserError(
            f"{what} needs {megabytes(needed_bytes)}, but only {megabytes(free)} are free at {nearest}: "
            "free space there, or name a folder on another disk"
        )


def megabytes(count: int) -> str:
    """Write a number of bytes in MB of a million bytes, as disks are sold."""
    return f"{count / 1e6:,.1f} MB" if count >= 50_000 else f"{count:,} bytes"
