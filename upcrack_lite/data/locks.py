"""A lock file: one process at a time works on a target, and a killed one does not block the next."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from upcrack_lite.errors import UserError

_held: set[str] = set()  # tokens of the locks that this process holds now
_WRITE_SECONDS = 10  # an empty lock file is one that is being written, or was left by a crash this long ago


@contextlib.contextmanager
def only_process(lock: Path, doing: str) -> Iterator[None]:
    """Hold a lock file while the block runs; it names the process, so that a dead one's is taken over.

    A process is only known on its own machine. A lock that another machine left, over a shared folder, is
    never taken over; the message then says which file to delete.

    Args:
        lock: the lock file; its folder must exist.
        doing: what is done to what, for the message: "downloading data.zip".

    Raises:
        UserError: another process holds the lock, or the file cannot be written.
    """
    token = f"{os.getpid()} {socket.gethostname()} {uuid.uuid4().hex}"
    for _ in range(100):  # once, or a second until a dead process's lock is out of the way
        if _create(lock, token):
            break
        holder = _read(lock)
        if holder is None:
            continue  # released between the two looks
        if not _left_behind(holder, lock):
            raise _held_by(holder, lock, doing)
        _take_away(lock, holder)
    else:
        raise _held_by(_read(lock) or "", lock, doing)
    _held.add(token)
    try:
        yield
    finally:
        _held.discard(token)
        with contextlib.suppress(OSError):
            if _read(lock) == token:  # never another's
                lock.unlink()


def _create(lock: Path, token: str) -> bool:
    """Make the lock file; return False if it is there. The mode "x" does both in one step (O_EXCL)."""
    try:
        with lock.open("x", encoding="utf-8") as file:
            file.write(token)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(
            f"{lock} cannot be written ({error.strerror}): name a folder that you may write to"
        ) from None
    return True


def _read(lock: Path) -> str | None:
    try:
        return lock.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _left_behind(holder: str, lock: Path) -> bool:
    """Return True if the process that wrote this lock is surely gone."""
    try:
        pid, host, _ = holder.split(" ")
        number = int(pid)
    except ValueError:
        return _age(lock) > _WRITE_SECONDS
    if host != socket.gethostname():
        return False
    if number == os.getpid():
        return holder not in _held  # an earlier process had our number, as happens in containers
    return not alive(number)


def alive(pid: int) -> bool:
    """Return False if no process of this machine has this number; True also where that cannot be told."""
    if os.name == "nt":
        return True  # signal 0 is Ctrl-C on Windows, so it is not asked there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # it runs, under another user
    return True


def _take_away(lock: Path, holder: str) -> None:
    """Remove a dead process's lock, but not the one that a quicker process has just put in its place.

    Between looking and removing nobody else may remove it: a second file sees to that.
    """
    claim = lock.with_name(f"{lock.name}.takeover")
    if not _create(claim, holder):
        if _age(claim) > _WRITE_SECONDS:  # its process was killed within these few lines
            claim.unlink(missing_ok=True)
        time.sleep(0.01)
        return
    try:
        if _read(lock) == holder:
            lock.unlink(missing_ok=True)
    finally:
        claim.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Return the seconds since a file was written, 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _held_by(holder: str, lock: Path, doing: str) -> UserError:
    pid, host, *_ = [*holder.split(" "), "", ""]
    who = f"process {pid} on {host}" if pid.isdigit() and host else "another process"
    return UserError(
        f"{who} is {doing} now: wait until it ends, then call again. "
        f"If there is no such process, delete {lock}"
    )
