"""Every chapter, from top to bottom: normal parameters on a graphics card, the smallest in a rehearsal on a CPU.

With papermill, nbformat and ipykernel the executed notebooks are kept; without them the chapters run as plain scripts
and their text logs are kept. The chapters choose their device themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import needs
from part import FAILED, PASSED, ROOT, SKIPPED, Part, parser
from plain_run import LACKS

THREADS = 2  # of each chapter


def command(notebook: Path, out: Path, smoke: bool, papermill: bool) -> tuple[list[str], Path]:
    """The words that run a chapter, and the file that it leaves."""
    name = notebook.relative_to(ROOT / "notebooks").with_suffix("").as_posix().replace("/", "-")
    file = (out / "notebooks" / name).with_suffix(".ipynb" if papermill else ".log").absolute()
    script = ROOT / ("workflow/run_notebook.py" if papermill else "ci/plain_run.py")
    words = [sys.executable, str(script), str(notebook), str(file)]
    words += ["--threads", str(THREADS)] if papermill else []
    return words + (["--smoke"] if smoke else []), file


def run_one(words: list[str], limit: float) -> tuple[int | None, str, float]:
    """Exit code (None: longer than `limit` seconds), what it printed, and seconds."""
    began = time.monotonic()
    try:
        got = subprocess.run(words, capture_output=True, text=True, timeout=limit, env=_environment())
        code, said = got.returncode, got.stdout + got.stderr
    except subprocess.TimeoutExpired:
        code, said = None, f"longer than {limit:.0f} s"
    return code, said, time.monotonic() - began


def _environment() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return os.environ | {name: str(THREADS) for name in names}


def main() -> int:
    """Command line; the exit code is 1 if a chapter failed."""
    made = parser(__doc__)
    made.add_argument("--only", default="", help="chapters, with commas: 03_data,tables/table_4")
    made.add_argument("--plain", action="store_true", help="as plain scripts, although papermill is there")
    made.add_argument("--limit", type=float, default=400, help="seconds for one chapter")
    args = made.parse_args()
    with Part("chapters", args.out) as part:
        every = {
            p.relative_to(ROOT / "notebooks").with_suffix("").as_posix(): p
            for p in sorted((ROOT / "notebooks").rglob("*.ipynb"))
            if ".ipynb_checkpoints" not in p.parts
        }
        wanted = [name for name in args.only.split(",") if name] or list(every)
        for name in [name for name in wanted if name not in every]:
            part.add(name, FAILED, f"there is no such chapter; there are {', '.join(every)}")
        lacking = needs.missing({"papermill", "nbformat", "ipykernel"})
        papermill = not lacking and not args.plain
        how = "with papermill" if papermill else "as plain scripts"
        part.facts |= {"how": how, "parameters": "smoke" if args.device == "cpu" else "normal"}
        jobs = {
            name: command(every[name], args.out, args.device == "cpu", papermill)
            for name in wanted
            if name in every
        }
        with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // THREADS)) as pool:
            results = {n: pool.submit(run_one, words, args.limit) for n, (words, _) in jobs.items()}
            for name, result in results.items():
                code, said, seconds = result.result()
                last = said.strip().splitlines()[-1] if said.strip() else "it printed nothing"
                verdict = {0: PASSED}.get(code, FAILED)
                if code == LACKS and not papermill:
                    verdict = SKIPPED
                elif verdict == FAILED:
                    print(said[-6000:])
                    last = next((line for line in said.splitlines() if line.startswith("Chapter ")), last)
                part.add(name, verdict, f"{how}: {last.strip()}", seconds)
    return part.code


if __name__ == "__main__":
    sys.exit(main())
