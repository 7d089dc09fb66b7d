"""The sweep: which cells a table asks for, and that a cell that fails stops no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def sweep(*words: str, config: dict[str, object]) -> subprocess.CompletedProcess[str]:
    settings = [f"{name}={value}" for name, value in config.items()]
    command = [Path(sys.executable).with_name("snakemake"), "-s", ROOT / "workflow/sweep.smk", "--cores", "2"]
    return subprocess.run(
        [*command, *words, "--config", *settings], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("tables", "seeds", "count"),
    [("1", "0", 9), ("2", "0,1", 6), ("4,7", "0,1,2", 6), ("4,4", "0", 1)],
)
def test_each_cell_is_planned_once(tmp_path, tables, seeds, count):
    config = {"tables": tables, "seeds": seeds, "train_set": "deepcrack", "state": tmp_path}
    if "7" not in tables:
        config["test_set"] = "deepcrack"
    done = sweep("-n", config=config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rule cell:") == count


def test_unknown_values_are_named(tmp_path):
    done = sweep("-n", config={"tables": "9", "state": tmp_path})
    assert done.returncode != 0
    assert "9" in done.stderr + done.stdout


@pytest.mark.slow
def test_a_cell_that_fails_stops_no_other_and_is_tried_again(tmp_path):
    """Two loss rows without data for one set: synthetic roads train, DeepCrack is not there."""
    folders = {name: tmp_path / name for name in ("data_root", "runs", "results", "state")}
    folders["data_root"].mkdir()
    common = {**folders, "tables": "2", "extra": "'--max-steps 1 --allow-dirty'"}
    good = common | {"train_set": "synthetic", "test_set": "synthetic"}
    (folders["state"]).mkdir()
    bad = sweep("--keep-going", config=common | {"train_set": "deepcrack", "test_set": "deepcrack"})
    assert bad.returncode != 0
    assert bad.stderr.count("failed: upcracknet-paper-lite-deepcrack-to-deepcrack-s0") == 3
    assert "upcrack data" in bad.stderr
    done = sweep("--keep-going", config=good)
    assert done.returncode == 0, done.stderr
    assert len(list((folders["results"] / "dirty").glob("*.json"))) == 3
    again = sweep("--keep-going", config=good)
    assert "Nothing to be done" in again.stderr + again.stdout
