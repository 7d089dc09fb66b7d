"""From a mirror, archives or an address to a verified set: terms, refusals, interruptions, nothing half-done."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pooch
import pytest
from small_sets import make, zip_of

from upcrack_lite.data import fetch as fetching
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data import partition
from upcrack_lite.data.catalog import overview
from upcrack_lite.data.fetch import MANIFEST, PROVENANCE, Options, fetch
from upcrack_lite.data.sources import SOURCES
from upcrack_lite.errors import UserError

ACCEPT = Options(accept_terms=True)


@pytest.fixture(autouse=True)
def small(small_sources):
    """Every test here sees the known sets with the counts of small ones, and no mirror from outside."""


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def from_mirror(small_mirror) -> Options:
    return Options(accept_terms=True, mirror=small_mirror)


def there(root: Path) -> set[str]:
    """What lies in a root, except the note on terms and the lock files."""
    names = {path.name for path in root.iterdir()} if root.exists() else set()
    return {name for name in names if not name.endswith(".lock") and name != ".accepted-terms.json"}


def test_a_mirror_gives_a_verified_folder_with_manifest_and_provenance(from_mirror, root, tmp_path):
    said, mirrored = [], from_mirror.mirror / "deepcrack"
    (tmp_path / "outside.jpg").write_bytes(b"x")
    (mirrored / "train_img" / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (mirrored / ".secret").write_text("x")
    got = fetch("deepcrack", root, replace(from_mirror, say=said.append))
    assert (got.new, got.folder, len(got.survey.photos)) == (True, root / "deepcrack", 5)
    assert not [finding for finding in got.findings if finding.level == "error"]
    listed = {entry.path for entry in manifests.read(got.folder / MANIFEST)}
    there_now = {p.relative_to(got.folder).as_posix() for p in got.folder.rglob("*") if p.is_file()}
    assert len(listed) == 10
    assert there_now == listed | {MANIFEST, PROVENANCE}  # neither links nor hidden files
    facts = json.loads((got.folder / PROVENANCE).read_text())
    assert (facts["name"], facts["origin"], facts["errors"]) == ("deepcrack", {"kind": "mirror"}, 0)
    assert said
    assert there(root) == {"deepcrack"}


def test_fetching_again_reads_the_set_and_touches_nothing(from_mirror, root):
    fetch("deepcrack", root, from_mirror)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert not fetch("deepcrack", root).new  # no source is needed, and the terms are known
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_terms_come_first_and_once_and_again_when_they_change(small_mirror, from_mirror, root, monkeypatch):
    without = Options(mirror=small_mirror)
    with pytest.raises(UserError, match=r"non-commercial(.|\n)*--accept-terms"):
        fetch("deepcrack", root, without)
    assert there(root) == set()
    fetch("deepcrack", root, from_mirror)
    (root / "deepcrack").rename(root / "old")
    assert fetch("deepcrack", root, without).new
    (root / "deepcrack").rename(root / "older")
    monkeypatch.setitem(SOURCES, "deepcrack", replace(SOURCES["deepcrack"], terms="Ask first."))
    with pytest.raises(UserError, match=r"Ask first\."):
        fetch("deepcrack", root, without)


def test_what_is_in_the_way_is_left_alone(from_mirror, root, tmp_path):
    folder = fetch("deepcrack", root, from_mirror).folder
    (folder / "test_lab" / "test_1.png").write_bytes((folder / "test_lab" / "test_0.png").read_bytes())
    with pytest.raises(UserError, match=r"has changed since(.|\n)*test_lab/test_1\.png: "):
        fetch("deepcrack", root)
    make(tmp_path / "own" / "deepcrack", "deepcrack")
    with pytest.raises(UserError, match=r"was not made by this command: move it away"):
        fetch("deepcrack", tmp_path / "own", from_mirror)
    for name in ("file", "link", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "file" / "deepcrack").write_text("x")
    (tmp_path / "link" / "deepcrack").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(UserError, match=r"move it away|could not be written"):
            fetch("deepcrack", tmp_path / name, from_mirror)
    (tmp_path / "empty" / "deepcrack").mkdir()
    assert fetch("deepcrack", tmp_path / "empty", from_mirror).new


def test_a_faulty_set_is_not_put_in_place_but_reported(small_mirror, from_mirror, root):
    (small_mirror / "deepcrack" / "train_lab" / "train_1.png").unlink()
    with pytest.raises(UserError, match=r"--keep-faulty(.|\n)*train_1") as caught:
        fetch("deepcrack", root, from_mirror)
    assert ".deepcrack.part" not in str(caught.value)  # that folder is gone by now
    assert there(root) == set()
    got = fetch("deepcrack", root, replace(from_mirror, keep_faulty=True))
    with pytest.raises(
        UserError, match=r"has errors: move .* away and fetch it again, or keep it with --keep-f"
    ):
        fetch("deepcrack", root)
    assert "(with errors)" in overview(root)
    assert json.loads((got.folder / PROVENANCE).read_text())["errors"] > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing_that_looks_finished(from_mirror, root, monkeypatch, error):
    def stop(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "survey", stop)
        with pytest.raises((KeyboardInterrupt, UserError), match=r"^$|No space left on device"):
            fetch("deepcrack", root, from_mirror)
    assert there(root) == set()
    assert fetch("deepcrack", root, from_mirror).new


@pytest.fixture
def cfd(root, monkeypatch):
    """A CrackForest of three photos in the root, fetched."""
    make(root.parent / "mirror" / "cfd", "cfd")
    for name, counts in {"cfd": {"all": 3}, "cfd_patches": {"all": 4}}.items():
        changed = replace(SOURCES[name], counts=counts, shares={}, sizes=frozenset(), disk_mb=1)
        monkeypatch.setitem(SOURCES, name, changed)
    monkeypatch.setattr(partition, "PATCHES", 4)
    monkeypatch.setattr(partition, "PATCH", 64)
    return fetch("cfd", root, replace(ACCEPT, mirror=root.parent / "mirror")).folder


def test_a_made_set_names_what_it_was_made_from_and_shares_its_terms(root, cfd, small_mirror):
    with pytest.raises(UserError, match=r"is made from .*cfd: leave --from out"):
        fetch("cfd_patches", root, Options(files=[small_mirror]))
    terms = (root / ".accepted-terms.json").read_text()
    (root / ".accepted-terms.json").unlink()
    with pytest.raises(UserError, match=r"CrackForest(.|\n)*--accept-terms"):
        fetch("cfd_patches", root)
    (root / ".accepted-terms.json").write_text(terms)
    got = fetch(
        "cfd_patches", root, Options(mirror=small_mirror)
    )  # a mirror is for all sets, and cfd is here
    facts = json.loads((got.folder / PROVENANCE).read_text())["origin"]
    digest = manifests.digest(manifests.read(cfd / MANIFEST))
    assert facts == {"kind": "made", "from": "cfd", "manifest_sha256": digest}
    assert len(got.survey.photos) == 4


def test_no_set_is_made_from_one_that_was_changed(root, cfd):
    photo = sorted((cfd / "image").iterdir())[0]
    photo.write_bytes(sorted((cfd / "image").iterdir())[1].read_bytes())
    with pytest.raises(UserError, match="has changed since it was fetched"):
        fetch("cfd_patches", root)
    (cfd / PROVENANCE).unlink()
    with pytest.raises(UserError, match="cfd is there and was not made by this command"):
        fetch("cfd_patches", root)


def test_a_mirror_may_hold_an_archive_or_be_named_by_the_environment(small_mirror, root, monkeypatch):
    monkeypatch.setenv("UPCRACK_MIRROR", str(small_mirror))
    assert fetch("deepcrack", root, ACCEPT).new
    with pytest.raises(UserError, match=r"drive\.google\.com"):
        fetch("crack500", root, ACCEPT)
    (small_mirror / "deepcrack").rename(small_mirror / "gone")
    for name in ("DeepCrack.zip", "deepcrack.zip"):
        packed = zip_of(small_mirror / "gone", small_mirror / name, "DeepCrack/")
        assert fetch("deepcrack", root / name, ACCEPT).new
        packed.unlink()


def test_archives_got_by_hand(root, tmp_path):
    loose = make(tmp_path / "loose", "crack500")
    archives = [zip_of(loose / f"{s}crop", tmp_path / f"{s}crop.zip", f"{s}crop/") for s in ("train", "val")]
    # Bare files: the archive's name counts.
    archives.append(zip_of(loose / "testcrop", tmp_path / "testcrop.zip"))
    got = fetch("crack500", root, replace(ACCEPT, files=archives))
    assert [photo.part for photo in got.survey.photos] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert got.survey.photos[0].image == "traincrop/train_0.jpg"
    names = json.loads((got.folder / PROVENANCE).read_text())["origin"]
    assert names == {"kind": "archives", "names": ["traincrop.zip", "valcrop.zip", "testcrop.zip"]}
    again = fetch("crack500", tmp_path / "second", replace(ACCEPT, files=[loose]))
    listed = [manifests.read(folder / MANIFEST) for folder in (got.folder, again.folder)]
    assert listed[0] == listed[1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("crack500", {}, r"drive\.google\.com(.|\n)*--from traincrop\.zip"),
        ("crack500", {"mirror": "mirror"}, r"does not hold crack500; it holds deepcrack"),
        ("deepcrack", {"mirror": "nowhere"}, r"no such folder; --mirror"),
        ("crack500", {"files": ["no/traincrop.zip"]}, r"no such file or folder(.|\n)*traincrop\.zip"),
        ("deepcrack", {"files": ["other"]}, "no set of the layout deepcrack in other; it holds testcrop/"),
        ("cfd", {}, r"the set cfd needs .* are free"),
    ],
)
def test_what_cannot_be_fetched_says_how_to_get_it(
    root, tmp_path, small_mirror, monkeypatch, name, options, message
):
    monkeypatch.chdir(tmp_path)
    make(Path("other"), "crack500")
    monkeypatch.setitem(SOURCES, "cfd", replace(SOURCES["cfd"], disk_mb=10**9))
    with pytest.raises(UserError, match=message):
        fetch(name, root, replace(ACCEPT, **options))
    assert there(root) == set()


class Counting(SimpleHTTPRequestHandler):
    """Counts what it is asked for; says more bytes than it sends where the name says so."""

    def log_message(self, *args):
        self.server.requests.append(self.path)

    def send_header(self, keyword, value):
        broken = "broken" in self.path and keyword == "Content-Length"
        super().send_header(keyword, str(int(value) + 1000) if broken else value)


@pytest.fixture
def server(tmp_path):
    """A server of this machine alone."""
    (tmp_path / "served").mkdir()
    handler = partial(Counting, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.requests, running.folder = [], tmp_path / "served"
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def serve(server, monkeypatch):
    """Name an address of the server as that of a set."""

    def change(name: str, file: str, port: int = 0) -> None:
        address = f"http://127.0.0.1:{port or server.server_address[1]}/{file}"
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], address=address))

    return change


def test_an_archive_is_downloaded_once_and_only_its_data_unpacked(server, serve, root, tmp_path):
    repository = make(tmp_path / "repository", "crack500_authors")
    (repository / "train.py").write_text("print()")
    packed = zip_of(repository, server.folder / "pack.zip", "UP-CrackNet-4639e8e/")
    serve("crack500_authors", "pack.zip")
    got = fetch("crack500_authors", root, ACCEPT)
    assert [path.name for path in got.folder.iterdir() if path.is_dir()] == ["dataset"]
    assert not (got.folder / "train.py").exists()
    assert [photo.part for photo in got.survey.photos] == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    origin = json.loads((got.folder / PROVENANCE).read_text())["origin"]
    assert origin["archive_sha256"] == pooch.file_hash(str(packed))
    assert there(root) == {"crack500_authors", ".downloads"}
    got.folder.rename(root / "old")
    assert fetch("crack500_authors", root).new
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("file", "port", "why"),
    [
        ("gone.zip", 0, "the server answers 404"),
        ("broken.zip", 0, r"the connection failed \(ChunkedEncodingError\)"),
        ("pack.zip", 9, r"the connection failed \(ConnectionError\)"),
    ],
)
def test_a_download_that_fails_says_why_and_what_to_do(server, serve, root, tmp_path, file, port, why):
    zip_of(make(tmp_path / "repository", "deepcrack"), server.folder / "broken.zip")
    serve("deepcrack", file, port)
    with pytest.raises(UserError, match=rf"could not be downloaded:\n.*{file}: {why}(.|\n)*--mirror.*--from"):
        fetch("deepcrack", root, ACCEPT)
    assert there(root) == set()


@pytest.mark.parametrize("damage", ["cut off", "page"])
def test_a_damaged_download_does_not_stand_in_the_way_of_the_next_one(server, serve, root, tmp_path, damage):
    whole = zip_of(make(tmp_path / "repository", "deepcrack"), tmp_path / "whole.zip").read_bytes()
    serve("deepcrack", "pack.zip")
    page = b"<html><title>Sign in</title></html>"
    (server.folder / "pack.zip").write_bytes(page if damage == "page" else whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is cut off, damaged or no zip archive"):
        fetch("deepcrack", root, ACCEPT)
    (server.folder / "pack.zip").write_bytes(whole)
    assert fetch("deepcrack", root).new
