"""What this machine has: packages with versions, graphics cards, driver, memory; and what is missing for what."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import needs
from part import FAILED, PASSED, ROOT, SKIPPED, Part, parser

# What else is used where it is there.
EXTRAS = {
    "papermill": "executed notebooks instead of text logs",
    "nbformat": "executed notebooks instead of text logs",
    "ipykernel": "executed notebooks instead of text logs",
    "pytest": "the tests that are marked gpu",
    "ipywidgets": "the widgets of chapters 4 and 14",
    "great_tables": "the layout of tables",
    "typer": "the command line; this check does without",
}


def cards() -> list[str]:
    """Name, driver and memory of each graphics card, as nvidia-smi says them; empty where it is not there."""
    if not shutil.which("nvidia-smi"):
        return []
    words = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,memory.free",
        "--format=csv,noheader",
    ]
    got = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return got.stdout.strip().splitlines() if got.returncode == 0 else []


def version(module: str) -> str:
    """The version of the package that a module belongs to; "?" where its package does not say."""
    names = importlib.metadata.packages_distributions().get(module, [])
    return importlib.metadata.version(names[0]) if names else "?"


def memory_gib() -> float:
    """Memory of the machine, GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def main() -> int:
    """Command line; the exit code is 1 if training or scoring cannot run here."""
    args = parser(__doc__).parse_args()
    with Part("preflight", args.out) as part:
        trained, scored = needs.of_module(needs.TRAINING), needs.of_module(needs.SCORING)
        shown: dict[str, set[str]] = {}
        for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
            for name in needs.of_notebook(path):
                shown.setdefault(name, set()).add(path.stem)
        every = sorted(trained | scored | set(shown) | set(EXTRAS))
        part.facts = {
            "python": sys.version.split()[0],
            "executable": Path(sys.executable).name,
            "platform": platform.platform(terse=True),
            "cores": os.cpu_count(),
            "memory_gib": round(memory_gib(), 1),
            "commit": os.environ.get("UPCRACK_COMMIT"),
            "cards": cards(),
            "packages": {name: version(name) for name in every if needs.is_there(name)},
            "missing": needs.missing(set(every)),
        }
        there = ", ".join(f"{name} {number}" for name, number in part.facts["packages"].items())
        part.add("packages", PASSED, f"Python {part.facts['python']}; {there}")
        for what, names in (("training", trained), ("scoring and records", scored)):
            lacking = needs.missing(names)
            wheels = " ".join(needs.WHEELS.get(name, name) for name in lacking)
            part.judge(
                what,
                not lacking,
                f"not installed here: {', '.join(lacking)}. Elsewhere: `pip download --no-deps -d wheels "
                f"--python-version {sys.version_info.major}.{sys.version_info.minor} --only-binary :all: {wheels}`; "
                "then GPU_WHEELS=wheels"
                if lacking
                else f"all {len(names)} packages are there",
            )
        for name in sorted(set(part.facts["missing"]) - scored - trained):
            uses = [EXTRAS[name]] if name in EXTRAS else sorted(shown[name])
            part.add(name, SKIPPED, f"not installed here; it is for {', '.join(uses)}")
        _card(part, args.device)
    return part.code


def _card(part: Part, device: str) -> None:
    """Does PyTorch see a card, and can it compute there?"""
    if device == "cpu":
        part.add("graphics card", SKIPPED, "this is a rehearsal on a CPU")
        return
    if not needs.is_there("torch"):
        part.add("graphics card", FAILED, "PyTorch is not installed here")
        return
    import torch

    if not torch.cuda.is_available():
        part.add("graphics card", FAILED, f"PyTorch {torch.__version__} sees none")
        return
    said = []
    for index in range(torch.cuda.device_count()):
        has = torch.cuda.get_device_properties(index)
        said.append(
            f"{has.name}, {has.total_memory / 2**30:.0f} GiB, compute capability {has.major}.{has.minor}"
        )
    x = torch.eye(64, device="cuda")
    good = bool(torch.equal(x @ x, x))
    said.append(f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}; nvidia-smi: {cards()}")
    part.facts["gpus"] = said
    part.judge("graphics card", good, "; ".join(said))


if __name__ == "__main__":
    sys.exit(main())
