"""A folder is there whole or not at all, and nothing of anybody else is touched on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from upcrack_lite.data.aside import whole_folder
from upcrack_lite.errors import UserError


def test_the_folder_appears_when_the_block_is_left(tmp_path):
    target = tmp_path / "new" / "set"
    with whole_folder(target) as aside:
        (aside / "a.txt").write_text("a")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["set"]
    assert (target / "a.txt").read_text() == "a"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_leaves_nothing(tmp_path, error):
    def stop():
        with whole_folder(tmp_path / "set") as aside:
            (aside / "a.txt").write_text("a")
            raise error("stop")

    with pytest.raises(UserError if error is OSError else error):
        stop()
    assert not list(tmp_path.iterdir())


def test_a_target_with_other_content_stays(tmp_path):
    target = tmp_path / "set"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists with other content"), whole_folder(target) as aside:
        (aside / "a.txt").write_text("a")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]
    with whole_folder(target) as aside:
        (aside / "mine.txt").write_text("mine")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_file_at_fault_is_named(tmp_path):
    source, target = tmp_path / "source.jpg", tmp_path / "out" / "set"
    with (
        pytest.raises(UserError, match=r"source\.jpg cannot be used \(No such file"),
        whole_folder(target) as aside,
    ):
        shutil.copyfile(source, aside / "a.jpg")
    with (
        pytest.raises(UserError, match=r"set cannot be written \(No such file"),
        whole_folder(target) as aside,
    ):
        (aside / "no" / "a.jpg").write_text("a")
    with pytest.raises(UserError, match=r"set cannot be written \(No space left"), whole_folder(target):
        raise OSError(
            28, os.strerror(28), str(source), None, str(target)
        )  # as a copy onto a full disk says it
    assert not list(target.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="whether a process runs is not asked there")
def test_what_a_killed_process_left_is_cleared_away_and_nothing_else(tmp_path):
    code = """
import os, pathlib, sys
from upcrack_lite.data.aside import whole_folder
with whole_folder(pathlib.Path(sys.argv[1])) as aside:
    (aside / "a.txt").write_text("a")
    os._exit(9)
"""
    target = tmp_path / "set"
    done = subprocess.run([sys.executable, "-c", code, str(target)], timeout=60, check=False)
    assert done.returncode == 9
    (left,) = tmp_path.iterdir()
    mine = tmp_path / left.name.replace(".set.", ".set.x.")
    mine.mkdir()
    with whole_folder(target) as aside, whole_folder(tmp_path / "other"):
        assert aside != left
        assert not left.exists()
        with whole_folder(target) as second:  # of a process that lives
            assert second.exists()
            assert aside.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"set", "other", mine.name}
