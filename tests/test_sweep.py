"""The sweep as Snakemake plans and runs it: with each profile, with a cell that fails, and a second time.

Preset values on their way to the rows that have a use for them are here, too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT
from sweep_job import run as run_job

from upcrack_lite.baselines.registry import METHODS
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import failures
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.row_settings import names, parse
from upcrack_lite.reproduction.sweep import plan

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


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["local", "slurm", "kubernetes"])
def test_each_profile_plans_each_training_once_and_each_cell(tmp_path, profile):
    """Two recipes and two seeds are four models. Where the test set is missing, nobody trains for it."""
    sets = {"train_set": "synthetic", "test_set": "synthetic,deepcrack"}
    config = {**folders(tmp_path), **sets, "tables": 4, "rows": "upcracknet", "seeds": "0,1"}
    config |= {"recipe": "paper,released", "settings": "epochs=3 mask_cells=[16,8]"}
    done = sweep(profile, "-n", config=config)
    assert done.returncode == 0, done.stdout
    set_so = Cell(overrides=(("epochs", 3), ("mask_cells", (16, 8))), train_set="synthetic", seed=1)
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
    done = sweep("local", config={"tables": "4", "test_set": "cfd", "state": tmp_path})
    assert done.returncode != 0
    assert "unknown test set 'cfd'; choose one of deepcrack, cfd_patches" in done.stdout
    done = sweep("kubernetes", "-n", config={"tables": "4", "state": tmp_path, "runs": tmp_path})
    assert done.returncode != 0
    assert "data_root, results: each job has a working folder of its own here" in done.stdout
    done = sweep("local", "-n", config={"tables": "4", "settings": "epoch=3", "state": tmp_path})
    assert "no row of this sweep has epoch; choose from batch_size, " in done.stdout
    config = {**folders(tmp_path), "tables": 4, "rows": "upcracknet", "vgg_weights": "pyproject.toml"}
    done = sweep("kubernetes", "-n", config=config)
    assert "vgg_weights: each job has a working folder of its own here" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("", {}),
        (None, {}),
        ("a=1  b=0.5 c=file d=false", {"a": 1, "b": 0.5, "c": "file", "d": False}),
        ("cells=[4,2] 'sigmas=[1, 2]'", {"cells": [4, 2], "sigmas": [1, 2]}),
        (["a=1", "b=x y"], {"a": 1, "b": "x y"}),
    ],
)
def test_preset_values_are_read_as_a_cell_reads_them(given, values):
    assert parse(given) == values


def test_which_values_a_method_has():
    for method in METHODS:
        for name in names(method):
            value = dict(Cell(method).preset().to_dict())[name]
            assert Cell(method, overrides=((name, value),)) == Cell(method), f"{method}: {name} can be set"
    assert "encoder_weights" in names("deepcrack18")
    assert "encoder_weights" not in names("unet") | names("riad") | names("upcracknet")
    assert "zs" in names("tf_local_darkness")
    assert "zs" not in names("tf_frangi_otsu")


def test_preset_values_reach_the_rows_that_have_them():
    made = plan({"tables": "4", "settings": "mask_family=striped epochs=7", "seeds": "0"})
    by_method = {cell.method: dict(cell.overrides) for cell in made.cells.values()}
    assert by_method["upcracknet"] == {"mask_family": "striped", "epochs": 7}
    assert by_method["unet"] == by_method["riad"] == {"epochs": 7}
    assert by_method["tf_sato_otsu"] == {}
    assert len(by_method) == len(METHODS)
    assert plan({"tables": "4", "settings": ["mask_family=striped", "epochs=7"]}).cells == made.cells
    (cell,) = plan({"tables": "1", "rows": "mae", "settings": "bilateral_d=5"}).cells.values()
    assert dict(cell.overrides)["bilateral_d"] == 5
    assert dict(cell.overrides)["lambda_ssim"] == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"settings": "epochs"}, "settings: takes NAME=VALUE, got 'epochs'"),
        ({"settings": "epochs=1 epochs=2"}, "settings: epochs is given twice"),
        ({"settings": "'epochs=1"}, "settings: No closing quotation"),
        ({"settings": {"epochs": 1}}, "settings must be words such as a=1 b=2"),
        ({"settings": "epoch=1"}, "no row of this sweep has epoch; choose from batch_size, .*epochs.*zs"),
        ({"rows": "unet", "settings": "lambda_adv=0"}, "no row of this sweep has lambda_adv; choose from"),
        ({"rows": "unet,riad", "settings": "encoder_weights=imagenet"}, "no row of this sweep has encoder_weights"),
        ({"tables": "1", "settings": "lambda_adv=0"}, "no row of this sweep has lambda_adv"),
        ({"rows": "unet", "settings": "epochs=x"}, "settings, for unet: epochs must be of type int, got 'x'"),
        ({"rows": "unet,upcracknet", "settings": "width=1"}, "width is a number of channels for upcracknet"),
        ({"rows": "deepcrack18", "settings": "encoder_weights=imagenet"}, "set width=1.0"),
        ({"vgg_weights": "nowhere.pth"}, "vgg_weights: there is no file nowhere.pth"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused(config, said):
    with pytest.raises(UserError, match=said):
        plan({"tables": "4"} | config)


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


@pytest.mark.parametrize("how", ["fails", "is stopped", "is fine"])
def test_a_job_notes_its_cells(tmp_path, how):
    some = [Cell(), Cell(test_set="synthetic")]
    keys = [json.dumps(cell.key() | {"command": f"again {cell.test_set}"}) for cell in some]
    code = {
        "fails": "raise SystemExit('no room')",
        "is fine": "",
        "is stopped": f"import os, pathlib, time; pid = pathlib.Path({str(tmp_path / 'pid')!r}); "
        "pid.write_text(str(os.getpid())); time.sleep(600)",
    }
    command = [
        sys.executable,
        ROOT / "workflow/sweep_job.py",
        "--results",
        tmp_path,
        "--log",
        tmp_path / "a.log",
    ]
    command += [word for key in keys for word in ("--cell", key)]
    job = subprocess.Popen(
        [*command, "--", sys.executable, "-c", code[how]], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    if how == "is stopped":
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
            assert job.poll() is None
        job.terminate()
    printed = job.communicate()[1]
    noted = failures.load_all(tmp_path)
    if how == "is fine":
        assert (job.returncode, noted) == (0, [])
        return
    assert job.returncode == 1
    assert {one.cell for one in noted} == set(some)
    assert {one.command for one in noted} == {"again deepcrack", "again synthetic"}
    assert {one.log for one in noted} == {"a.log"}
    said = "no room" if how == "fails" else "stopped from outside (SIGTERM)"
    assert all(said in one.error for one in noted)
    if how == "is stopped":
        with pytest.raises(ProcessLookupError):  # the command was ended, too
            os.kill(int((tmp_path / "pid").read_text()), 0)
    assert printed.count("failed: ") == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cell_that_fails_stops_no_other_and_the_rest_is_not_made_again(tmp_path):
    """Synthetic roads train; DeepCrack is not there, so its training fails. The next sweep tries that one again.

    Two rows: a network that learns, and a detector without training, which takes the same way.
    """
    some = {**folders(tmp_path), "max_steps": 1, "allow_dirty": 1, "device": "cpu", "test_set": "synthetic"}
    some |= {"tables": 4, "rows": "upcracknet,tf_global_darkness_otsu"}
    both = some | {"train_set": "deepcrack,synthetic"}
    first = sweep("local", "--cores", "1", config=both)
    assert first.returncode != 0
    assert [first.stdout.count(word) for word in ("begins: ", "failed: ", "done: ")] == [6, 2, 4]
    assert not re.search("Select jobs|CalledProcessError|jobid|WorkflowError", first.stdout)
    cells = {name: Cell(train_set=name, test_set="synthetic") for name in ("deepcrack", "synthetic")}
    failed, free = sorted(
        failures.load_all(tmp_path / "results"), key=lambda one: one.cell.method != "upcracknet"
    )
    assert failed.cell == cells["deepcrack"]
    assert free.cell.method == "tf_global_darkness_otsu"
    assert "deepcrack is not in" in free.error
    assert free.command.endswith("--seed 0 --allow-dirty"), "there is no training to cut short"
    assert "the undamaged crops to train on are not there" in failed.error
    assert failed.command.endswith("--max-steps 1 --allow-dirty")
    assert str(tmp_path) not in json.dumps(failed.error)
    record = tmp_path / f"results/dirty/{cells['synthetic'].slug()}.json"
    assert record.is_file()
    page = nbformat.read(tmp_path / f"state/{cells['synthetic'].slug()}.ipynb", as_version=4)
    assert cells["synthetic"].slug() in json.dumps(page)
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
