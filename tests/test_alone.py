"""One workflow in a folder at a time; a killed one leaves nothing behind that stops the next."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ALONE = Path(__file__).parents[1] / "workflow/alone.py"


def start(lock, *command):
    words = [sys.executable, str(ALONE), str(lock), *command]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_a_second_one_is_refused_until_the_first_is_gone_however_it_ended(tmp_path, end):
    lock = tmp_path / "new" / "book.lock"
    with start(lock, "sh", "-c", "echo begun; exec sleep 60") as first:
        assert first.stdout.readline() == "begun\n"
        second = start(lock, "true")
        said = second.communicate()[1]
        assert second.returncode == 75
        assert f"process {first.pid}" in said
        getattr(first, end)()
        first.wait()
    for _ in range(2):
        third = start(lock, "sh", "-c", "exit 3")
        third.communicate()
        assert third.returncode == 3


def test_jobs_of_a_killed_workflow_do_not_hold_its_lock(tmp_path):
    """A job that Python starts does not inherit the lock, as Snakemake's jobs do not."""
    job = "import subprocess; subprocess.Popen(['sleep', '30']); print('begun', flush=True); input()"
    with start(tmp_path / "book.lock", sys.executable, "-c", job) as first:
        assert first.stdout.readline() == "begun\n"
        first.kill()
        first.wait()
        started = time.monotonic()
        second = start(tmp_path / "book.lock", "true")
        assert second.wait() == 0
        assert time.monotonic() - started < 20
