"""`upcrack data` as a person types it, on small sets drawn here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from small_sets import make
from typer.testing import CliRunner

from upcrack_lite import cli
from upcrack_lite.data.catalog import undamaged
from upcrack_lite.data.crops import CropRule
from upcrack_lite.data.sources import SOURCES
from upcrack_lite.errors import UserError


@pytest.fixture
def upcrack(tmp_path, monkeypatch):
    """Run a command in a folder of its own; a UserError comes back as its message and status 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UPCRACK_DATA", raising=False)

    def run(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(cli.app, ["data", *map(str, words)])
        if isinstance(result.exception, UserError):
            return 2, str(result.exception)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_without_data_one_screen_says_what_to_run_how_big_it_is_and_under_which_terms(upcrack):
    status, text = upcrack()
    assert status == 0
    assert len(text.splitlines()) <= 45
    for name, source in SOURCES.items():
        assert f"upcrack data fetch {name}" in text
        assert source.title in text
        assert f"{source.disk_mb} MB" in text
    for name in ("deepcrack", "cfd", "crack500", "crack500_authors"):
        assert f"{name}: {SOURCES[name].terms}" in text


def test_fetch_crops_and_train_on_the_crops(upcrack, small_mirror, tmp_path):
    assert upcrack("fetch", "deepcrack", "--accept-terms", "--mirror", small_mirror)[0] == 0
    text = upcrack("crops", "deepcrack", "--windows=48,32", "--count=6", "--margin=2", "--size=48")[1]
    assert re.search(r"6 undamaged crops from \d of 3 files", text)
    assert re.search(r"\d of them are smaller than 48 px and were enlarged", text)
    facts = json.loads((tmp_path / "data/deepcrack_undamaged/crops.json").read_text())
    assert facts["facts"]["split"] == "train"
    assert len(facts["facts"]["fetched_manifest_sha256"]) == 64
    index = (tmp_path / "data/deepcrack_undamaged/index.csv").read_text().splitlines()
    assert len(index) == 7
    assert all(",train_" in line for line in index[1:])
    screen = upcrack()[1]
    assert "here: data/deepcrack" in screen
    assert "upcrack data fetch deepcrack" not in screen
    cut = undamaged("data/deepcrack_undamaged", "auto", CropRule((160,), 300, 4, 32, 0))
    assert cut.images.shape == (6, 32, 32, 3)
    assert set(cut.groups) <= {"train_0", "train_1", "train_2"}
    assert cut.facts["crops"]["count"] == 6
    words = ["train", "--data", "data/deepcrack_undamaged", "--out", "run", "--crops", "3"]
    result = CliRunner().invoke(cli.app, words)
    assert "are cut already: leave out --crops" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_crops_on_disk_are_verified_and_never_replaced_by_others(upcrack, small_mirror, tmp_path):
    upcrack("fetch", "deepcrack", "--accept-terms", "--mirror", small_mirror)
    words = ["crops", "deepcrack", "--windows=48,32", "--count=6", "--margin=2", "--out=two", "--size"]
    assert upcrack(*words, 48)[0] == upcrack(*words, 48)[0] == 0
    status, text = upcrack(*words, 32)
    assert status == 2
    assert "two: holds other crops" in text
    assert "two: 6 undamaged crops, all as they were written" in upcrack("verify", "two")[1]
    (tmp_path / "two/crops/0002.png").unlink()
    status, text = upcrack("verify", "two")
    assert status == 2
    assert "0002.png" in text


def test_verify_and_report_name_the_fault_and_fail(upcrack, small_mirror, tmp_path):
    shutil.copytree(small_mirror / "deepcrack", tmp_path / "roads")
    assert upcrack("verify", "roads")[0] == 0
    (tmp_path / "roads/test_lab/test_1.png").unlink()
    status, text = upcrack("verify", "roads")
    assert status == 1
    assert "test_1" in text
    status, text = upcrack("verify", "roads", "--json")
    assert status == 1
    assert any("test_1" in path for finding in json.loads(text)["findings"] for path in finding["paths"])
    assert upcrack("report", "roads", "--out", "page.html")[0] == 0
    assert "test_1" in (tmp_path / "page.html").read_text()
    assert upcrack("report", "roads", "--out", "page.pdf")[1].startswith("page.pdf: the page is HTML")


def test_a_folder_named_by_path_is_that_folder(upcrack, small_mirror, tmp_path, monkeypatch):
    shutil.copytree(small_mirror / "deepcrack", tmp_path / "data")
    (tmp_path / "data/data").mkdir()
    assert upcrack("verify", ".")[0] == 2  # the current folder, not data/.
    monkeypatch.chdir(tmp_path / "data")
    status, text = upcrack("verify", ".", "--root", "data")
    assert status == 0
    assert "train: 3 pairs" in text


@pytest.mark.parametrize("name", ["CFD", "renamed", "cfd_patches"])
def test_nothing_trains_on_sets_to_test_on_whatever_their_folder_is_called(upcrack, tmp_path, name):
    folder = tmp_path / name
    if name == "CFD":  # known by its layout
        make(folder, "cfd")
    else:
        make(tmp_path / "d", "deepcrack")
        (tmp_path / "d" / "train_img").rename(folder.mkdir() or folder / "image")
        (tmp_path / "d" / "train_lab").rename(folder / "mask")
    if name == "renamed":  # known by what it was fetched as
        (folder / "provenance.json").write_text('{"name": "crack500_heldout"}')
    status, text = upcrack("crops", folder, "--windows", 32, "--count", 2, "--size", 32)
    assert status == 2
    assert "nothing is trained on test photos" in text
    with pytest.raises(UserError, match="nothing is trained on test photos"):
        undamaged(str(folder), "auto", CropRule((32,), 2, 0, 32, 0))


def test_crops_of_one_place_stay_together(tmp_path):
    folder = tmp_path / "crops360"
    make(tmp_path / "d", "deepcrack")
    (tmp_path / "d" / "train_img").rename(folder.mkdir() or folder / "image")
    (tmp_path / "d" / "train_lab").rename(folder / "mask")
    lines = ["file,source_photo,group", *(f"train_{i}.jpg,,{'one' if i < 2 else 'two'}" for i in range(3))]
    (folder / "recovered_names.csv").write_text("\n".join(lines) + "\n")
    cut = undamaged(str(folder), "auto", CropRule((32,), 6, 0, 32, 0))
    assert set(cut.groups) == {"one", "two"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fetch", "kitti"), "unknown data set 'kitti'; choose one of deepcrack, cfd"),
        (("verify", "deepcrack"), "deepcrack is not in data: get it with `upcrack data fetch deepcrack"),
        (("verify", "nothing"), "nothing: no folder of this name, and no set; the sets are deepcrack"),
        (("crops", "deepcrack", "--windows", "big"), "--windows takes sides such as"),
        (("--root", "x", "fetch", "cfd"), "give --root after the command: upcrack data fetch --root x"),
    ],
)
def test_bad_words(upcrack, words, message):
    status, text = upcrack(*words)
    assert status == 2
    assert message in text


def test_the_authors_crops_train_as_they_are(upcrack, tmp_path):
    folder = make(tmp_path / "authors", "crack500_authors")
    for path in (folder / "dataset/crack500_train/train/a").iterdir():
        path.rename(path.with_name(f"20160222_081011_{path.stem[-1]}.png"))
    folder = folder.rename(tmp_path / "crack500_authors")
    assert "holds undamaged crops already: train with" in upcrack("crops", folder)[1]
    cut = undamaged(str(folder), "auto", CropRule((160,), 300, 4, 64, 0))
    assert cut.images.shape == (3, 64, 64, 3)
    assert cut.groups == ["20160222_081011"] * 3
    assert cut.facts["photos"] == 3
    assert "window" not in cut.facts


def test_every_script_runs_its_set():
    scripts = sorted((ROOT / "data_scripts").glob("*.py"))
    assert [path.stem for path in scripts] == sorted(SOURCES.keys() - {"crack500_crops360"})
    for path in scripts:
        text = path.read_text()
        assert text.count(f'script("{path.stem}")') == 1
        assert f"python data_scripts/{path.name}" in text
    done = subprocess.run([sys.executable, scripts[0], "--help"], capture_output=True, text=True, check=True)
    assert "--accept-terms" in done.stdout
