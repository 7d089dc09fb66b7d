"""Killed at a write, a rename or a removal, then the same command again: nothing is lost, nothing is left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import typer
from alone import BUSY

from upcrack_lite import cli
from upcrack_lite.reproduction.run import tiny_values

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
TOGETHER = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["train", "detect", "build", "experiment"])
def test_a_kill_at_any_event_is_survived(scenario, tmp_path):
    """`python tests/faults/kills.py SCENARIO FOLDER` takes all events, which needs a minute each."""
    words = [sys.executable, str(HERE / "kills.py"), scenario, str(tmp_path / "k"), "11"]
    got = subprocess.run(words, capture_output=True, text=True, env=os.environ | TOGETHER)
    assert got.returncode == 0, got.stdout + got.stderr


def alive(mark: str) -> bool:
    """True while a process has these words in its command."""
    commands = (path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit())
    texts = []
    for command in commands:
        try:
            texts.append(command.read_bytes())
        except OSError:
            continue
    return any(mark.encode() in text for text in texts)


def until(what, seconds=20.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: the parent's end is Linux's to tell"
)
@pytest.mark.parametrize(("who", "signal"), [("alone", "kill"), ("alone", "terminate"), ("shell", "kill")])
def test_jobs_end_with_what_started_them(tmp_path, who, signal):
    """A shell as make starts it, `alone.py`, an engine that waits for its jobs, and a job."""
    mark = f"mark-{tmp_path.name}-{who}-{signal}"
    job = f"import alone, time; alone.end_with_parent(); open('begun', 'w').close(); time.sleep(60) # {mark}"
    waits = "import signal, subprocess, sys; signal.signal(15, lambda *_: None)"
    engine = f"{waits}; subprocess.run([sys.executable, '-c', {job!r}])"
    words = [
        sys.executable,
        str(ROOT / "workflow/alone.py"),
        str(tmp_path / "lock"),
        sys.executable,
        "-c",
        engine,
    ]
    path = {"PYTHONPATH": str(ROOT / "workflow")}
    shell = ["sh", "-c", '"$@" & wait', "sh"] if who == "shell" else []
    with subprocess.Popen([*shell, *words], cwd=tmp_path, env=os.environ | path) as first:
        until((tmp_path / "begun").exists)
        second = subprocess.run([*words[:3], "true"], capture_output=True, text=True)
        assert second.returncode == BUSY
        getattr(first, signal)()
    until(lambda: not alive(mark))
    assert subprocess.run([*words[:3], "true"]).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["kill", "terminate"])
def test_a_chapter_s_kernel_ends_with_it(tmp_path, signal):
    begun = tmp_path / "begun"
    cells = [f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "long.ipynb")
    words = [
        sys.executable,
        ROOT / "workflow/run_notebook.py",
        tmp_path / "long.ipynb",
        tmp_path / "out.ipynb",
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=os.environ | TOGETHER) as chapter:
        until(lambda: begun.exists() and begun.read_text(), 60)
        getattr(chapter, signal)()
    until(lambda: not Path(f"/proc/{begun.read_text()}").exists())
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.slow
def test_sigterm_ends_a_training_that_the_same_command_finishes(tmp_path):
    values = tiny_values("upcracknet") | {"mask_cells": [32, 16, 8], "epochs": 400, "patience": 0}
    words = [sys.executable, "-m", "upcrack_lite.cli", "train", "--data", "synthetic", "--crops", "4"]
    words += ["--out", str(tmp_path / "run"), *(f"--set={name}={value}" for name, value in values.items())]
    with subprocess.Popen(words, env=os.environ | TOGETHER, stderr=subprocess.PIPE, text=True) as first:
        until((tmp_path / "run/resume.pt").exists, 60)
        second = subprocess.run(words, env=os.environ | TOGETHER, capture_output=True, text=True)
        first.terminate()
        said = first.communicate()[1]
    assert (second.returncode, first.returncode) == (2, 143)
    assert "another process is at work in" in second.stderr
    assert "the same command goes on from the last state" in said
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"manifest.json", "checkpoint.safetensors", "resume.pt", "log.csv", "progress"}


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt(), 130), (KeyboardInterrupt(15), 143)])
def test_what_a_stop_breaks_on_its_way_out_does_not_hide_the_stop(stop, status, capsys):
    def write():
        try:
            raise stop
        finally:
            raise RuntimeError("unexpected position")

    with pytest.raises(typer.Exit) as ended, cli._interruptible("go on"):
        write()
    assert ended.value.exit_code == status
    assert "stopped; go on" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="its own"), cli._interruptible("go on"):
        raise RuntimeError("its own")
