"""The sweep as Snakemake plans and runs it: with each profile, with an experiment that fails, and a second time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT
from sweep_job import error_in
from sweep_job import run as run_job

from upcrack_lite.reproduction.experiments import Experiment

PROFILES = ROOT / "workflow/profiles"


def sweep(profile: str, *words: str, config: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the sweep; the result's `stdout` holds all that was printed."""
    settings = [f"{name}={value}" for name, value in config.items()]
    command = [Path(sys.executable).with_name("snakemake"), "-s", "workflow/sweep.smk"]
    command += ["--profile", PROFILES / profile, *words, "--config", *settings]
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def jobs(printed: str) -> dict[str, int]:
    """How many jobs of each rule a dry run has planned."""
    table = printed.split("Job stats:")[-1] if "Job stats:" in printed else ""
    return {rule: int(count) for rule, count in re.findall(r"(?m)^(train|cell) +(\d+)$", table)}


def folders(root: Path) -> dict[str, object]:
    return {name: root / name for name in ("data_root", "runs", "results", "state")}


def needs(profile: str) -> None:
    if profile != "local" and find_spec(f"snakemake_executor_plugin_{profile}") is None:
        pytest.skip(f"NOT TESTED: {profile}; `make cluster` installs what it needs")


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["local", "slurm", "kubernetes"])
def test_each_profile_plans_each_training_once_and_each_cell(tmp_path, profile):
    """Two recipes and two seeds are four models. Where the test set is missing, nobody trains for it."""
    needs(profile)
    sets = {"train_set": "synthetic", "test_set": "synthetic,deepcrack"}
    config = {**folders(tmp_path), **sets, "tables": 4, "rows": "upcracknet", "seeds": "0,1"}
    config |= {"recipe": "paper,released", "settings": "epochs=3 mask_cells=[16,8]"}
    done = sweep(profile, "-n", config=config)
    assert done.returncode == 0, done.stdout
    set_so = Experiment(overrides=(("epochs", 3), ("mask_cells", (16, 8))), train_set="synthetic", seed=1)
    assert f"  {set_so.slug()}: no record" in done.stdout
    assert jobs(done.stdout) == {"train": 4, "cell": 8}
    assert "8 cells: 0 have a record that holds, 8 to do" in done.stdout
    waiting = re.findall(r"(?m)^rule cell:\n(?: +input: .*/trained/(\S+))?", done.stdout)
    if waiting:  # the local profile is quiet about rules
        assert sorted(filter(None, waiting)) == sorted(set(filter(None, waiting)))
        assert waiting.count("") == 4
        assert "gpu=1" in done.stdout
        assert "runtime=1440" in done.stdout


@pytest.mark.slow
def test_what_cannot_be_planned_is_refused_before_anything_runs(tmp_path):
    done = sweep("local", config={"tables": "4", "test_set": "cfd155", "state": tmp_path})
    assert done.returncode != 0
    assert "unknown test set 'cfd155'; choose one of deepcrack, cfd_patches" in done.stdout
    done = sweep("local", "-n", config={"tables": "4", "settings": "epoch=3", "state": tmp_path})
    assert "no row has epoch; choose from batch_size, " in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_on_kubernetes_all_that_is_not_on_the_volume_is_refused(tmp_path):
    needs("kubernetes")
    done = sweep("kubernetes", "-n", config={"tables": "4", "state": tmp_path, "runs": tmp_path})
    assert done.returncode != 0
    assert "data_root, results: each job has a working folder of its own here" in done.stdout
    config = {**folders(tmp_path), "tables": 4, "rows": "upcracknet", "vgg_weights": "pyproject.toml"}
    done = sweep("kubernetes", "-n", config=config)
    assert "vgg_weights: each job has a working folder of its own here" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*/config.yaml")), ids=lambda path: path.parent.name)
def test_a_profile_keeps_going_and_says_why(path):
    text = path.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert values["keep-going"] is True
    assert values["rerun-incomplete"] is True
    assert set(values.get("set-resources", {})) <= {"train", "cell"}
    settings = [line for line in text.splitlines() if re.match(r"\S", line) and not line.startswith("#")]
    bare = [line for line in settings if "#" not in line and not line.endswith(":")]
    assert bare in ([], ["executor: slurm"], ["executor: kubernetes", "default-storage-prefix: /shared/jobs"])


def test_a_job_tells_what_went_wrong(tmp_path):
    log = tmp_path / "deep" / "job.log"
    assert run_job([sys.executable, "-c", "print('fine')"], log, 1) == ""
    assert log.read_text(encoding="utf-8") == "fine\n"
    fails = "import os, sys; print('one'); sys.exit('upcrack: no set, ' + os.environ['OMP_NUM_THREADS'])"
    assert run_job([sys.executable, "-c", fails], log, 3) == "no set, 3"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_job([sys.executable, "-c", killed], log, 1).startswith("killed by SIGKILL")


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("one\ntwo\n\n", "two"),
        ("\nChapter one_cell.ipynb failed: UserError: no set\n\nin this cell:\n\npage = 1\n", "no set"),
        ("\nChapter one_cell.ipynb failed: the kernel died; why\n\nSo far: x\n", "the kernel died; why"),
        (" \n", "it ended without a message"),
    ],
)
def test_the_line_of_a_log_that_says_what_went_wrong(log, error):
    assert error_in(log) == error


@pytest.mark.parametrize("how", ["fails", "is stopped", "is fine"])
def test_a_job_says_which_experiments_have_failed(tmp_path, how):
    code = {
        "fails": "raise SystemExit('no room')",
        "is fine": "",
        "is stopped": f"import os, pathlib, time; pid = pathlib.Path({str(tmp_path / 'pid')!r}); "
        "pid.write_text(str(os.getpid())); time.sleep(600)",
    }
    command = [sys.executable, ROOT / "workflow/sweep_job.py", "--log", tmp_path / "a.log"]
    command += ["--for", "one-s0", "--for", "two-s0", "--", sys.executable, "-c", code[how]]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if how == "is stopped":
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
            assert job.poll() is None
        job.terminate()
    printed = job.communicate()[1]
    if how == "is fine":
        assert (job.returncode, printed.count("failed: ")) == (0, 0)
        return
    assert job.returncode == 1
    said = "no room" if how == "fails" else "stopped from outside (SIGTERM)"
    for slug in ("one-s0", "two-s0"):
        assert f"failed: {slug}: {said}" in printed
    assert "a.log" in printed
    if how == "is stopped":
        with pytest.raises(ProcessLookupError):  # the command was ended, too
            os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cell_that_fails_stops_no_other_and_the_rest_is_not_made_again(tmp_path):
    """Synthetic roads train; DeepCrack is not there, so its training fails. The next sweep tries that one again.

    Two rows: a network that learns, and a training-free baseline, which takes the same way.
    """
    some = {**folders(tmp_path), "max_steps": 1, "allow_dirty": 1, "device": "cpu", "test_set": "synthetic"}
    some |= {"tables": 4, "rows": "upcracknet,tf_global_darkness_otsu"}
    both = some | {"train_set": "deepcrack,synthetic"}
    first = sweep("local", "--cores", "1", config=both)
    assert first.returncode != 0
    assert [first.stdout.count(word) for word in ("begins: ", "failed: ", "done: ")] == [6, 2, 4]
    assert not re.search("Select jobs|CalledProcessError|jobid|WorkflowError", first.stdout)
    slugs = {
        name: Experiment(train_set=name, test_set="synthetic").slug() for name in ("deepcrack", "synthetic")
    }
    said = dict(re.findall(r"(?m)^failed: ([^:]+): (.*)$", first.stdout))
    assert "the undamaged crops to train on are not there" in said.pop(slugs["deepcrack"])
    ((slug, error),) = said.items()
    assert slug.startswith("tf_global_darkness_otsu")
    assert "deepcrack is not in" in error
    record = tmp_path / f"results/{slugs['synthetic']}-draft.json"
    assert record.is_file()
    page = nbformat.read(tmp_path / f"state/{slugs['synthetic']}.ipynb", as_version=4)
    assert slugs["synthetic"] in json.dumps(page)
    again = sweep("local", "-n", config=both)
    assert again.returncode != 0, "what is left cannot be made, so it is refused before anything starts"
    told = "4 cells: 2 have a record that holds, 2 to do"
    for words in (told, "1 of them will fail", "fetch what is missing first"):
        assert words in again.stdout
    good = some | {"train_set": "synthetic"}
    assert jobs(sweep("local", "-n", config=good).stdout) == {}
    record.unlink()
    assert jobs(sweep("local", "-n", config=good).stdout) == {"cell": 1}, "its model is trained already"


def test_make_hands_over_values_with_spaces():
    """A misspelled variable is refused, and the words of a value are no variables."""
    words = ["make", "--dry-run", "tables", "SET=epochs=3 flip=false", "FLAGS=-k sweep"]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "settings='epochs=3 flip=false'" in made.stdout
    verify = subprocess.run(
        ["make", "-n", "verify", "RESULTS=other"], cwd=ROOT, capture_output=True, text=True
    )
    assert "upcrack verify --results 'other'" in verify.stdout, "another folder is not left out in silence"
    wrong = subprocess.run(["make", "-n", "tables", "SETS=a=1 b=2"], cwd=ROOT, capture_output=True, text=True)
    assert "unknown variable SETS;" in wrong.stderr
