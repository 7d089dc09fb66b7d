"""From a mirror, archives or an address to a verified set: terms, refusals, interruptions, nothing half-done."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from small_sets import make, zip_of

from upcrack_lite.data import collect as collecting
from upcrack_lite.data import fetch as fetching
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data import partition
from upcrack_lite.data.catalog import overview
from upcrack_lite.data.fetch import MANIFEST, PROVENANCE, fetch
from upcrack_lite.data.locks import only_process
from upcrack_lite.data.sources import SOURCES
from upcrack_lite.errors import UserError


@pytest.fixture(autouse=True)
def small(small_sources):
    """Every test here sees the known sets with the counts of small ones, and no mirror from outside."""


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data"


def visible(folder: Path) -> set[str]:
    return (
        {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if folder.exists()
        else set()
    )


def hidden_stages(root: Path) -> list[Path]:
    return list(root.glob(".*part"))


def test_a_mirror_gives_a_verified_folder_with_manifest_and_provenance(small_mirror, root):
    said = []
    got = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror, say=said.append)
    assert got.new
    assert got.folder == root / "deepcrack"
    assert len(got.survey.photos) == 5
    assert not [finding for finding in got.findings if finding.level == "error"]
    listed = manifests.read(got.folder / MANIFEST)
    assert len(listed) == 10
    assert (got.folder / listed[0].path).is_file()
    facts = json.loads((got.folder / PROVENANCE).read_text())
    assert (facts["name"], facts["origin"], facts["errors"]) == ("deepcrack", {"kind": "mirror"}, 0)
    assert said
    assert hidden_stages(root) == []


def test_fetching_again_reads_the_set_and_touches_nothing(small_mirror, root):
    fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert not fetch("deepcrack", root).new  # no source is needed, and the terms are known
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_terms_come_first_and_once(small_mirror, root):
    with pytest.raises(UserError, match=r"non-commercial(.|\n)*--accept-terms"):
        fetch("deepcrack", root, mirror=small_mirror)
    assert visible(root) == set()
    fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    (root / "deepcrack").rename(root / "old")
    assert fetch("deepcrack", root, mirror=small_mirror).new


def test_new_terms_are_asked_for_again(small_mirror, root, monkeypatch):
    fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    (root / "deepcrack").rename(root / "old")
    monkeypatch.setitem(SOURCES, "deepcrack", replace(SOURCES["deepcrack"], terms="Ask first."))
    with pytest.raises(UserError, match=r"Ask first\."):
        fetch("deepcrack", root, mirror=small_mirror)


def test_a_fetched_set_that_was_changed_is_named_file_by_file(small_mirror, root):
    folder = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).folder
    (folder / "test_lab" / "test_1.png").write_bytes((folder / "test_lab" / "test_0.png").read_bytes())
    with pytest.raises(UserError, match=r"has changed since(.|\n)*test_lab/test_1\.png: changed"):
        fetch("deepcrack", root)


def test_a_folder_of_the_users_own_is_left_alone(small_mirror, root):
    make(root / "deepcrack", "deepcrack")
    with pytest.raises(UserError, match=r"was not made by this command: move it away"):
        fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)


def test_an_empty_folder_is_not_in_the_way_and_a_file_or_dangling_link_is(small_mirror, root, tmp_path):
    (root / "deepcrack").mkdir(parents=True)
    assert fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).new
    for at, block in enumerate((lambda p: p.write_text("x"), lambda p: p.symlink_to(tmp_path / "nowhere"))):
        other = tmp_path / f"other{at}"
        other.mkdir()
        block(other / "deepcrack")
        with pytest.raises(UserError, match="move it away"):
            fetch("deepcrack", other, accept_terms=True, mirror=small_mirror)


def test_a_faulty_set_is_not_put_in_place_but_reported(small_mirror, root):
    (small_mirror / "deepcrack" / "train_lab" / "train_1.png").unlink()
    with pytest.raises(UserError, match=r"--keep-faulty(.|\n)*train_1") as caught:
        fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    assert ".upcrack-part" not in str(caught.value)  # that folder is gone by now
    assert visible(root) == {"deepcrack-rejected.html", "deepcrack-rejected.json"}
    got = fetch("deepcrack", root, mirror=small_mirror, keep_faulty=True)
    assert visible(root) == {"deepcrack"}
    with pytest.raises(UserError, match="has errors: move it away"):
        fetch("deepcrack", root)
    assert "(with errors)" in overview(root)
    assert json.loads((got.folder / PROVENANCE).read_text())["errors"] > 0


def test_differences_to_a_manifest_are_reported_and_do_not_hide(small_mirror, root, tmp_path):
    listed = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).folder / MANIFEST
    other = tmp_path / "other.csv"
    entries = [
        replace(entry, sha256="0" * 64) if "test_0.jpg" in entry.path else entry
        for entry in manifests.read(listed)
    ]
    manifests.write(other, entries)
    got = fetch("deepcrack", tmp_path / "second", accept_terms=True, mirror=small_mirror, manifest=other)
    named = [finding for finding in got.findings if "test_img/test_0.jpg" in finding.paths]
    assert [(finding.check, finding.level) for finding in named] == [("manifest", "warning")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing_that_looks_finished(small_mirror, root, monkeypatch, error):
    def stop(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "survey", stop)
        with pytest.raises((KeyboardInterrupt, OSError, UserError)):
            fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    assert visible(root) == set()
    assert hidden_stages(root) == []
    assert fetch("deepcrack", root, mirror=small_mirror).new


def test_what_a_killed_run_left_is_removed(small_mirror, root):
    code = (
        "import os, signal, sys\nfrom upcrack_lite.data import fetch\n"
        "fetch.survey = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "fetch.fetch('deepcrack', sys.argv[1], accept_terms=True, mirror=sys.argv[2])"
    )
    dead = subprocess.run([sys.executable, "-c", code, root, small_mirror], capture_output=True, check=False)
    assert dead.returncode == -9
    (left,) = hidden_stages(root)
    assert any(left.rglob("*.jpg"))
    assert fetch("deepcrack", root, mirror=small_mirror).new
    assert hidden_stages(root) == []
    assert not list(root.glob(".*.lock"))


def test_a_second_run_is_refused_while_the_first_one_works(small_mirror, root):
    root.mkdir()
    with only_process(root / ".deepcrack.lock", "fetching deepcrack"):
        with pytest.raises(UserError, match=r"is fetching deepcrack now: wait until it ends"):
            fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
        assert hidden_stages(root) == []
    assert fetch("deepcrack", root, mirror=small_mirror).new


def test_a_set_that_appears_while_waiting_is_checked_and_not_made_again(small_mirror, root, monkeypatch):
    first = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).folder
    first.rename(root / "old")
    monkeypatch.setattr(fetching, "check_space", lambda *a: (root / "old").rename(first))
    assert not fetch("deepcrack", root, mirror=small_mirror).new


def test_errors_of_a_set_that_is_here_are_no_success(small_mirror, root, tmp_path):
    folder = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).folder
    entries = [
        replace(entry, crack_share=50.0, sha256="0" * 64) if entry.crack_share else entry
        for entry in manifests.read(folder / MANIFEST)
    ]
    manifests.write(tmp_path / "other.csv", entries)
    with pytest.raises(
        UserError, match=r"has errors: move it away and fetch it again, or go on with --keep-faulty"
    ):
        fetch("deepcrack", root, manifest=tmp_path / "other.csv")
    assert not fetch("deepcrack", root, manifest=tmp_path / "other.csv", keep_faulty=True).new


@pytest.fixture
def cfd(root, monkeypatch):
    """A CrackForest of three photos in the root, fetched."""
    make(root.parent / "mirror" / "cfd", "cfd")
    for name, counts in {"cfd": {"all": 3}, "cfd_patches": {"all": 4}}.items():
        changed = replace(SOURCES[name], counts=counts, shares={}, sizes=frozenset(), disk_mb=1)
        monkeypatch.setitem(SOURCES, name, changed)
    monkeypatch.setattr(
        collecting.partition, "make_cfd_patches", partial(partition.make_cfd_patches, count=4, size=64)
    )
    return fetch("cfd", root, accept_terms=True, mirror=root.parent / "mirror").folder


def test_a_made_set_names_what_it_was_made_from(root, cfd):
    got = fetch("cfd_patches", root)
    facts = json.loads((got.folder / PROVENANCE).read_text())["origin"]
    assert facts == {
        "kind": "made",
        "from": "cfd",
        "manifest_sha256": manifests.digest(manifests.read(cfd / MANIFEST)),
    }
    assert len(got.survey.photos) == 4


def test_no_set_is_made_from_one_that_was_changed(root, cfd):
    photo = sorted((cfd / "image").iterdir())[0]
    photo.write_bytes(sorted((cfd / "image").iterdir())[1].read_bytes())
    with pytest.raises(UserError, match="has changed since it was fetched"):
        fetch("cfd_patches", root)
    (cfd / PROVENANCE).unlink()
    sorted((cfd / "groundTruth").iterdir())[0].unlink()
    with pytest.raises(UserError, match="has errors, so cfd_patches is not made from it"):
        fetch("cfd_patches", root)


def test_terms_of_a_made_set_are_those_of_its_origin(root, cfd):
    (root / ".accepted-terms.json").unlink()
    with pytest.raises(UserError, match=r"CrackForest(.|\n)*--accept-terms"):
        fetch("cfd_patches", root)


def test_sources_that_would_be_ignored_are_refused(root, cfd, small_mirror):
    with pytest.raises(UserError, match=r"is made from .*cfd: leave --from out"):
        fetch("cfd_patches", root, files=[small_mirror])
    assert fetch("cfd_patches", root, mirror=small_mirror).new  # a mirror is for all sets, and cfd is here


def test_links_and_hidden_files_are_not_copied(small_mirror, root, tmp_path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"x")
    (small_mirror / "deepcrack" / "train_img" / "link.jpg").symlink_to(outside)
    (small_mirror / "deepcrack" / ".secret").write_text("x")
    folder = fetch("deepcrack", root, accept_terms=True, mirror=small_mirror).folder
    assert not (folder / "train_img" / "link.jpg").exists()
    assert not (folder / ".secret").exists()


def test_a_mirror_may_hold_an_archive(small_mirror, root):
    zip_of(small_mirror / "deepcrack", small_mirror / "moved.zip")
    (small_mirror / "deepcrack").rename(small_mirror / "gone")
    for name in ("DeepCrack.zip", "deepcrack.zip"):
        (small_mirror / "moved.zip").rename(small_mirror / name)
        assert fetch("deepcrack", root / name, accept_terms=True, mirror=small_mirror).new
        (small_mirror / name).rename(small_mirror / "moved.zip")


def test_a_copy_that_does_not_fit_is_refused_first(small_mirror, root, monkeypatch):
    def full(folder, needed, what):
        if what.startswith("a copy of"):
            raise UserError(f"{what} needs {needed} bytes")

    monkeypatch.setattr(collecting, "check_space", full)
    with pytest.raises(UserError, match=r"a copy of .* needs"):
        fetch("deepcrack", root, accept_terms=True, mirror=small_mirror)
    assert hidden_stages(root) == []


def test_a_damaged_download_does_not_stand_in_the_way_of_the_next_one(server, root, tmp_path, monkeypatch):
    whole = zip_of(make(tmp_path / "repository", "deepcrack"), tmp_path / "whole.zip").read_bytes()
    served = server.folder / "pack.zip"
    address = f"http://127.0.0.1:{server.server_address[1]}/pack.zip"
    monkeypatch.setitem(SOURCES, "deepcrack", replace(SOURCES["deepcrack"], addresses=(address,)))
    middle = len(whole) // 2
    served.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(UserError):
        fetch("deepcrack", root, accept_terms=True)
    served.write_bytes(whole)
    assert fetch("deepcrack", root).new


def test_archives_got_by_hand(root, tmp_path):
    loose = make(tmp_path / "loose", "crack500")
    archives = [zip_of(loose / f"{s}crop", tmp_path / f"{s}crop.zip", f"{s}crop/") for s in ("train", "val")]
    archives.append(
        zip_of(loose / "testcrop", tmp_path / "testcrop.zip")
    )  # bare files: the archive's name counts
    got = fetch("crack500", root, accept_terms=True, files=archives)
    assert [photo.part for photo in got.survey.photos] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    names = json.loads((got.folder / PROVENANCE).read_text())["origin"]
    assert names == {"kind": "archives", "names": ["traincrop.zip", "valcrop.zip", "testcrop.zip"]}
    again = fetch("crack500", tmp_path / "second", accept_terms=True, files=[loose])
    assert len(again.survey.photos) == 6


def test_what_cannot_be_fetched_says_how_to_get_it(root, tmp_path, small_mirror):
    with pytest.raises(UserError, match=r"drive\.google\.com(.|\n)*--from traincrop\.zip"):
        fetch("crack500", root, accept_terms=True)
    with pytest.raises(UserError, match=r"does not hold crack500; it holds deepcrack"):
        fetch("crack500", root, accept_terms=True, mirror=small_mirror)
    with pytest.raises(UserError, match=r"no such folder; --mirror"):
        fetch("deepcrack", root, accept_terms=True, mirror=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no such file or folder: .*traincrop\.zip"):
        fetch("crack500", root, accept_terms=True, files=[tmp_path / "traincrop.zip"])
    with pytest.raises(UserError, match="unknown data set 'kitti'; choose deepcrack, cfd"):
        fetch("kitti", root)
    with pytest.raises(UserError, match=r"no data set|not.*layout|holds"):
        fetch("deepcrack", root, accept_terms=True, files=[make(tmp_path / "c", "crack500")])
    assert visible(root) == set()


def test_the_mirror_of_the_environment_is_used_where_it_holds_the_set(small_mirror, root, monkeypatch):
    monkeypatch.setenv("UPCRACK_MIRROR", str(small_mirror))
    assert fetch("deepcrack", root, accept_terms=True).new
    with pytest.raises(UserError, match=r"drive\.google\.com"):
        fetch("crack500", root, accept_terms=True)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requests.append(self.path)


@pytest.fixture
def server(tmp_path):
    """A server of this machine alone, which counts what it is asked for."""
    served = tmp_path / "served"
    served.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as running:
        running.requests, running.folder = [], served
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_an_archive_is_downloaded_once_and_only_its_data_unpacked(server, root, tmp_path, monkeypatch):
    repository = make(tmp_path / "repository", "crack500_authors")
    (repository / "train.py").write_text("print()")
    for part in ("train", "validation"):
        a = repository / "dataset" / "crack500_train" / part / "a"
        (a.parent / "b").mkdir()
        for path in a.iterdir():
            (a.parent / "b" / path.name).write_bytes(path.read_bytes())
    zip_of(repository, server.folder / "pack.zip", "UP-CrackNet-4639e8e/")
    base = f"http://127.0.0.1:{server.server_address[1]}"
    changed = replace(SOURCES["crack500_authors"], addresses=(f"{base}/gone.zip", f"{base}/pack.zip"))
    monkeypatch.setitem(SOURCES, "crack500_authors", changed)
    got = fetch("crack500_authors", root, accept_terms=True)
    assert not (got.folder / "train.py").exists()
    assert [len([p for p in got.survey.photos if p.part == part]) for part in ("train", "val", "test")] == [
        3,
        2,
        2,
    ]
    assert not [finding for finding in got.findings if finding.level != "note"]
    assert len(json.loads((got.folder / PROVENANCE).read_text())["origin"]["archive_sha256"]) == 64
    asked = len(server.requests)
    got.folder.rename(root / "old")
    assert fetch("crack500_authors", root).new
    assert len(server.requests) == asked


def test_no_network_and_no_room(root, monkeypatch):
    changed = replace(SOURCES["deepcrack"], addresses=("http://127.0.0.1:9/x.zip",))
    monkeypatch.setitem(SOURCES, "deepcrack", changed)
    monkeypatch.setattr(collecting, "download", partial(collecting.download, retries=0))
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9(.|\n)*--mirror"):
        fetch("deepcrack", root, accept_terms=True)
    monkeypatch.setitem(SOURCES, "deepcrack", replace(changed, disk_mb=10**9))
    with pytest.raises(UserError, match="free"):
        fetch("deepcrack", root)
    assert visible(root) == set()
