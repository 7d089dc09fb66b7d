"""The end of `make book`: how long each chapter took and where the site is, or why there is none.

python workflow/report.py BUILD [LOG]   LOG: what Snakemake said before it failed
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LINES = 25  # of a log that are shown


def done(build: Path) -> str:
    """Chapter, seconds and threads as aligned lines, with the total, and where the book is."""
    stage = build / "stage/notebooks"
    staged = sorted(path.relative_to(stage).with_suffix(".json") for path in stage.rglob("*.ipynb"))
    timed = [build / "run" / name for name in staged if (build / "run" / name).exists()]
    site, *chapters = (json.loads(path.read_text("utf-8")) for path in (build / "site.json", *timed))
    minutes = sum(one["seconds"] * one["threads"] for one in chapters) / 60
    lines = [f"\n  {'chapter':<28}{'seconds':>8}{'threads':>9}"]
    lines += [f"  {one['chapter']:<28}{one['seconds']:>8.0f}{one['threads']:>9}" for one in chapters]
    lines += [
        f"  all chapters: {minutes:.1f} core-minutes",
        "  (as of the last run of each: a chapter runs again only when something it needs has changed)\n",
        *(["Built with real photos: for reading, not for publishing."] if site["real"] else []),
        f"The book: {Path(site['index']).absolute()}",
        "Its pages that compute in the browser need a server, one for this machine alone: make site",
    ]
    return "\n".join(lines)


def failure(path: Path) -> str:
    """What to say after Snakemake failed: the end of its log, where its jobs wrote of their errors too."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = "\n".join(f"  {line}" for line in lines[-LINES:])
    began = any("RuleException" in line or "Error in rule" in line for line in lines)
    what = "Not everything could be built" if began else "The workflow could not start"
    return f"{what}. A chapter that failed says why above; this is the end of {path}:\n{said}"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(failure(Path(sys.argv[2])))
    print(done(Path(sys.argv[1])))
