"""The benchmark of the data steps ends, and cleans up, also when a step fails or there is no room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_sets import make

from upcrack_lite.data import folders

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "data_speed.py"
pytestmark = pytest.mark.timeout(120)

# The step's process reads what the script's own one, with this change to it, has written.
DAMAGED = f"""
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


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words), "--times", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_step_that_fails_ends_the_benchmark(tmp_path):
    done = run("-c", DAMAGED, make(tmp_path / "set", "deepcrack"), "--work", tmp_path / "work")
    assert done.returncode == 1
    assert "the step in_memory failed" in done.stderr
    assert "is not an image" in done.stderr, "the step's own message is shown too"
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.slow
def test_all_steps_are_measured_and_the_copies_removed(tmp_path):
    done = run(SCRIPT, "--work", tmp_path / "work")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    steps = ("check", "crop", "prepare", "in_memory")
    assert list(rows) == [f"{step} x{times}" for times in (1, 2) for step in steps]
    assert not list((tmp_path / "work").iterdir())


def test_room_is_asked_for_before_a_byte_is_written(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import data_speed

    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: folders.shutil._ntuple_diskusage(9, 9, 0))
    monkeypatch.setattr(sys, "argv", ["data_speed.py", "--work", str(tmp_path / "w")])
    with pytest.raises(SystemExit, match=r"the copies of the set needs .* only 0\.0 MB are free"):
        data_speed.main()
    assert not (tmp_path / "w").exists()
