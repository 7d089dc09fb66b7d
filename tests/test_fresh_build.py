"""Data built afresh from the mirror match the records: nothing would be trained or tested again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

from upcrack_lite.data.catalog import cut_crops, trains, usual_count
from upcrack_lite.data.crops import CropRule
from upcrack_lite.data.fetch import Options, fetch
from upcrack_lite.reproduction import records
from upcrack_lite.reproduction.experiments import RunOptions
from upcrack_lite.reproduction.photo_sets import training_data
from upcrack_lite.reproduction.sweep import Plan
from upcrack_lite.runs import data_hash
from upcrack_lite.vgg import VARIABLE

SETS = ("deepcrack", "cfd_patches", "crack500_kept", "crack500_heldout")
WINDOWS = (256, 192, 160, 128)


@pytest.fixture(scope="module")
def built(mirror, tmp_path_factory) -> Path:
    """Every set that the mirror has, fetched anew, with its undamaged crops; as `upcrack data build` makes them."""
    root = tmp_path_factory.mktemp("fresh") / "data"
    for name in SETS:
        fetch(name, root, Options(accept_terms=True, mirror=mirror))
        if trains(name):
            cut_crops(name, root, None, CropRule(WINDOWS, usual_count(name), size=256))
    return root


@pytest.mark.mirror
@pytest.mark.slow
def test_every_record_is_current_and_a_dry_sweep_plans_nothing(built, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    given = records.load_all(ROOT / "results")
    places = (built, tmp_path / "runs", ROOT / "results", tmp_path / "state")
    for precision in {record.train.precision for record in given}:
        some = {record.slug: record.experiment for record in given if record.train.precision == precision}
        plan = Plan(some, (), *places, options=RunOptions("cpu", precision))
        assert Counter(map(plan.why, some.values())) == {"": len(some)}
    words = [
        "tables=3,4,7,8",
        "rows=upcracknet,unet,tf_gabor_otsu",
        "train_set=deepcrack",
        "seeds=0",
        "scale=lite",
    ]
    words += ["test_set=deepcrack,cfd_patches,crack500_heldout"]
    words += [
        f"{name}={place}"
        for name, place in zip(("data_root", "runs", "results", "state"), places, strict=True)
    ]
    call = [sys.executable, "-m", "snakemake", "-s", ROOT / "workflow/sweep.smk", "--cores", "1", "-n"]
    got = subprocess.run(
        [*map(str, call), "--profile", str(ROOT / "workflow/profiles/local"), "--config", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    said = got.stdout + got.stderr
    assert got.returncode == 0, said
    assert "9 cells: 9 have a record that holds, 0 to do, 0 trainings." in said, said


@pytest.mark.mirror
@pytest.mark.slow
def test_the_pixels_to_learn_from_are_those_of_the_records(built):
    """What `upcrack cell` compares before it leaves a record as it is, once for each set, size and kind of data."""
    seen: dict[tuple, tuple] = {}
    for record in records.load_all(ROOT / "results"):
        kind = (record.key.train_set, record.preset["size"], record.train.crack_masks_sha256 is not None)
        if kind not in seen:
            data = training_data(record.experiment, built)
            masks = None if data.crack_masks is None else data_hash(data.crack_masks)
            seen[kind] = (data_hash(data.images), masks)
        assert seen[kind] == (record.train.crops_sha256, record.train.crack_masks_sha256), record.slug
    assert len(seen) >= 4
