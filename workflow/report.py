"""The end of `make book`: how long each chapter took and where the site is, or why there is none."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

LINES = 25  # of a log that are shown


def table(records: list[dict]) -> str:
    """Return chapter, seconds and threads as aligned lines, with the total."""
    lines = [f"  {'chapter':<28}{'seconds':>8}{'threads':>9}"]
    lines += [f"  {r['chapter']:<28}{r['seconds']:>8.0f}{r['threads']:>9}" for r in records]
    minutes = sum(r["seconds"] * r["threads"] for r in records) / 60
    return "\n".join([*lines, f"  all chapters: {minutes:.1f} core-minutes"])


def failure(path: Path) -> str:
    """Return what to say after Snakemake failed: the end of its log, where its jobs wrote of their errors too."""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = "\n".join(f"  {line}" for line in lines[-LINES:])
    began = any("RuleException" in line or "Error in rule" in line for line in lines)
    what = "Not everything could be built" if began else "The workflow could not start"
    return f"{what}. A chapter that failed says why above; this is the end of {path}:\n{said}"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument(
        "--failed", type=Path, metavar="LOG", help="say why Snakemake, whose messages these are, failed"
    )
    args = parser.parse_args()
    if args.failed:
        print(failure(args.failed), file=sys.stderr)
        return 1
    stage, run = args.build / "stage/notebooks", args.build / "run"
    staged = {path.relative_to(stage).with_suffix("") for path in stage.rglob("*.ipynb")}
    paths = sorted(path for path in run.rglob("*.json") if path.relative_to(run).with_suffix("") in staged)
    site = json.loads((args.build / "site.json").read_text(encoding="utf-8"))
    print("\n" + table([json.loads(path.read_text(encoding="utf-8")) for path in paths]))
    print("  (as of the last run of each: a chapter runs again only when something it needs has changed)\n")
    if site["real"]:
        print("Built with real photos: for reading, not for publishing.")
    print(f"The book: {Path(site['index']).absolute()}")
    print("Its pages that compute in the browser need a server, one for this machine alone: make site")
    return 0


if __name__ == "__main__":
    sys.exit(main())
