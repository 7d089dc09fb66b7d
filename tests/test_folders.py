"""A folder is written whole or not at all, by one process at a time, and only where there is room."""

from __future__ import annotations

import mmap
import shutil
from collections import namedtuple

import numpy as np
import pytest
from filelock import FileLock

from upcrack_lite.data import folders
from upcrack_lite.data.folders import blank_images, check_space, whole_folder
from upcrack_lite.errors import UserError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def write(target, text: str) -> None:
    with whole_folder(target) as stage:
        (stage / "a.txt").write_text(text)


def test_a_target_is_never_replaced_unless_it_is_empty(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / ".set.part").mkdir()
    (tmp_path / ".set.part" / "half.txt").write_text("of a killed process")
    write(tmp_path / "set", "one")
    with pytest.raises(UserError, match="set exists: give another name, or delete it"):
        write(tmp_path / "set", "two")
    assert names(tmp_path / "set") == ["a.txt"]
    assert (tmp_path / "set" / "a.txt").read_text() == "one"
    assert names(tmp_path) == ["set"]


def test_a_second_process_is_refused_while_the_first_one_works(tmp_path):
    message = r"another process is writing .*set now: wait until it ends"
    lock = FileLock(tmp_path / ".set.lock")
    with lock, pytest.raises(UserError, match=message), whole_folder(tmp_path / "set"):
        pytest.fail("not alone")
    assert names(tmp_path) == []


def test_a_disk_that_is_too_small_is_told_with_both_numbers(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 3_000_000))
    check_space(tmp_path / "not" / "yet", 3_000_000, "unpacking a.zip")
    with pytest.raises(UserError, match=r"unpacking a\.zip needs 5\.0 MB, but only 3\.0 MB are free"):
        check_space(tmp_path / "not" / "yet", 5_000_000, "unpacking a.zip")


def test_many_photos_lie_in_a_file_that_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "IN_MEMORY", 3 * 4 * 4 * 3)
    few, many = blank_images(3, 4), blank_images(4, 4)
    many[:] = 7
    assert few.base is None
    assert isinstance(many.base.base, mmap.mmap)
    assert many.shape == (4, 4, 4, 3)
    assert (many == np.full_like(many, 7)).all()
    assert names(tmp_path) == []
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 91, 9))
    with pytest.raises(UserError, match=r"a file for 4 photos, which TMPDIR moves, needs"):
        blank_images(4, 4)
