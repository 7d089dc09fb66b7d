"""Write a folder aside, then rename it: whoever looks finds the whole folder or none."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from upcrack_lite.data.locks import alive
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}
_LISTED = 5  # differing files shown in one message


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target` to write into; it takes the name `target` when the block is left.

    A folder `target` that holds the same files is left alone, and none is ever removed. After an error nothing
    stays behind. A killed process leaves its hidden folder `.NAME.PID@HOST.….part` beside `target`; the next call
    on that machine clears it away.

    Raises:
        UserError: `target` exists with other content, or cannot be written, or a file that the block reads from
            elsewhere cannot be used; the message names that file then.
    """
    target = target.absolute()
    check_writable(target.parent)
    _clear_left(target)
    aside = target.with_name(f".{target.name}.{os.getpid()}@{_HOST}.{uuid.uuid4().hex[:8]}.part")
    try:
        aside.mkdir(parents=True)
        yield aside
        if taken(target):
            _refuse_other(target, aside)
        else:
            aside.rename(target)
    except OSError as error:
        raise _told(error, target, aside) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # after an error or a repetition; renamed away otherwise


def _clear_left(target: Path) -> None:
    """Remove what processes of this machine left beside `target` when they were killed."""
    left = re.compile(rf"\.{re.escape(target.name)}\.(\d+)@{re.escape(_HOST)}\.[0-9a-f]{{8}}\.part")
    for path in target.parent.iterdir() if target.parent.is_dir() else ():
        found = left.fullmatch(path.name)
        if found and not alive(int(found[1])) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _told(error: OSError, target: Path, aside: Path) -> UserError:
    """Blame the file that is at fault: one that is read from elsewhere, or else the target."""
    named = [Path(os.fsdecode(name)) for name in (error.filename,) if isinstance(name, str | bytes | Path)]
    elsewhere = [path for path in named if not path.absolute().is_relative_to(aside) and path != target]
    why = error.strerror or error
    if elsewhere and error.errno not in _FULL:  # a copy onto a full disk names the file that it reads
        return UserError(f"{elsewhere[0]} cannot be used ({why}): see that it is there and may be read")
    return UserError(
        f"{target} cannot be written ({why}): free space, or name a folder that you may write to"
    )


def taken(target: Path) -> bool:
    """Tell whether a file, or a folder that is not empty, has this name already."""
    return target.is_file() or (target.is_dir() and any(target.iterdir()))


def _refuse_other(target: Path, made: Path) -> None:
    """Raise `UserError` that names the files in which the folder `target` differs from the one just made."""
    if not target.is_dir():
        raise UserError(f"{target}: is a file; give another name for the folder")
    expected, there = _files(made), _files(target)
    differences = [f"{name}: is not there" for name in sorted(expected - there)]
    differences += [f"{name}: does not belong there" for name in sorted(there - expected)]
    differences += [
        f"{name}: has other content"
        for name in sorted(expected & there)
        if not filecmp.cmp(target / name, made / name, shallow=False)
    ]
    if differences:
        more = f"\n  and {len(differences) - _LISTED} more" if len(differences) > _LISTED else ""
        raise UserError(
            f"{target}: exists with other content ({len(differences)} files); "
            "give another folder, or delete this one and try again:\n  "
            + "\n  ".join(differences[:_LISTED])
            + more
        )


def _files(folder: Path) -> set[str]:
    """List the files below a folder by relative path, without the hidden ones that file managers leave."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not path.name.startswith(".")}
