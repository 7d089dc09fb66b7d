"""The benchmark of the data steps ends, and cleans up, also when a step fails or there is no room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "data_speed.py"
pytestmark = pytest.mark.timeout(120)


def small_set(folder: Path, pairs: int = 2) -> Path:
    rng = np.random.default_rng(0)
    for part in ("image", "mask"):
        (folder / part).mkdir(parents=True)
    for name in range(pairs):
        Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(
            folder / "image" / f"{name}.jpg"
        )
        mask = np.zeros((300, 300), np.uint8)
        mask[:3] = 255
        Image.fromarray(mask).save(folder / "mask" / f"{name}.png")
    return folder


def run(folder: Path, work: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script, or `code` in place of it, in a process of its own."""
    command = [sys.executable, *(["-c", code] if code else [str(SCRIPT)]), str(folder), "--times", "2"]
    return subprocess.run(
        [*command, "--work", str(work)], capture_output=True, text=True, timeout=100, check=False
    )


def test_a_step_that_fails_ends_the_benchmark(tmp_path):
    folder = small_set(tmp_path / "set")
    # The step's process reads what the script's own one, with this change to it, has written.
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import data_speed
real = data_speed.blown_up
def damaged(source, target, times):
    real(source, target, times)
    for path in (target / "mask").iterdir():
        path.write_bytes(b"no mask")
    return target
data_speed.blown_up = damaged
data_speed.STEPS = (data_speed.in_memory,)
if __name__ == "__main__":
    data_speed.main()
"""
    done = run(folder, tmp_path / "work", code)
    assert done.returncode == 1
    assert "the step in_memory failed" in done.stderr
    assert "is not an image" in done.stderr, "the step's own message is shown too"
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
def test_all_steps_are_measured_and_the_copies_removed(tmp_path):
    done = run(small_set(tmp_path / "set", 60), tmp_path / "work")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    steps = ("check", "crop", "prepare", "in_memory")
    assert list(rows) == [f"{step} x{times}" for times in (1, 2) for step in steps]
    assert not list((tmp_path / "work").iterdir())


def test_room_is_asked_for_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import data_speed

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    monkeypatch.setattr(
        sys, "argv", ["data_speed.py", str(small_set(tmp_path / "set")), "--work", str(tmp_path / "w")]
    )
    with pytest.raises(SystemExit, match=r"the copies of the set needs .* only 0.0 MB are free"):
        data_speed.main()
    assert not (tmp_path / "w").exists()
