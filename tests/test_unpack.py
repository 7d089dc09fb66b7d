"""Archives from the web: every kind is read, nothing leaves the folder, and damage is told from malice."""

from __future__ import annotations

import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from upcrack_lite.data.unpack import Damaged, unpack
from upcrack_lite.errors import UserError

FILES = {"set/a.txt": b"alpha" * 500, "set/deep/b.bin": bytes(range(256)) * 40}
KINDS = {"zip": "", "tar": "w:", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def archive(path: Path, files: dict[str, bytes] = FILES, kind: str = "zip") -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in files.items():
                packed.writestr(name, data)
        return path
    with tarfile.open(path, KINDS[kind]) as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_from_its_content(tmp_path, kind):
    unpack(archive(tmp_path / "download", kind=kind), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_clutter_is_left_out_and_one_folder_may_be_chosen(tmp_path):
    files = {
        "repo-1a2b/data/a.txt": b"a",
        "repo-1a2b/train.py": b"",
        "__MACOSX/data/._a": b"",
        "data/.DS_Store": b"",
    }
    unpack(archive(tmp_path / "a.zip", files), tmp_path / "out", "data")
    assert contents(tmp_path / "out") == {"repo-1a2b/data/a.txt": b"a"}
    with pytest.raises(UserError, match=r"a\.zip: no file is in it below other/"):
        unpack(tmp_path / "a.zip", tmp_path / "none", "other")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil.txt", "set/../../../evil.txt", "/evil.txt"])
def test_nothing_is_written_outside_of_the_folder(tmp_path, kind, name):
    path = archive(tmp_path / "bad", {name: b"x"}, kind)
    target = tmp_path / "sub" / "out"
    if kind == "tar" and not name.startswith("/"):
        with pytest.raises(UserError, match=r"is refused: .*outside the destination") as caught:
            unpack(path, target)
        assert not isinstance(caught.value, Damaged)
    else:
        unpack(path, target)
    assert {file.name for file in tmp_path.iterdir()} <= {"bad", "sub"}
    assert {file.name for file in (tmp_path / "sub").glob("*")} <= {"out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_out_of_the_folder_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, "../../etc/passwd"
        packed.addfile(info)
    with pytest.raises(UserError, match=r"a\.tar is refused: 'odd'"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_a_link_in_a_zip_becomes_a_plain_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        info = zipfile.ZipInfo("odd")
        info.external_attr = (stat.S_IFLNK | 0o4777) << 16
        packed.writestr(info, "/etc/passwd")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "odd").is_symlink()
    assert not (tmp_path / "out" / "odd").stat().st_mode & 0o7111


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path, kind):
    path = archive(tmp_path / "bomb", {"zeros.bin": bytes(20_000_000)}, kind)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="unpacks to more than 10 MB; it is refused"):
        unpack(path, tmp_path / "out", most_bytes=10_000_000)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.8])
def test_cut_off_archives_are_damaged_ones(tmp_path, kind, share):
    noise = random.Random(0).randbytes(40_000)
    data = archive(tmp_path / "a", {"a": noise, "b": noise[::-1]}, kind).read_bytes()
    (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Damaged, match="download or copy it again"):
        unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_never_escapes_as_another_error(tmp_path, kind):
    draw = random.Random(1)
    whole = archive(tmp_path / "whole", kind=kind).read_bytes()
    for turn in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "a").write_bytes(data)
        try:
            unpack(tmp_path / "a", tmp_path / f"out{turn}")
        except (UserError, FileExistsError):
            continue


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut off, damaged or no zip or tar archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is cut off, damaged or no zip or tar archive"),
        (b"<!DOCTYPE html><title>Sign in</title>", "is a web page, no archive: a login or a quota"),
    ],
)
def test_files_that_are_no_archive(tmp_path, content, message):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(Damaged, match=message):
        unpack(tmp_path / "a.zip", tmp_path / "out")
