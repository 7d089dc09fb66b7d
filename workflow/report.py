"""Print how long each chapter took, and where the site is: the end of `make book`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def table(records: list[dict]) -> str:
    """Return chapter, seconds and threads as aligned lines, with the total."""
    lines = [f"  {'chapter':<28}{'seconds':>8}{'threads':>9}"]
    lines += [f"  {r['chapter']:<28}{r['seconds']:>8.0f}{r['threads']:>9}" for r in records]
    minutes = sum(r["seconds"] * r["threads"] for r in records) / 60
    return "\n".join([*lines, f"  all chapters: {minutes:.1f} core-minutes"])


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    build = parser.parse_args().build
    staged = {path.stem for path in (build / "stage/notebooks").glob("*.ipynb")}
    paths = sorted(path for path in (build / "run").glob("*.json") if path.stem in staged)
    site = json.loads((build / "site.json").read_text(encoding="utf-8"))
    print("\n" + table([json.loads(path.read_text(encoding="utf-8")) for path in paths]))
    print("  (as of the last run of each: a chapter runs again only when something it needs has changed)\n")
    if site["real"]:
        print("Built with real photos: for reading, not for publishing.")
    print(f"The book: {Path(site['index']).absolute()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
