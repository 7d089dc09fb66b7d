"""Run a command that may run only once at a time, such as Snakemake in one folder, and end all of it together.

    python workflow/alone.py LOCK COMMAND...

The operating system gives the lock back when this process and the command have ended, however they ended. Snakemake's
own locks are files, which a killed one leaves behind for ever: with this lock it runs with --nolock. A signal to end
goes to the command and all its jobs, for Snakemake alone would wait for them. On Linux the end of the calling shell
counts as such a signal, and the jobs end with Snakemake (`end_with_parent`).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

BUSY = 75  # of sysexits.h: try again later
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Let Linux send this process a signal when its parent ends; elsewhere nothing can be asked for."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def main(lock: Path, command: list[str]) -> int:
    """Run the command; returns its status, or `BUSY` where another process has the lock, and says which."""
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
    end_with_parent()
    # Killed, not asked: Snakemake would wait for its jobs, which nobody has told to end.
    job = subprocess.Popen(
        command, process_group=0, pass_fds=[file], preexec_fn=lambda: end_with_parent(signal.SIGKILL)
    )

    def pass_on(number: int, frame: object) -> None:
        os.killpg(job.pid, signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = job.wait()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
