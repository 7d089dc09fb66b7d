"""What the parts of the GPU check share: named checks with a verdict, written to OUT/parts/NAME.json.

Standard library alone, so that a machine that lacks everything still gets a report.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

TINY = {
    "size": 64,
    "depth": 6,
    "width": 4,
    "disc_width": 4,
    "load_size": 72,
    "mask_cells": (32, 16, 8),
}
"""The network of a rehearsal, far too small to learn anything."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. verdict: passed, failed or skipped; said: what was found, or why not."""

    name: str
    verdict: str
    said: str
    seconds: float


class Part:
    """Collects the checks of one part, and writes them when the `with` block ends, however it ends.

    Each check is written at once, so that a part that is killed leaves what it had found.
    """

    def __init__(self, name: str, out: Path) -> None:
        self.name, self.file = name, Path(out) / "parts" / f"{name}.json"
        self.checks: list[Check] = []
        self.facts: dict[str, Any] = {}
        self.began = self._last = time.monotonic()

    def __enter__(self) -> Part:
        self.file.unlink(missing_ok=True)  # nobody shall take an earlier result for this one
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            traceback.print_exception(error)
            self.add("to its end", FAILED, f"{kind.__name__}: {error}" if kind else "")
        self.save(ended=kind is None or isinstance(error, Exception))
        return isinstance(error, Exception)

    def add(self, name: str, verdict: str, said: str, seconds: float | None = None) -> None:
        """Note a check and print it. seconds: None takes the time since the check before."""
        now = time.monotonic()
        took = now - self._last if seconds is None else seconds
        self._last = now
        self.checks.append(Check(name, verdict, said, round(took, 2)))
        print(f"{verdict:8s} {name}: {said}", flush=True)
        self.save()

    def judge(self, name: str, good: bool, said: str, seconds: float | None = None) -> None:
        """Note a check that passed or failed."""
        self.add(name, PASSED if good else FAILED, said, seconds)

    def save(self, ended: bool = False) -> None:
        """Write the part aside, then rename it."""
        values = {
            "part": self.name,
            "ended": ended,
            "seconds": round(time.monotonic() - self.began, 1),
            "checks": [asdict(check) for check in self.checks],
            "facts": self.facts,
        }
        write_text(self.file, json.dumps(values, indent=1) + "\n")

    @property
    def code(self) -> int:
        """The exit code: 1 if a check failed."""
        return int(any(check.verdict == FAILED for check in self.checks))


def write_text(path: Path, text: str) -> None:
    """Write text aside, then rename it: a killed process leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every part takes."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--out", type=Path, default=ROOT / "build" / "gpu", help="the folder of the report")
    made.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    made.add_argument("--budget", choices=("small", "full"), default="small")
    return made


def missing_part(part: Part, missing: list[str], what: str) -> bool:
    """Note that a whole part is skipped because packages are missing; True if so."""
    if missing:
        part.add(what, SKIPPED, f"not installed here: {', '.join(missing)}")
    return bool(missing)
