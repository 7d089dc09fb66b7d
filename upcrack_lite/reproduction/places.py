"""Where the repository keeps records and runs, wherever a page is run from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def folder(name: str, given: Path | str = "") -> Path:
    """The folder that was given; where that is empty, the repository's own of this name, "results" or "runs"."""
    return Path(given) if str(given) else ROOT / name
