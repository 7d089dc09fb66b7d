"""Archives from the web: honest ones of every kind, and everything that a hostile or broken one can try."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from upcrack_lite.data import archives, aside
from upcrack_lite.data.locks import only_process
from upcrack_lite.data.unpack import Limits, find_set, unpack
from upcrack_lite.errors import UserError

NOISE = np.random.default_rng(3).bytes(5000)  # packs to no less
FILES = {"train_img/1.jpg": NOISE, "train_lab/1.png": b"mask" * 100, "read me.txt": b"", "ä/ö.txt": b"umlaut"}
TARS = ("tar", "tar.gz", "tar.bz2", "tar.xz")


def make_zip(path: Path, files, method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files) -> Path:
    mode = "w:" + path.name.partition(".tar")[2].removeprefix(".")
    with tarfile.open(path, mode) as archive:
        for info, data in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def entry(name: str = "good/a.txt", **values) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


def zip_entry(name: str = "a.txt", mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def edit(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive: Path, message: str, tmp_path: Path, **options) -> str:
    """The archive is refused with this message, and nothing at all has been written."""
    (tmp_path / "out").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=message) as caught:
        unpack(archive, tmp_path / "out" / "set", **options)
    assert not list((tmp_path / "out").iterdir())
    assert archive.name in str(caught.value)
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    return str(caught.value)


@pytest.mark.parametrize("kind", ["zip", *TARS])
def test_every_kind_is_told_from_its_content(tmp_path, kind):
    path = (make_zip if kind == "zip" else make_tar)(tmp_path / f"x.{kind}", FILES)
    path = path.rename(tmp_path / "no_ending")
    assert unpack(path, tmp_path / "deep" / "set") == sorted(FILES)
    assert tree(tmp_path / "deep" / "set") == FILES
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["set"]


def test_clutter_is_left_out_and_folders_may_be_listed(tmp_path):
    clutter = {"__MACOSX/a/._x": b"1", "a/.DS_Store": b"2", "a/Thumbs.db": b"3"}
    path = make_zip(tmp_path / "x.zip", {"a/": b"", "a/x.txt": b"x", **clutter})
    assert unpack(path, tmp_path / "zip") == ["a/x.txt"]
    assert tree(tmp_path / "zip") == {"a/x.txt": b"x"}
    path = make_tar(tmp_path / "x.tar", [(entry(".", type=tarfile.DIRTYPE), b""), ("./a/x.txt", b"x")])
    assert unpack(path, tmp_path / "tar") == ["a/x.txt"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_permissions_are_not_taken_over(tmp_path, kind):
    if kind == "zip":
        files = [(zip_entry("a/b/x.sh", stat.S_IFREG | 0o6777), b"x"), (zip_entry("a/y", stat.S_IFREG), b"y")]
        path = make_zip(tmp_path / "x.zip", files)
    else:
        path = make_tar(
            tmp_path / "x.tar", [(entry("a/b/x.sh", mode=0o6777), b"x"), (entry("a/y", mode=0), b"y")]
        )
    mask = os.umask(0o002)
    try:
        unpack(path, tmp_path / "set")
    finally:
        os.umask(mask)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "set").rglob("*")}
    assert modes == {"x.sh": 0o644, "y": 0o644, "a": 0o755, "b": 0o755}


def test_only_one_folder_and_without_the_top_one(tmp_path):
    files = {"repo-main/README": b"r", "repo-main/data/a.txt": b"a", "repo-main/data/sub/b.txt": b"b"}
    path = make_tar(tmp_path / "x.tar.gz", {**files, "repo-main/database/c.txt": b"c"})
    assert unpack(path, tmp_path / "1", members="data") == ["data/a.txt", "data/sub/b.txt"]
    assert tree(tmp_path / "1") == {"data/a.txt": b"a", "data/sub/b.txt": b"b"}
    assert unpack(path, tmp_path / "2", members="repo-main/data/sub/") == ["repo-main/data/sub/b.txt"]
    assert len(unpack(path, tmp_path / "3")) == 4
    message = refused(path, "nothing lies below 'photos'", tmp_path, members="photos")
    assert "repo-main/data" in message


HOSTILE_NAMES = {
    "up": ("../evil.txt", r'".."'),
    "up inside": ("a/../../evil.txt", r'".."'),
    "backslash": ("..\\evil.txt", "backslash"),
    "backslash inside": ("a\\b.txt", "backslash"),
    "absolute": ("/etc/evil.txt", "absolute"),
    "drive": ("C:/evil.txt", "drive letter"),
    "drive without slash": ("c:evil.txt", "drive letter"),
    "long part": ("a" * 256 + ".txt", "too long"),
    "long path": ("a/" * 600 + "x.txt", "too long"),
    "long in bytes": ("ä" * 130, "too long"),
    "NUL": ("photo.jpg\0.exe", "control characters"),
    "terminal": ("\x1b[2Jphoto.jpg", "control characters"),
    "newline": ("photo\n.jpg", "control characters"),
    "clutter": ("__MACOSX/../../evil.txt", r'".."'),
    "no name": (".", "has no name"),
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names(tmp_path, name):
    name, message = HOSTILE_NAMES[name]
    with_zip = make_zip(tmp_path / "x.zip", [("good.txt", b"good"), (zip_entry(name), b"evil")])
    assert "good" not in refused(with_zip, message, tmp_path)
    with_tar = make_tar(tmp_path / "x.tar.gz", [("good.txt", b"good"), (entry(name), b"evil")])
    if "\0" in name:  # a tar header ends a name at a NUL; a pax header need not
        info = entry("short", pax_headers={"path": name})
        with_tar = make_tar(tmp_path / "y.tar", [("good.txt", b"good"), (info, b"evil")])
    assert "good" not in refused(with_tar, message, tmp_path)
    assert not list(tmp_path.rglob("*evil*"))


def test_all_offending_members_are_listed(tmp_path):
    path = make_zip(tmp_path / "x.zip", [(zip_entry(f"../{n}"), b"") for n in range(30)] + [("good", b"")])
    message = refused(path, r"because of these members \(30\)", tmp_path)
    assert "'../0'" in message
    assert "and 10 more" in message


def test_undecodable_names(tmp_path):
    path = edit(make_zip(tmp_path / "x.zip", {"ää.txt": b"x"}), "ää".encode(), b"\xff\xfe\xff\xfe")
    refused(path, "cannot be decoded", tmp_path)
    path = make_tar(tmp_path / "x.tar", {"a/\udcff\udcfe.txt": b"x"})
    refused(path, "cannot be decoded", tmp_path)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("a link", stat.S_IFLNK),
        ("a device", stat.S_IFCHR),
        ("a device", stat.S_IFBLK),
        ("a pipe", stat.S_IFIFO),
    ],
)
def test_links_and_devices_in_a_zip(tmp_path, kind, mode):
    path = make_zip(tmp_path / "x.zip", [("good", b""), (zip_entry("evil", mode | 0o777), b"/etc/passwd")])
    refused(path, f"'evil' is .*{kind.split()[1]}", tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (b"Z", "an unusual kind"),
    ],
)
@pytest.mark.parametrize("linkname", ["good", "/etc/passwd", "../../x"])
def test_links_and_devices_in_a_tar(tmp_path, kind, message, linkname):
    path = make_tar(
        tmp_path / "x.tar.gz", [("good", b"good"), (entry("evil", type=kind, linkname=linkname), b"")]
    )
    refused(path, f"'evil' is .*{message.partition(' ')[2]}", tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a/x.txt", "a/x.txt", "is there twice"),
        ("a/x.txt", "a/./x.txt", "is there twice"),
        ("a/x.txt", "a//x.txt", "is there twice"),
        ("a/x.txt", "a/X.TXT", "only in case"),
        ("a/x.txt", "A/y.txt", "only in case"),
        ("\u00e9.txt", "e\u0301.txt", "accents"),
        ("a", "a/x.txt", "both as a file and as a folder"),
        ("a/x.txt", "a", "both as a file and as a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_collide(tmp_path, first, second, message):
    refused(make_zip(tmp_path / "x.zip", [(first, b"1"), (second, b"2")]), message, tmp_path)
    refused(make_tar(tmp_path / "x.tar", [(first, b"1"), (second, b"2")]), message, tmp_path)


def test_an_encrypted_member(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"secret.txt": b"x"})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    refused(path, r"'secret\.txt' is encrypted", tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_need_memory_without_bound(tmp_path, method):
    path = make_zip(tmp_path / "x.zip", {"a.bin": b"x" * 9999}, method)
    refused(path, r"'a\.bin' is compressed by (bzip2|lzma); pack it again", tmp_path)


def lying_zip(path: Path, real: bytes, said: int, crc: int) -> Path:
    """A zip whose headers say `said` bytes for a member that expands to all of `real`."""
    make_zip(path, {"a.bin": real})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        start = data.index(mark) + at
        data[start : start + 4] = struct.pack("<I", crc)
        data[start + 8 : start + 12] = struct.pack("<I", said)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("crc_of", ["all", "head"])
def test_a_header_that_says_10_bytes_for_50_megabytes(tmp_path, crc_of):
    real = bytes(50_000_000)
    path = lying_zip(tmp_path / "x.zip", real, 10, zlib.crc32(real if crc_of == "all" else real[:10]))
    refused(path, r"'a\.bin' holds more than the 10 bytes it says", tmp_path)


def test_a_header_that_says_more_than_there_is(tmp_path):
    path = lying_zip(tmp_path / "x.zip", NOISE, 6000, zlib.crc32(NOISE))
    refused(path, "holds 5,000 bytes of 6,000", tmp_path)


def test_a_bomb_is_told_by_its_ratio(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.bin": bytes(30_000_000)})
    refused(path, "more than 200 times its", tmp_path)
    path = make_tar(tmp_path / "x.tar.gz", {f"{n}.bin": bytes(3_000_000) for n in range(10)})
    refused(path, "more than 200 times its", tmp_path)
    assert unpack(path, tmp_path / "set", limits=Limits(ratio=2000))


def test_limits_of_count_and_size(tmp_path):
    for path in (make_zip(tmp_path / "x.zip", FILES), make_tar(tmp_path / "x.tar", FILES)):
        refused(path, "more than 3 members", tmp_path, limits=Limits(members=3))
        refused(path, "unpacks to more than 5,000 bytes", tmp_path, limits=Limits(bytes=5000))
        assert unpack(path, tmp_path / path.suffix, limits=Limits(members=4, bytes=5406))


def test_a_tar_header_of_gigabytes_is_not_read_into_memory(tmp_path):
    header = bytearray(entry("x", type=tarfile.GNUTYPE_LONGNAME, size=2**32).tobuf(tarfile.GNU_FORMAT))
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(header) + bytes(2048))
    refused(path, r"a header of 4,294,967,296 bytes", tmp_path)


def test_a_tar_with_endless_padding_or_headers(tmp_path):
    whole = make_tar(tmp_path / "x.tar", {"a": b"x"}).read_bytes()
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(whole + bytes(30_000_000)))
    refused(path, "follows its end mark", tmp_path)
    path.write_bytes(gzip.compress(whole + bytes(10_000_000)))
    assert unpack(path, tmp_path / "set") == ["a"]
    chain = entry("g", type=tarfile.XGLTYPE).tobuf(tarfile.USTAR_FORMAT) * 5000
    path.write_bytes(gzip.compress(chain + whole))
    refused(path, "damaged.*recursion", tmp_path)


def test_a_sparse_tar_member(tmp_path):
    path = make_tar(tmp_path / "x.tar", [(entry("a", type=tarfile.GNUTYPE_SPARSE), b"x" * 512)])
    refused(path, "damaged|unusual", tmp_path)


@pytest.mark.parametrize("kind", ["zip", *TARS])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_cut_off_archives(tmp_path, kind, share):
    files = {f"{n}.bin": NOISE[n:] for n in range(20)}
    path = (make_zip if kind == "zip" else make_tar)(tmp_path / f"x.{kind}", files)
    whole = path.read_bytes()
    if kind == "tar":
        whole = whole.rstrip(b"\0") + bytes(512)  # the padding that follows the end mark is no loss
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "cut off or damaged.*copy it again", tmp_path)


def test_a_tar_cut_between_two_members(tmp_path):
    path = make_tar(tmp_path / "x.tar", {"a": b"x" * 512, "b": b"y" * 512})
    path.write_bytes(path.read_bytes()[:1024])
    refused(path, "the end mark is missing", tmp_path)


def test_a_tar_with_a_damaged_header_in_the_middle(tmp_path):
    path = make_tar(tmp_path / "x.tar", {"a": b"x" * 512, "b": b"y" * 512})
    data = bytearray(path.read_bytes())
    data[1024 + 148] ^= 1  # its checksum
    path.write_bytes(data)
    refused(path, "the end mark is missing", tmp_path)


def test_wrong_checksums(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"a.bin": NOISE}, zipfile.ZIP_STORED)
    refused(edit(path, NOISE[100:120], bytes(20)), "Bad CRC-32", tmp_path)
    path = tmp_path / "x.tar.gz"
    plain = make_tar(tmp_path / "x.tar", {"a.bin": NOISE}).read_bytes()
    data = bytearray(gzip.compress(plain))
    data[-6] ^= 1
    path.write_bytes(data)
    refused(path, "cut off or damaged.*CRC", tmp_path)
    data = bytearray(bz2.compress(plain))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(path, "cut off or damaged", tmp_path)


def test_random_damage_never_escapes_as_another_error(tmp_path):
    """Flip bytes anywhere: either the archive is refused by name, or what comes out is a plain tree."""
    random = np.random.default_rng(11)
    for make, name in (
        (make_zip, "x.zip"),
        (make_tar, "x.tar"),
        (make_tar, "x.tar.gz"),
        (make_tar, "x.tar.xz"),
    ):
        whole = make(tmp_path / name, {**FILES, "train_img/1.jpg": b"short"}).read_bytes()
        for trial in range(40):
            data = bytearray(whole)
            for at in random.integers(0, len(data), 3):
                data[at] = random.integers(0, 256)
            (tmp_path / name).write_bytes(data)
            target = tmp_path / "out" / "set"
            try:
                unpack(tmp_path / name, target)
            except UserError:
                assert not target.exists(), trial
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            assert (
                sorted(p.name for p in tmp_path.iterdir() if p.suffix not in (".zip", ".tar", ".gz", ".xz"))
                == []
            )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"just some text", "is no zip or tar archive"),
        (
            b"\xef\xbb\xbf\n <!doctype HTML><TITLE>Google Drive\n - Quota exceeded</TITLE>",
            r"Drive - Quota exceeded\)",
        ),
        (b"<?xml version='1.0'?><Error>", "is a web page, not"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "is a 7z archive; unpack it by hand"),
        (b"Rar!\x1a\x07" + bytes(100), "is a RAR archive"),
        (gzip.compress(b"no tar in here" * 100), "damaged"),
        (b"PK\x05\x06" + bytes(18), "no file is in it"),
        (gzip.compress(bytes(10240)), "no file is in it"),
    ],
    ids=[
        "empty",
        "text",
        "page",
        "xml",
        "7z",
        "rar",
        "gzip",
        "empty zip",
        "empty tar",
    ],  # gzip holds the time
)
def test_files_that_are_no_archive(tmp_path, content, message):
    path = tmp_path / "data.zip"
    path.write_bytes(content)
    refused(path, message, tmp_path)


def test_an_archive_of_folders_only_is_empty(tmp_path):
    refused(make_zip(tmp_path / "x.zip", {"a/": b"", "a/.DS_Store": b"x"}), "no file is in it", tmp_path)


def test_a_missing_archive(tmp_path):
    refused(tmp_path / "x.zip", "there is no such file", tmp_path)
    (tmp_path / "folder.zip").mkdir()
    refused(tmp_path / "folder.zip", "cannot be read", tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"no archive", b"Rar!", gzip.compress(NOISE)[:-20]], ids=range(5)
)
def test_what_another_copy_may_mend_is_told_apart(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(archives.Damaged):
        unpack(tmp_path / "x", tmp_path / "set")
    with pytest.raises(UserError) as caught:
        unpack(make_zip(tmp_path / "y", {"../a": b""}), tmp_path / "set")
    assert not isinstance(caught.value, archives.Damaged)


def test_an_archive_inside_stays_one(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", FILES).read_bytes()
    assert unpack(make_zip(tmp_path / "x.zip", {"inner.zip": inner}), tmp_path / "set") == ["inner.zip"]
    assert (tmp_path / "set" / "inner.zip").read_bytes() == inner


def test_the_target_is_never_touched(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    target = tmp_path / "set"
    target.mkdir()
    with pytest.raises(UserError, match="exists: name a new folder"):
        unpack(path, target)
    assert not list(target.iterdir())
    target.rmdir()
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="exists: name a new folder"):
        unpack(path, target)
    assert target.is_symlink()


def test_a_target_that_appears_meanwhile_is_never_touched(tmp_path, monkeypatch):
    path, target = make_zip(tmp_path / "x.zip", FILES), tmp_path / "out" / "set"
    real = archives.Archive.contents

    def contents(self, wanted):
        target.mkdir()
        yield from real(self, wanted)

    monkeypatch.setattr(archives.Archive, "contents", contents)
    with pytest.raises(UserError, match="has appeared in the meantime"):
        unpack(path, target)
    assert [p.name for p in target.parent.iterdir()] == ["set"]
    assert not list(target.iterdir())


def test_a_parent_that_cannot_be_written_to(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    with pytest.raises(UserError, match="is a file: name a folder"):
        unpack(path, path / "set")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.name == "posix" and os.geteuid() != 0:  # root may write anywhere
        with pytest.raises(UserError, match="cannot be written"):
            unpack(path, locked / "set")


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 100, 100))
    refused(make_zip(tmp_path / "x.zip", FILES), "unpacking x.zip needs 5,406 bytes, but only 100", tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    import resource

    path = make_zip(tmp_path / "x.zip", {"small": b"x", "big": NOISE * 10})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "out").mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written .*: free space") as caught:
            unpack(path, tmp_path / "out" / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "set" in str(caught.value)
    assert not list((tmp_path / "out").iterdir())
    assert len(unpack(path, tmp_path / "out" / "set")) == 2


def test_a_process_that_dies_leaves_no_target_and_the_next_call_works(tmp_path):
    path = make_zip(tmp_path / "x.zip", {f"{n}.bin": NOISE for n in range(5)})
    target = tmp_path / "out" / "set"
    code = """
import os, sys
from upcrack_lite.data import archives, unpack
def dying(self, wanted, real=archives.Archive.contents):
    for count, one in enumerate(real(self, wanted)):
        if count == 3:
            os._exit(9)
        yield one
archives.Archive.contents = dying
unpack.unpack(sys.argv[1], sys.argv[2])
"""
    done = subprocess.run([sys.executable, "-c", code, str(path), str(target)], timeout=60, check=False)
    assert done.returncode == 9
    assert not target.exists()
    left = {p.name for p in target.parent.iterdir()}
    assert ".set.lock" in left
    assert [name[-5:] for name in left - {".set.lock"}] == [".part"]
    if os.name == "nt":
        (target.parent / ".set.lock").unlink()
    assert len(unpack(path, target)) == 5
    assert len(tree(target)) == 5
    assert [p.name for p in target.parent.iterdir()] == ["set"]


def test_hidden_folders_of_somebody_else_stay(tmp_path):
    path = make_zip(tmp_path / "x.zip", FILES)
    host = aside._HOST
    others = (
        ".set.unpacking",
        ".set.part",
        f".set.{os.getpid()}@{host}.01234567.part",
        ".set.1@else.01234567.part",
    )
    for name in others:
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "mine").write_text("x")
    unpack(path, tmp_path / "out" / "set")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"set", *others}
    assert all((tmp_path / "out" / name / "mine").exists() for name in others)


def test_two_calls_for_one_target_do_not_meet(tmp_path):
    path, target = make_zip(tmp_path / "x.zip", FILES), tmp_path / "set"
    message = r"is unpacking set now: wait"
    with only_process(tmp_path / ".set.lock", "unpacking set"), pytest.raises(UserError, match=message):
        unpack(path, target)
    assert not target.exists()
    assert unpack(path, target)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_memory_stays_bounded(tmp_path, kind):
    code = """
import resource, sys
from upcrack_lite.data.unpack import unpack
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unpack(sys.argv[1], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    if sys.platform != "linux":
        pytest.skip("peak memory is read in Linux's units")
    big = np.random.default_rng(0).bytes(2**20) * 64
    path = (make_zip if kind == "zip" else make_tar)(tmp_path / f"x.{kind}", {"big.bin": big})
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 20_000, "KiB, for a file of 64 MiB"


def folders(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).mkdir(parents=True)
    return top


def test_a_set_is_found_down_to_the_third_level(tmp_path):
    assert find_set(folders(tmp_path / "0", "train_img"), "deepcrack") == tmp_path / "0"
    assert (
        find_set(folders(tmp_path / "1", "a/b/c/image", "a/b/c/groundTruth"), "cfd") == tmp_path / "1/a/b/c"
    )
    assert find_set(folders(tmp_path / "2", "x/traincrop/traincrop"), "crack500") == tmp_path / "2/x"
    with pytest.raises(UserError, match="no folder in it has the layout cfd"):
        find_set(folders(tmp_path / "3", "a/b/c/d/image", "a/b/c/d/groundTruth"), "cfd")


def test_a_set_that_is_not_there(tmp_path):
    top = folders(tmp_path / "top", "photos/raw", ".hidden/train_img")
    for name in ("a.jpg", "b.JPG", "c.zip"):
        (top / "photos" / name).touch()
    with pytest.raises(UserError) as caught:
        find_set(top, "deepcrack")
    assert "photos/ with raw/, 2 × .jpg, 1 × .zip" in str(caught.value)
    assert "photos/raw/ with nothing" in str(caught.value)
    folders(top, "x/image", "x/mask", "y/image", "y/mask")
    with pytest.raises(UserError, match=r"several sets of the layout plain: give one of .*x, .*y"):
        find_set(top, "plain")
    with pytest.raises(UserError, match="unknown layout 'coco'"):
        find_set(top, "coco")
    with pytest.raises(UserError, match="no such folder"):
        find_set(top / "no", "plain")
