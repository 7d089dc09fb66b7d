"""All parts of the GPU check, one after another, each a process of its own; `ci/gpu.sh` calls it.

A part that crashes or outruns its time does not stop the others. The report is written after each.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import needs
import report
from part import FAILED, PASSED, ROOT, SKIPPED, parser

# Part, script, and the seconds after which it is stopped, for budget small and full; None never stops it.
PARTS = {
    "preflight": ("preflight.py", 120, 120),
    "tests": ("gpu_tests.py", 300, 600),
    "compare": ("compare.py", 300, 600),
    "rows": ("rows.py", 400, 900),
    "chapters": ("chapters.py", 480, 1800),
    "real": ("real.py", 480, None),
}
REHEARSAL = 4  # a CPU may take so many times longer


def run_part(words: list[str], log: Path, limit: float | None) -> int | None:
    """Run a part and copy what it prints to the screen and to a log; None: it was stopped at its limit."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, cwd=ROOT
    )
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        os.killpg(process.pid, signal.SIGKILL)  # its children too

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit or 0)
    try:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stdout:
                print(line, end="", flush=True)
                file.write(line)
        code = process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None if stopped else code


def has_card() -> bool:
    """True if PyTorch is there and sees a graphics card."""
    if not needs.is_there("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def main() -> int:
    """Command line; exit code 0 if all that ran passed, 1 if something failed, 2 if nothing was tried."""
    made = parser(__doc__)
    made.add_argument("--steps", default="", help=f"with commas, of {', '.join(PARTS)}")
    made.add_argument("--only", default="", help="chapters to run, with commas")
    made.add_argument("--data", type=Path)
    made.add_argument("--runs", type=Path)
    made.add_argument("words", nargs="*", help="of ci/real.py, after --")
    args = made.parse_args()
    names = [name for name in args.steps.split(",") if name] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no step named {', '.join(unknown)}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if args.data and not args.data.is_dir():
        print(f"DATA={args.data} is not a folder", file=sys.stderr)
        return 2
    if args.device == "cuda" and needs.is_there("torch") and not has_card():
        print(
            "PyTorch sees no graphics card here, so nothing was checked. DEVICE=cpu rehearses on a CPU.",
            file=sys.stderr,
        )
        return 2
    out = args.out.absolute()
    for folder in ("parts", "logs", "notebooks", "rows"):  # records of real photos stay
        shutil.rmtree(out / folder, ignore_errors=True)
    settings = {"device": args.device, "budget": args.budget, "data": "given" if args.data else "none"}
    for number, name in enumerate(names, 1):
        script, *limits = PARTS[name]
        limit = limits[args.budget == "full"]
        limit = limit * REHEARSAL if limit and args.device == "cpu" else limit
        words = [sys.executable, "-u", str(ROOT / "ci" / script), "--out", str(out)]
        words += ["--device", args.device, "--budget", args.budget]
        words += ["--only", args.only] if name == "chapters" and args.only else []
        for option in ("data", "runs"):
            value = getattr(args, option)
            words += [f"--{option}", str(value.absolute())] if name == "real" and value else []
        words += args.words if name == "real" else []
        print(f"\n== {name} ({number} of {len(names)})", flush=True)
        code = run_part(words, out / "logs" / f"{name}.log", limit)
        if code is None:
            print(f"== {name} was stopped after {limit:.0f} s", flush=True)
        made_report = report.write(out, names[:number], settings)
    skipped = [(p["part"], c) for p in made_report["parts"] for c in p["checks"] if c["verdict"] == SKIPPED]
    for part, check in skipped:
        print(f"NOT CHECKED: {part}, {check['name']}: {check['said']}")
    for part in made_report["parts"]:
        for check in part["checks"]:
            if check["verdict"] == FAILED:
                print(f"FAILED: {part['part']}, {check['name']}: {check['said']}")
    counts = ", ".join(f"{number} {word}" for word, number in made_report["counts"].items())
    print(f"\n{made_report['verdict']} on {args.device}: {counts} checks. {out / 'report.md'}")
    return int(made_report["verdict"] != PASSED)


if __name__ == "__main__":
    sys.exit(main())
