"""Crops on disk: what is written is read back, and no damage goes unnoticed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data.crops import Crops, read_crops, read_description, write_crops
from upcrack_lite.data.reading import resize
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
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    assert write_crops(some_crops(), written, FACTS) == written
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


@pytest.mark.parametrize(
    ("crops", "facts", "says"),
    [
        ({"seed": 1}, {"parameters": {"window": (24, 16), "seed": 1}}, "parameters: {'seed': 0"),
        ({}, {"limit": 3}, r"limit: \(none\) there, 3 asked for"),
        ({"count": 4}, {}, "count: 5 there, 4 asked for"),
        ({"seed": 1}, {}, "pixels_sha256"),
    ],
)
def test_other_crops_are_refused_and_the_difference_is_named(written, crops, facts, says):
    before = content(written)
    with pytest.raises(UserError, match=rf"give another folder, or delete(.|\n)*{says}"):
        write_crops(some_crops(**crops), written, FACTS | facts)
    assert content(written) == before


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
    with pytest.raises(UserError, match="test photos"):
        write_crops(some_crops(), tmp_path / "crops", FACTS | {"split": "test"})
    assert not list(tmp_path.iterdir())
    path = write_crops(some_crops(), tmp_path / "crops", FACTS) / "crops.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"train"', '"test"'), encoding="utf-8")
    with pytest.raises(UserError, match="test photos"):
        read_crops(path.parent)


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
    for number in (1, 2, 3):
        assert f"000{number}.png: is missing, or was changed or cut off" in message
    assert "0006.png: is not in the index" in message
    assert "cut the crops again" in message
    with pytest.raises(UserError, match="cut the crops again"):
        write_crops(some_crops(), written, FACTS)
    index = written / "index.csv"
    index.write_text(index.read_text(encoding="utf-8").replace("photo 1", "photo 7", 1), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"index\.csv: is missing, or was changed after it was written; delete"
    ):
        read_crops(written)
