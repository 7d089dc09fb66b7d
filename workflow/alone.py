"""Run a command that may run only once at a time, such as Snakemake in one folder.

    python workflow/alone.py LOCK COMMAND...

This process takes the lock and becomes the command. So the operating system gives the lock back when the command
ends, however it ends. Snakemake's own locks are files, which a killed one leaves behind for ever: with this lock it
runs with --nolock.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

BUSY = 75  # of sysexits.h: try again later


def main(lock: Path, command: list[str]) -> int:
    """Become the command; returns `BUSY` where another process has the lock, and says which."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.read(file, 20).decode() or "unknown"
        sys.stderr.write(
            f"The same is at work in this folder already (process {who}): wait for it, or end it.\n"
        )
        return BUSY
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}".encode())
    os.set_inheritable(file, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
