"""Zip archives from the web: nothing leaves the folder or fills the disk, and damage is told."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest

from upcrack_lite.data.fetch import unpack
from upcrack_lite.errors import UserError

FILES = {"set/a.txt": b"alpha" * 500, "set/deep/b.bin": bytes(range(256)) * 40}


def archive(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_clutter_is_left_out_and_one_folder_may_be_chosen(tmp_path):
    wanted = {"repo-1a2b/data/a.txt": b"a"}
    others = {"repo-1a2b/train.py": b"", "__MACOSX/data/._a": b"", "data/.DS_Store": b""}
    unpack(archive(tmp_path / "a.zip", wanted | others), tmp_path / "out", "data")
    assert contents(tmp_path / "out") == wanted
    with pytest.raises(UserError, match=r"a\.zip: no file is in it below other/"):
        unpack(tmp_path / "a.zip", tmp_path / "none", "other")


@pytest.mark.parametrize("name", ["../evil.txt", "set/../../../evil.txt", "/evil.txt"])
def test_nothing_is_written_outside_of_the_folder(tmp_path, name):
    unpack(archive(tmp_path / "bad", {name: b"x"}), tmp_path / "sub" / "out")
    assert {file.name for file in tmp_path.iterdir()} == {"bad", "sub"}
    assert {file.name for file in (tmp_path / "sub").iterdir()} == {"out"}


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path):
    path = archive(tmp_path / "bomb", {"zeros.bin": bytes(20_000_000)})
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="unpacks to more than 10 MB; it is refused"):
        unpack(path, tmp_path / "out", most_bytes=10_000_000)
    assert not (tmp_path / "out").exists()


WHOLE = {"a": random.Random(0).randbytes(40_000), "b": random.Random(1).randbytes(40_000)}


@pytest.mark.parametrize(
    "damage", [0.05, 0.5, 0.8, b"", b"7z\xbc\xaf", b"<!DOCTYPE html><title>Sign in</title>"]
)
def test_what_is_no_whole_archive_is_told(tmp_path, damage):
    data = archive(tmp_path / "a", WHOLE).read_bytes()
    (tmp_path / "a").write_bytes(data[: int(len(data) * damage)] if isinstance(damage, float) else damage)
    with pytest.raises(
        UserError, match=r"a is cut off, damaged or no zip archive.*download or copy it again"
    ):
        unpack(tmp_path / "a", tmp_path / "out")


def test_random_damage_never_escapes_as_another_error(tmp_path):
    draw = random.Random(1)
    whole = archive(tmp_path / "whole").read_bytes()
    for turn in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "a").write_bytes(data)
        try:
            unpack(tmp_path / "a", tmp_path / f"out{turn}")
        except (UserError, FileExistsError):
            continue
