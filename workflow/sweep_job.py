"""Run one job of the sweep: its output goes to a log, and a failure is printed with its reason.

    python workflow/sweep_job.py --log job.log --for SLUG [--for SLUG ...] -- COMMAND ...

A training that fails is a failure of each experiment that waits for it. Ctrl-C is no failure.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from alone import end_with_parent

_CHAPTER = re.compile(r"^Chapter \S+ failed: (?:UserError: )?(.*)")  # as workflow/run_notebook.py says it


class Stopped(Exception):
    """Somebody asked this job to end: the cluster at its time limit, or a user."""


def _stop(number: int, frame: object) -> None:
    raise Stopped(f"stopped from outside ({signal.Signals(number).name}): a time limit, or somebody's wish")


def run(words: list[str], log: Path, threads: int) -> str:
    """Run a command with its output in `log`; return what went wrong, empty if nothing did."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}  # no more than the job was given
    with log.open("wb") as file:
        job = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env=environment, preexec_fn=end_with_parent
        )
        try:
            status = job.wait()
        except (Stopped, KeyboardInterrupt):
            job.terminate()
            job.wait()
            raise
    if status == 0:
        return ""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}; most often the memory was too small"
    return error_in(log.read_text(encoding="utf-8", errors="replace"))


def error_in(log: str) -> str:
    """The line of a log that says what went wrong: what a chapter failed with, else the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    chapter = [match[1] for line in lines if (match := _CHAPTER.match(line))]
    return (chapter or lines or ["it ended without a message"])[-1].removeprefix("upcrack: ")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--for", dest="slugs", action="append", required=True, metavar="SLUG")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("words", nargs="+")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent()
    name, start = args.log.stem, time.monotonic()
    print(f"begins: {name}", file=sys.stderr)
    try:
        error = run(args.words, args.log, args.threads)
    except Stopped as stopped:
        error = str(stopped)
    except KeyboardInterrupt:
        return 130
    if not error:
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        print(f"done: {name} ({minutes} min {seconds:02d} s)", file=sys.stderr)
        return 0
    for slug in args.slugs:
        print(f"failed: {slug}: {error}", file=sys.stderr)
    print(f"  the whole log: {args.log}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
