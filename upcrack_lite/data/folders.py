"""Write a folder atomically, by one process at a time, and ask beforehand whether there is room for it."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable

IN_MEMORY = 2**30
"""So many bytes of photos are held in memory."""


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into; it takes the name `target` when the block ends without an error.

    A target is never replaced, unless it is an empty folder. A killed process leaves its hidden folder `.NAME.part`
    beside `target`, which the next call clears away.
    Raises UserError: another process is writing `target`, it exists, or it cannot be written.
    """
    target = target.absolute()
    stage, held = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.lock")
    check_writable(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(held, timeout=0):
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            try:
                yield stage
                if taken(target):
                    raise UserError(f"{target} exists: give another name, or delete it")
                stage.rename(target)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
                held.unlink(missing_ok=True)
    except Timeout:
        raise UserError(
            f"another process is writing {target} now: wait until it ends, then call again"
        ) from None
    except OSError as error:
        raise UserError(
            f"{target} could not be written ({error}): free space, or name a folder that you may write to"
        ) from error


def taken(target: Path) -> bool:
    """Tell whether a file, or a folder that is not empty, has this name already."""
    return target.is_file() or (target.is_dir() and any(target.iterdir()))


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise UserError where the disk that `folder` is or will be on has less room than `what` needs."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if free < needed_bytes:
        raise UserError(
            f"{what} needs {needed_bytes / 1e6:,.1f} MB, but only {free / 1e6:,.1f} MB are free at {nearest}: "
            "free space there, or name a folder on another disk"
        )


def blank_images(count: int, size: int) -> np.ndarray:
    """Room for square photos, uint8 `(N, S, S, 3)`, with any content: beyond `IN_MEMORY` in a temporary file.

    The system writes such photos out when memory is short, and the file goes with the array.
    Raises UserError where that file's disk is too full.
    """
    shape = (count, size, size, 3)
    if math.prod(shape) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    check_space(
        Path(tempfile.gettempdir()), math.prod(shape), f"a file for {count} photos, which TMPDIR moves,"
    )
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, np.uint8, "w+", shape=shape))
