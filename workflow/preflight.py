"""Look, before anything is installed, whether it can be: the folder's name, Python, `venv`, room on the disk.

Uses the standard library alone and runs on old Pythons too, so that they get a clear message.
"""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

# Measured: the default PyTorch with its CUDA libraries, and everything else.
GIGABYTES = {"default": 7, "cpu": 3, "system": 2}


def problems(torch, folder, version, free_gb, has_pip):
    """Return what stands in the way, as sentences; an empty list if nothing does."""
    found = []
    # venv refuses the colon, setuptools braces; make breaks at a new line, JSON at what is not UTF-8.
    if odd := re.findall(r"[:{}\x00-\x1f\x7f\udc80-\udcff]", str(folder)):
        found.append(
            f"the path of this folder, {str(folder)!a}, holds {odd[0]!a}, and no packages can be installed below. "
            "Rename or move the folder."
        )
    if not (3, 11) <= tuple(version) <= (3, 13):
        found.append(
            f"Python 3.11, 3.12 or 3.13 is needed; this one is {version[0]}.{version[1]} ({sys.executable}). "
            "Name another: make PYTHON=/path/to/python3.12"
        )
    if torch not in GIGABYTES:
        found.append(f"TORCH={torch} is unknown; choose one of: {', '.join(GIGABYTES)}.")
    elif free_gb < GIGABYTES[torch] and not os.environ.get("SKIP_DISK_CHECK"):
        found.append(
            f"The installation needs about {GIGABYTES[torch]} GB, and {folder} has {free_gb:.1f} GB free. Free some, "
            f"or take the smaller PyTorch without CUDA (make TORCH=cpu, {GIGABYTES['cpu']} GB). SKIP_DISK_CHECK=1 "
            "tries it all the same, which can work where uv has the files in its cache on the same disk."
        )
    if not has_pip:
        found.append("Python's venv cannot make environments here. On Debian: apt-get install python3-venv")
    return found


if __name__ == "__main__":
    has_pip = importlib.util.find_spec("ensurepip") is not None  # Debian has it in python3-venv
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    torch = sys.argv[1] if len(sys.argv) > 1 else "default"
    if found := problems(torch, Path.cwd(), sys.version_info[:2], free_gb, has_pip):
        sys.exit("".join(f"\nCannot install: {text}\n" for text in found))
