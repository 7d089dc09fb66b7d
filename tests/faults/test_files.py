"""Damaged files, odd names, no room, no memory, two at once: one message names it, and nothing is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import unicodedata
import zlib
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from kills import detect as detect_two
from kills import experiment as train_cell
from kills import train as train_tiny

import upcrack_lite
from upcrack_lite.baselines.registry import preset_of
from upcrack_lite.data.crops import Crops, read_crops, write_crops
from upcrack_lite.data.layouts import pairs
from upcrack_lite.data.reading import read_mask
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import FullDisk, UserError, memory_for
from upcrack_lite.io import alone_in, read_csv, read_settings, write_csv, write_image
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.predict.model import load_model
from upcrack_lite.predict.photos import detect_folder, read_detection
from upcrack_lite.predict.report import write_report
from upcrack_lite.predict.scoring import score_folder
from upcrack_lite.recipes import RATES
from upcrack_lite.reproduction import photo_sets
from upcrack_lite.reproduction.audit import audit_rows
from upcrack_lite.reproduction.audit_table import read_table
from upcrack_lite.runs import RunFolder, read_state
from upcrack_lite.show import check_parameters
from upcrack_lite.training import Loop

FAMILY = "tf_global_darkness_otsu"
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished run, a detection and a folder of crops."""
    folder = tmp_path_factory.mktemp("made") / "all"
    train_tiny(folder)
    detect_two(folder)
    crops = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
    rows = [{"name": name, "x": 0, "y": 0, "window": 24} for name in ("=1+1", "b")]
    write_crops(Crops(crops, rows, ["=1+1", "b"]), folder / "crops", {"split": "train"})
    return folder


@pytest.fixture
def whole(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "all"))


def raising(error: BaseException) -> None:
    raise error


def changed(**values):
    """Set fields of a JSON file; `None` removes one."""

    def damage(file: Path) -> None:
        facts = json.loads(file.read_text()) | values
        file.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))

    return damage


def text(content: str):
    return lambda file: file.write_text(content)


RUN, OUT = "run/manifest.json", "out/detection.json"
READERS = {
    "run": lambda folder: load_model(folder / "run"),
    "log": lambda folder: RunFolder.open(folder / "run").log(),
    "again": lambda folder: train_tiny(folder),
    "score": lambda folder: read_detection(folder / "out"),
    "detect": lambda folder: detect_two(folder),
    "report": lambda folder: write_report(folder / "out"),
    "crops": lambda folder: read_crops(folder / "crops"),
    "settings": lambda folder: read_settings(folder / "crops/crops.json"),
}


@pytest.mark.parametrize(
    ("reader", "file", "damage", "says"),
    [
        ("run", RUN, text(DEEP), "manifest.json: cannot be read as a run .*nested too deep"),
        ("run", RUN, text('{"format": 1' + "0" * 5000 + "}"), "too large a number"),
        ("run", RUN, text('{"format": 1, "seed": 1e999}'), "1e999 is no number"),
        ("run", RUN, changed(preset=[]), r"manifest.json: preset is \[\], so it is no run"),
        ("run", RUN, changed(status=None), "manifest.json: status is missing, so it is no run"),
        (
            "run",
            RUN,
            changed(checkpoint_sha256="0" * 64),
            "checkpoint.safetensors is not as the training left",
        ),
        ("run", RUN, changed(data={"crops": {"windows": {"x": 1}}}), "manifest.json: data does not tell"),
        ("again", RUN, changed(epochs_done="2"), "epochs_done is '2', so it is no run"),
        ("log", "run/log.csv", text("epoch,loss\n0,1.5\n1,much\n"), "log.csv: .*line 3, column loss .*much"),
        ("log", "run/log.csv", text("epoch,loss\n0\n"), "log.csv: .*line 2 .*more or fewer cells"),
        ("log", "run/log.csv", text("loss\n0\n"), "log.csv: .*no column epoch"),
        (
            "score",
            OUT,
            text("\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
            "cannot be read as",
        ),
        ("score", OUT, changed(photos={}), "detection.json: photos is {}, so it is no detection"),
        ("report", OUT, changed(photos=[{"name": 5}]), r"detection.json: photos.0.name is 5; delete"),
        ("detect", OUT, text(DEEP), "nested too deep"),
        ("detect", OUT, changed(photos=[5]), r"photos.0. ?is no object"),
        ("crops", "crops/crops.json", changed(facts=5), "crops.json: facts is 5, so"),
        ("crops", "crops/crops.json", changed(facts={"split": 5}), "crops.json: facts.split is 5; delete"),
        ("crops", "crops/crops.json", text("null"), "crops.json: is no description"),
        ("settings", "crops/crops.json", text("- [" * 5000), "cannot be read as settings"),
        ("settings", "crops/crops.json", text("a: 2001-99-99"), "cannot be read as settings"),
    ],
)
def test_a_damaged_file_is_named_with_its_field(whole, reader, file, damage, says):
    damage(whole / file)
    with pytest.raises(UserError, match=says):
        READERS[reader](whole)


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: torch.save({"trainer": {}, "position": {}}, run / "resume.pt"),
        lambda run: torch.save([1], run / "resume.pt"),
        lambda run: (run / "log.csv").write_text("epoch,loss\n0,1\n"),
    ],
)
def test_a_resume_state_that_does_not_fit_is_named(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(Loop, "_finish", lambda loop: raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path)
    damage(tmp_path / "run")
    with pytest.raises(UserError, match=r"resume.pt is damaged|log.csv does not hold the first 2 epochs"):
        train_tiny(tmp_path)


# --- No room, no memory, two at once


@contextmanager
def room(size: int):
    """No file may grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("work", "result", "size"),
    [
        (train_tiny, "run/checkpoint.safetensors", 40_000),  # enough for the manifest
        (train_tiny, "run/checkpoint.safetensors", 200_000),  # and the weights, but not resume.pt
        (detect_two, "out/masks/1.png", 100),
        (detect_two, "out/summary.csv", 2_000),
    ],
)
def test_a_full_disk_is_one_message_and_the_same_command_goes_on(made, tmp_path, work, result, size):
    with (
        room(size),
        pytest.raises(FullDisk, match=r"cannot be written .*free space, and give"),
    ):
        work(tmp_path / "all")
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".part", ".lock"))]
    work(tmp_path / "all")
    if "summary" not in result:
        assert (tmp_path / "all" / result).read_bytes() == (made / result).read_bytes()


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.zeros(2**50),
        lambda: np.zeros(2**50),
        lambda: cv2.resize(np.zeros((2, 2), np.uint8), (2**30, 2**20)),
        lambda: raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
    ],
)
def test_too_little_memory_is_one_message(work):
    with (
        pytest.raises(UserError, match="the map needs more memory than there is: shrink it"),
        memory_for("the map", "shrink it"),
    ):
        work()


def test_another_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="a bug"), memory_for("the map", "shrink it"):
        raise RuntimeError("a bug")


@pytest.mark.parametrize("method", ["upcracknet", "drawn", "patchcore", "unet", "riad"])
def test_every_number_of_a_preset_has_an_upper_bound(method):
    chosen = preset_of(method, "paper", "lite")
    for one in fields(chosen):
        given = getattr(chosen, one.name)
        if type(given) in (int, float) and one.name not in ("threshold_value", *RATES):
            for huge in (10**9, 10**400) if type(given) is int else (1e9, 1e308):
                with pytest.raises(UserError, match=rf"{one.name}|depth|size"):
                    preset_of(method, "paper", "lite", **{one.name: huge})
    with pytest.raises(UserError, match="lr_decay"):
        preset_of("upcracknet", "paper", "lite", lr_decay=1.5)


@pytest.mark.parametrize("parts", [1, 40])
def test_a_label_that_explodes_is_refused_by_its_header(tmp_path, parts):
    packed = zlib.compress(bytes(2**27 // parts + 10**6))
    part = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed
    (tmp_path / "bomb.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + part * parts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"bomb.mat: .*unpacks to more than 67 MB"):
        read_mask(tmp_path / "bomb.mat")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # KiB


def score(folder: Path) -> None:
    score_folder(folder / "out", folder / "hand_made")


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (train_tiny, "run"),
        (detect_two, "out"),
        (score, "out/score"),
        (train_cell, f"runs/{FAMILY}-paper-full-synthetic-s0"),  # by `upcrack train` or another cell
    ],
)
def test_two_at_once_in_one_folder_are_told(whole, monkeypatch, work, name):
    monkeypatch.setattr(photo_sets, "SYNTHETIC_PHOTOS", 2)  # which the cell sets, too, and leaves so
    shutil.copytree(whole / "out/masks", whole / "hand_made")
    if work is not score:
        shutil.rmtree(whole / name, ignore_errors=True)
    says = f"another process is at work in .*{name}: wait until it ends"
    with alone_in(whole / name), pytest.raises(UserError, match=says):
        work(whole)
    assert not (whole / name).exists()
    work(whole)
    assert (whole / name).is_dir()


# --- Names


def road(path: Path, seed: int = 0) -> None:
    image, crack_mask = synthetic_road(64, seed)
    write_image(path, image if "photos" in path.parts else crack_mask.astype(np.uint8) * 255)


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
        (unicodedata.normalize("NFD", "Straße ñ.jpg"), unicodedata.normalize("NFC", "Straße ñ.png")),
        ("a.jpeg", "a.png"),
        ("l" * 250 + ".png", "l" * 250 + ".png"),
        ("路" * 83 + ".bmp", "路" * 83 + ".png"),
        ("=1+1.png", "=1+1.png"),
        ("-- x'\u202f;.png", "-- x'\u202f;.png"),
    ],
)
def test_odd_names_pair(tmp_path, photo, mask):
    shutil.copy(_photo(tmp_path), tmp_path / "photos" / photo)
    road(tmp_path / "masks" / "x.png")
    (tmp_path / "masks/x.png").rename(tmp_path / "masks" / mask)
    (tmp_path / "photos/seed.png").unlink()
    detect_folder(load_model(FAMILY), tmp_path / "photos", tmp_path / "out")
    write_report(tmp_path / "out")
    got = score_folder(tmp_path / "out", tmp_path / "masks")
    assert (got["images"], got["not_scored"]) == (1, [])
    (tmp_path / "photos").rename(tmp_path / "image")
    (tmp_path / "masks").rename(tmp_path / "mask")
    assert len(pairs(tmp_path)) == 1


def _photo(folder: Path) -> Path:
    road(folder / "photos/seed.png")
    return folder / "photos/seed.png"


@pytest.mark.parametrize("name", [b"a\xff.png", b"\xe9t\xe9.png", b"a\x1b[31m.png"])
def test_a_name_that_no_terminal_can_show_is_refused_first(tmp_path, upcrack, capsys, name):
    shutil.copy(_photo(tmp_path), os.fsencode(tmp_path / "photos") + b"/" + name)
    assert upcrack("detect", tmp_path / "photos", tmp_path / "out", "--model", FAMILY) == 2
    said = capsys.readouterr().err
    assert "its name is not in UTF-8, or holds a control character" in said
    assert "\x1b" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mask", ["a_mask.png", "A.png", "a.jpg.png"])
def test_a_near_name_is_hinted_at(tmp_path, mask):
    road(tmp_path / "image/a.png")
    road(tmp_path / "mask" / mask)
    with pytest.raises(UserError, match=f"a.png: has no mask.*{Path(mask).stem} is near: give both one name"):
        pairs(tmp_path)


# --- What people type and paste


@pytest.mark.parametrize("name", ["=1+1", "+x", "-2", "@sum", "'=x", "\tx", "plain", "'quoted'"])
def test_a_cell_that_is_a_formula_is_guarded_and_read_back(tmp_path, name):
    write_csv(tmp_path / "t.csv", [{"name": name, "value": -2.5}])
    cell = (tmp_path / "t.csv").read_bytes().split(b"\r\n")[1]
    assert cell[:1] not in b"=+-@\t"
    assert cell.endswith(b",-2.5")
    assert read_csv(tmp_path / "t.csv", {"value": float}, "") == [{"name": name, "value": -2.5}]


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt"])
@pytest.mark.parametrize("content", [b"# README\n" * 50, b"", b"PK\x03\x04 not a zip", b"\x80\x04."])
def test_a_text_given_as_weights_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged, or holds no VGG weights"):
        read_state(tmp_path / name, "VGG weights", "name another file")


@pytest.mark.parametrize("gone", ["deleted", "renamed"])
def test_a_run_folder_that_is_gone_meanwhile_is_told_and_not_made_again(tmp_path, monkeypatch, gone):
    def one_epoch(loop, once=Loop._one_epoch):
        if loop.at.epoch == 1:
            run = tmp_path / "run"
            shutil.rmtree(run) if gone == "deleted" else run.rename(tmp_path / "other")
        return once(loop)

    monkeypatch.setattr(Loop, "_one_epoch", one_epoch)
    with pytest.raises(UserError, match="run was removed or renamed while its training ran"):
        train_tiny(tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_finished_detection_stays_finished_while_it_is_asked_for_again(tmp_path, monkeypatch):
    whole = tmp_path / "all"
    detect_two(whole)
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    monkeypatch.setattr("upcrack_lite.predict.photos.write_csv", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        detect_two(whole)
    assert json.loads((whole / OUT).read_text())["status"] == "finished"


ROWS = {("recall", "accuracy", "iou"): "constant", ("precision", "accuracy", "f1"): "constant"}
ROWS |= {("accuracy", "f1", "iou"): "unknown", ("precision", "recall", "accuracy"): "constant"}


@pytest.mark.parametrize("columns", ROWS, ids=" ".join)
@pytest.mark.parametrize("empty", ["", ",,"])
def test_two_metrics_and_accuracy_fix_the_prevalence(tmp_path, columns, empty):
    lines = [
        {name: f"{getattr(Confusion(*counts), name):.3f}" for name in METRICS}
        for counts in ((120, 40, 80, 9760), (90, 25, 110, 9775), (150, 80, 50, 9720))
    ]
    cells = [",".join([str(index), *(row[name] for name in columns)]) for index, row in enumerate(lines)]
    (tmp_path / "t.csv").write_text(
        "\n".join(f"{line}{empty}" for line in (",".join(["row", *columns]), *cells))
    )
    assert audit_rows(read_table(tmp_path / "t.csv")[0]).groups[0].verdict == ROWS[columns]


@pytest.mark.parametrize(
    ("given", "says"),
    [("# Parameters\nseed = 3\nsize = 2\n", ""), ("# Parameters\nsede = 3\n", "sede"), ("seen = 1", "")],
)
def test_a_misspelled_parameter_of_papermill_is_an_error(given, says):
    cells = ["", 'seed = 0  # of all draws\nsize: int = 128\nname = "a=b"', given]
    if says:
        with pytest.raises(UserError, match="no parameter is named sede; there are: seed, size, name"):
            check_parameters(cells)
    else:
        check_parameters(cells)


def test_the_version_is_printed(upcrack, capsys):
    assert upcrack("--version") == 0
    assert capsys.readouterr().out.strip() == upcrack_lite.__version__
