"""The tests that are marked gpu, where pytest is there."""

from __future__ import annotations

import subprocess
import sys

import needs
from part import FAILED, PASSED, ROOT, SKIPPED, Part, parser


def main() -> int:
    """Command line; the exit code is 1 if a test failed."""
    args = parser(__doc__).parse_args()
    with Part("tests", args.out) as part:
        if args.device == "cpu":
            part.add("tests marked gpu", SKIPPED, "this is a rehearsal on a CPU, where they skip themselves")
            return part.code
        lacking = needs.missing({"pytest"} | needs.of_module(needs.TRAINING))
        if lacking:
            part.add("tests marked gpu", SKIPPED, f"not installed here: {', '.join(lacking)}")
            return part.code
        # Files without such a test are left out: they may import what is not here.
        marked = [p for p in sorted((ROOT / "tests").glob("test_*.py")) if "mark.gpu" in p.read_text("utf-8")]
        # pytest's settings name a plugin's option that may be missing here, so they are given in words.
        words = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", "-c", "/dev/null"]
        words += ["-p", "no:cacheprovider", "--rootdir", str(ROOT)]
        for file in marked:
            got = subprocess.run([*words, str(file)], capture_output=True, text=True, cwd=ROOT)
            print(got.stdout[-6000:], got.stderr[-2000:])
            lines = got.stdout.strip().splitlines()
            last = lines[-1] if lines else got.stderr[-300:]
            skipped = [line for line in lines if line.startswith("SKIPPED")]
            verdict = PASSED if got.returncode == 0 else FAILED
            if verdict == PASSED and skipped and " passed" not in last:
                verdict = SKIPPED
            part.add(file.name, verdict, "; ".join([last, *skipped]))
    return part.code


if __name__ == "__main__":
    sys.exit(main())
