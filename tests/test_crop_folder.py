"""Crops on disk: what is written is read back, the whole folder or none, and no damage goes unnoticed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data import crop_folder
from upcrack_lite.data.crop_folder import is_crop_folder, read_crops, read_description, write_crops
from upcrack_lite.data.crops import Crops, undamaged_crops
from upcrack_lite.data.datasets import pairs, resize
from upcrack_lite.errors import UserError

FACTS = {"set": "roads", "split": "train", "manifest": "ab12", "parameters": {"window": (24, 16), "seed": 0}}


def some_crops(count: int = 5, size: int = 24, seed: int = 0) -> Crops:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    rows = [{"name": f"é, {i // 2}", "x": 3 * i, "y": i, "window": 24 if i < 2 else 16} for i in range(count)]
    return Crops(images, rows, [f"photo {i // 2}" for i in range(count)])


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def written(tmp_path) -> Path:
    return write_crops(some_crops(), tmp_path / "crops", FACTS)


def test_crops_come_back_as_they_were(written):
    crops, back = some_crops(), read_crops(written)
    assert (back.images == crops.images).all()
    assert back.images.dtype == np.uint8
    assert (back.rows, back.groups) == (crops.rows, crops.groups)
    smaller = read_crops(written, size=10)
    assert smaller.images.shape == (5, 10, 10, 3)
    assert (smaller.images[3] == resize(crops.images[3], None, 10)[0]).all()
    assert read_crops(written, size=30).images.shape == (5, 30, 30, 3)
    with pytest.raises(UserError, match="size must be"):
        read_crops(written, size=0)


def test_the_files_say_how_the_crops_were_made(written):
    assert sorted(content(written)) == sorted(
        ["crops.json", "index.csv", *(f"crops/{n:04d}.png" for n in range(1, 6))]
    )
    described = read_description(written)
    assert (described["count"], described["size"], described["photos"]) == (5, 24, 3)
    assert (described["windows"], described["enlarged"]) == ({"24": 2, "16": 3}, 3)
    assert described["facts"] == FACTS | {"parameters": {"window": [24, 16], "seed": 0}}
    with (written / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "name", "x", "y", "window", "scale", "group", "sha256"]
    assert [row["scale"] for row in rows] == ["1.0000"] * 2 + ["1.5000"] * 3
    picture = np.asarray(Image.open(written / "crops" / "0001.png"))
    assert (picture == some_crops().images[0]).all()  # red is red for every program


def test_the_same_crops_give_the_same_bytes_anywhere(written, tmp_path):
    other = write_crops(some_crops(), tmp_path / "deep" / "er" / "name", dict(reversed(FACTS.items())))
    assert content(other) == content(written)
    assert not any(str(tmp_path).encode() in data for data in content(written).values())


def test_a_second_time_changes_nothing_on_disk(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    assert write_crops(some_crops(), written, FACTS) == written
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before
    assert [path.name for path in written.parent.iterdir()] == ["crops"]


def test_other_crops_are_refused_and_the_difference_is_named(written):
    def refused(crops: Crops, facts: dict) -> str:
        before = content(written)
        with pytest.raises(UserError, match=r"give another folder, or delete") as caught:
            write_crops(crops, written, facts)
        assert content(written) == before
        return str(caught.value)

    message = refused(some_crops(seed=1), FACTS | {"parameters": {"window": (24, 16), "seed": 1}})
    assert "facts.parameters.seed: 0 there, 1 asked for" in message
    assert "sha256" not in message
    assert "facts.limit: (none) there, 3 asked for" in refused(some_crops(), FACTS | {"limit": 3})
    assert "count: 5 there, 4 asked for" in refused(some_crops(4), FACTS)
    assert "pixels_sha256" in refused(some_crops(seed=1), FACTS)
    moved = some_crops()
    moved.rows[2]["x"] += 1
    assert "the same pixels from other places" in refused(moved, FACTS)
    elsewhere = some_crops()
    elsewhere.groups[2] = "photo 2"
    assert "the same pixels from other places" in refused(elsewhere, FACTS)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("photos", "file"):
        with pytest.raises(UserError, match="something else than crops"):
            write_crops(some_crops(), tmp_path / name, FACTS)
    assert content(tmp_path) == {"photos/mine.jpg": b"x", "file": b"x"}
    (tmp_path / "empty").mkdir()
    assert len(read_crops(write_crops(some_crops(), tmp_path / "empty", FACTS))) == 5


def test_crops_of_test_photos_are_refused(tmp_path):
    for facts in (FACTS | {"split": "test"}, FACTS | {"split": "TEST"}):
        with pytest.raises(UserError, match="test photos"):
            write_crops(some_crops(), tmp_path / "crops", facts)
    for facts in ({}, {"split": None}):
        with pytest.raises(UserError, match="must name the split"):
            write_crops(some_crops(), tmp_path / "crops", facts)
    with pytest.raises(UserError, match=r"parameters\.from about crops is a path"):
        write_crops(some_crops(), tmp_path / "crops", FACTS | {"parameters": {"from": str(tmp_path)}})
    with pytest.raises(UserError, match="no crops"):
        write_crops(some_crops(0), tmp_path / "crops", FACTS)
    assert not list(tmp_path.iterdir())


def test_crops_of_test_photos_are_not_read_either(written):
    described = json.loads((written / "crops.json").read_text(encoding="utf-8"))
    described["facts"]["split"] = "test"
    (written / "crops.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(UserError, match="test photos"):
        read_crops(written)


def test_an_error_half_way_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def full(image):
        calls.append(image)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return b"png"

    monkeypatch.setattr(crop_folder, "_png", full)
    with pytest.raises(UserError, match="No space left"):
        write_crops(some_crops(), tmp_path / "crops", FACTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_kill_half_way_leaves_no_folder_of_that_name(tmp_path):
    code = f"""
import os, signal
import numpy as np
from upcrack_lite.data import crop_folder
from upcrack_lite.data.crops import Crops
made, png = [], crop_folder._png
def dying(image):
    made.append(image)
    if len(made) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return png(image)
crop_folder._png = dying
rows = [dict(name=str(i), x=0, y=0, window=8) for i in range(5)]
crops = Crops(np.zeros((5, 8, 8, 3), np.uint8), rows, list("abcde"))
crop_folder.write_crops(crops, {str(tmp_path / "crops")!r}, {{"split": "train"}})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert left[0].name.startswith(".crops.")
    assert len(list((left[0] / "crops").iterdir())) == 2  # it was really in the middle
    assert not is_crop_folder(tmp_path / "crops")
    assert len(read_crops(write_crops(some_crops(), tmp_path / "crops", FACTS))) == 5


def test_all_damage_to_the_files_is_listed(written):
    files = [written / "crops" / f"{number:04d}.png" for number in range(1, 7)]
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-30])
    files[2].write_bytes(files[3].read_bytes())
    files[5].write_bytes(files[4].read_bytes())
    (written / "crops" / ".DS_Store").write_bytes(b"left by a file manager")
    with pytest.raises(UserError) as caught:
        read_crops(written)
    message = str(caught.value)
    assert "(4):" in message
    assert "0001.png: there is no such file" in message
    assert "0002.png: was changed or cut off" in message
    assert "0003.png: was changed" in message
    assert "0006.png: is not in the index" in message
    assert "cut the crops again" in message
    with pytest.raises(UserError, match="cut the crops again"):
        write_crops(some_crops(), written, FACTS)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("crops/0002.png", "../../0002.png", "line 3: is malformed"),
        (",16,1.5000", ",x,1.5000", "line 4: is malformed"),
        (",16,1.5000,photo 1", ",16", "line 4: is malformed"),
        ("crops/0002.png", "crops/0001.png", "line 3: repeats crops/0001.png"),
        ("file,name", "name,file", "line 1: the columns must be"),
        ("photo 1", "photo 7", "was changed after it was written"),
    ],
)
def test_bad_lines_of_the_index_are_named(written, old, new, said):
    path = written / "index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"index\.csv: cannot be used; delete") as caught:
        read_crops(written)
    assert said in str(caught.value)


def test_a_missing_or_short_index_is_named(written):
    path = written / "index.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(UserError, match=r"4 lines, but crops\.json counts 5 crops"):
        read_crops(written)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"index\.csv: cannot be read"):
        read_crops(written)
    path.unlink()
    with pytest.raises(UserError, match=r"index\.csv: there is no such file"):
        read_crops(written)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "format 1"),
        ('{"format": 2}', "format 1"),
        ('{"format": 1, "count": -1, "size": 8}', "positive count"),
        ('{"format": 1, "count": 5, "size": 24, "facts": 3}', "must name the split"),
    ],
)
def test_a_malformed_description_is_refused(written, text, said):
    (written / "crops.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_crops(written)


def test_only_its_own_folders_count_as_folders_of_crops(written, tmp_path):
    assert is_crop_folder(written)
    assert not is_crop_folder(tmp_path)
    assert not is_crop_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no folder of crops"):
        read_crops(tmp_path)


@pytest.mark.mirror
def test_real_crops_survive_the_disk(mirror, tmp_path):
    found = pairs(mirror / "deepcrack", split="train")
    crops = undamaged_crops(found, (256, 192, 160, 128), 40, size=256)
    back = read_crops(write_crops(crops, tmp_path / "crops", {"set": "deepcrack", "split": "train"}))
    assert (back.images == crops.images).all()
    assert (back.rows, back.groups) == (crops.rows, crops.groups)
