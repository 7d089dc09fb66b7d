"""report.json and report.md from what the parts have written: what ran, how long it took, and the verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from part import FAILED, PASSED, SKIPPED, parser, write_text

MARKS = {PASSED: "passed", FAILED: "**FAILED**", SKIPPED: "**skipped**"}


def verdict(part: dict[str, Any]) -> str:
    """Failed if a check failed or the part was killed, skipped if none ran, else passed."""
    verdicts = {check["verdict"] for check in part["checks"]}
    if FAILED in verdicts or not part["ended"]:
        return FAILED
    return PASSED if PASSED in verdicts else SKIPPED


def collect(out: Path, names: list[str]) -> dict[str, Any]:
    """The report as plain values; a part that has written nothing has failed."""
    parts = []
    for name in names:
        file = out / "parts" / f"{name}.json"
        part = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else _nothing(name, out)
        parts.append(part | {"verdict": verdict(part)})
    checks = [check for part in parts for check in part["checks"]]
    counts = {word: sum(check["verdict"] == word for check in checks) for word in (PASSED, FAILED, SKIPPED)}
    worked = any(part["verdict"] == PASSED for part in parts if part["part"] != "preflight")
    good = not any(part["verdict"] == FAILED for part in parts) and (worked or names == ["preflight"])
    return {"verdict": PASSED if good else FAILED, "counts": counts, "parts": parts}


def _nothing(name: str, out: Path) -> dict[str, Any]:
    log = out / "logs" / f"{name}.log"
    lines = log.read_text(encoding="utf-8").strip().splitlines() if log.is_file() else []
    why = f"it wrote nothing; its log ends: {lines[-1] if lines else '(empty)'}"
    said = {"name": "to its end", "verdict": FAILED, "said": why, "seconds": 0}
    return {"part": name, "ended": False, "seconds": 0, "checks": [said], "facts": {}}


def text(report: dict[str, Any], settings: dict[str, Any]) -> str:
    """The report for a person, as Markdown."""
    counts = report["counts"]
    lines = ["# The kit on this machine", ""]
    lines += [
        f"**{report['verdict']}**: {counts[PASSED]} checks passed, {counts[FAILED]} failed, "
        f"{counts[SKIPPED]} were skipped. Settings: "
        + ", ".join(f"{name} {value}" for name, value in settings.items())
        + ".",
        "",
    ]
    facts = next((part["facts"] for part in report["parts"] if part["part"] == "preflight"), {})
    for name in ("gpus", "cards", "python", "cores", "memory_gib", "commit"):
        if facts.get(name):
            value = facts[name]
            lines.append(f"- {name}: {'; '.join(value) if isinstance(value, list) else value}")
    lines += [
        "",
        "| part | verdict | seconds | passed | failed | skipped |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    for part in report["parts"]:
        by = [sum(c["verdict"] == word for c in part["checks"]) for word in (PASSED, FAILED, SKIPPED)]
        ended = "" if part["ended"] else " (it did not end)"
        lines.append(
            f"| {part['part']} | {MARKS[part['verdict']]}{ended} | {part['seconds']:.0f} | "
            f"{by[0]} | {by[1]} | {by[2]} |"
        )
    for word, heading in ((FAILED, "What failed"), (SKIPPED, "What was skipped, and why")):
        found = [(p["part"], c) for p in report["parts"] for c in p["checks"] if c["verdict"] == word]
        if found:
            lines += ["", f"## {heading}", ""]
            lines += [f"- {part}, {_cell(c['name'])}: {_cell(c['said'])}" for part, c in found]
    for part in report["parts"]:
        lines += _table(part)
    return "\n".join(lines) + "\n"


def _table(part: dict[str, Any]) -> list[str]:
    lines = ["", f"## {part['part']}", ""]
    for name, value in part["facts"].items():
        if isinstance(value, str):
            lines.append(f"- {name}: {value}")
        elif isinstance(value, dict) and name in ("why", "limits"):
            lines += [f"- {key}: {why}" for key, why in value.items()]
    lines += ["", "| check | verdict | seconds | found |", "| --- | --- | --: | --- |"]
    for check in part["checks"]:
        found = f"{_cell(check['name'])} | {MARKS[check['verdict']]} | {check['seconds']:.1f}"
        lines.append(f"| {found} | {_cell(check['said'])} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def write(out: Path, names: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Write both files; return the report."""
    report = {"settings": settings} | collect(out, names)
    write_text(out / "report.json", json.dumps(report, indent=1) + "\n")
    write_text(out / "report.md", text(report, settings))
    return report


def main() -> int:
    """Write the report anew from the parts that are there."""
    args = parser(__doc__).parse_args()
    names = sorted(path.stem for path in (args.out / "parts").glob("*.json"))
    report = write(args.out, names, {"device": args.device, "budget": args.budget})
    return int(report["verdict"] != PASSED)


if __name__ == "__main__":
    sys.exit(main())
