"""Manifests: the same set gives the same text, damage of a set or of a manifest is named, nothing is guessed."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data import manifest
from upcrack_lite.data.manifest import Difference, Entry, compare, digest, entries_of, packaged
from upcrack_lite.data.sources import SOURCES, source
from upcrack_lite.data.survey import survey
from upcrack_lite.errors import UserError

PACKAGED = ("deepcrack", "cfd", "crack500_crops360")
SHA = "0123456789abcdef" * 4
HEADER = "path,bytes,sha256,width,height,crack_share,phash,note"
OLD_HEADER = HEADER.replace("phash,", "")


def make_set(folder: Path, names: tuple[str, ...] = ("a", "b c", "straße")) -> Path:
    rng = np.random.default_rng(1)
    for part in ("image", "mask"):
        (folder / part).mkdir(parents=True)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            folder / "image" / f"{name}.png"
        )
        mask = np.zeros((20, 30), np.uint8)
        mask[5, :7] = 255
        Image.fromarray(mask).save(folder / "mask" / f"{name}.png")
    return folder


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    entries = entries_of(survey(make_set(tmp_path / "set")))
    assert len(entries) == 6
    assert entries == sorted(entries, key=lambda entry: entry.path)
    entries[0] = replace(entries[0], note='restored, "as is"; see the notes')
    manifest.write(tmp_path / "m.csv", entries[::-1])
    assert manifest.read(tmp_path / "m.csv") == entries
    text = (tmp_path / "m.csv").read_bytes()
    assert text.startswith(HEADER.encode() + b"\nimage/a.png,")
    manifest.write(tmp_path / "again.csv", entries)
    assert (tmp_path / "again.csv").read_bytes() == text
    assert compare(entries_of(survey(tmp_path / "set")), entries) == []
    shares = {entry.path: entry.crack_share for entry in entries}
    assert (shares["image/a.png"], shares["mask/a.png"]) == (None, 1.1667)


def test_files_missing_extra_and_changed(tmp_path):
    folder = make_set(tmp_path / "set", ("a", "b", "c", "d", "e", "f"))
    expected = [replace(entry, note=f"note {entry.path}") for entry in entries_of(survey(folder))]
    (folder / "image" / "a.png").unlink()
    Image.open(folder / "image" / "b.png").copy().save(folder / "image" / "new.png")
    Image.open(folder / "image" / "c.png").transpose(Image.Transpose.ROTATE_90).save(
        folder / "image" / "c.png"
    )
    mask = np.zeros((20, 30), np.uint8)
    mask[5, :9] = 255
    Image.fromarray(mask).save(folder / "mask" / "d.png")
    data = (folder / "image" / "e.png").read_bytes()
    (folder / "image" / "e.png").write_bytes(data[:100])
    found = {entry.path: entry for entry in compare(entries_of(survey(folder)), expected)}
    kinds = {path: entry.kind for path, entry in found.items()}
    assert kinds == {
        "image/a.png": "missing",
        "image/c.png": "changed",
        "image/e.png": "changed",
        "image/new.png": "extra",
        "mask/d.png": "changed",
    }
    assert found["image/a.png"].note == "note image/a.png"
    assert found["image/new.png"].note == ""
    assert found["image/c.png"].detail.endswith("30×20 expected, 20×30 found (turned)")
    assert "1.1667 % crack expected, 1.5000 % found" in found["mask/d.png"].detail
    assert (
        found["image/e.png"].detail
        == f"{len(data)} bytes expected, 100 found; 30×20 expected, no picture found"
    )
    assert list(found) == sorted(found)


def test_a_manifest_of_an_earlier_version_or_a_table_program_is_read_too(tmp_path):
    old = f"{OLD_HEADER}\r\nimage/ä.png,5,{SHA},3,2,,\r\nmask/ä.png,5,{SHA},3,2,1.5000,restored\r\n"
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + old.encode())
    photo, mask = Entry("image/ä.png", 5, SHA, 3, 2, None), Entry("mask/ä.png", 5, SHA, 3, 2, 1.5, "restored")
    assert manifest.read(tmp_path / "m.csv") == [photo, mask]
    new = replace(photo, sha256=SHA[::-1], phash="0" * 16)
    (difference,) = compare([new, mask], [photo, mask])
    assert difference.detail == "other content in as many bytes"


def test_photos_have_a_perceptual_hash_and_masks_none(tmp_path):
    photo, mask = entries_of(survey(make_set(tmp_path / "set", ("a",))))
    with Image.open(tmp_path / "set" / "image" / "a.png") as picture:
        assert (photo.phash, mask.phash) == (str(imagehash.phash(picture)), None)


def test_another_picture_is_one_of_more_than_ten_other_bits():
    old = Entry("a.png", 5, SHA, 3, 2, None, "as expected", phash="0" * 16)
    for bits, words in ((10, "other content in as many bytes"), (11, "shows another picture")):
        new = replace(old, sha256=SHA[::-1], phash=f"{2**bits - 1:016x}")
        (difference,) = compare([new], [old])
        assert words in difference.detail
        assert manifest.another_picture(old, new) == (bits > 10)
    assert not manifest.another_picture(old, replace(new, phash=None))


def test_other_content_of_the_same_length_and_shape():
    old = Entry("a.png", 5, SHA, 3, 2, None, "as expected")
    new = replace(old, sha256=SHA[::-1], note="")
    expected = Difference("a.png", "changed", "other content in as many bytes", "as expected")
    assert compare([new], [old]) == [expected]
    assert compare([replace(old, sha256="", bytes=0)], [old])[0].detail == "cannot be read"
    # The bytes decide: a newer reader that finds another share in the same file changes nothing.
    assert compare([replace(old, width=2, height=3)], [old]) == []


def test_accents_may_be_encoded_in_either_way():
    old = Entry(unicodedata.normalize("NFC", "image/fissuré.png"), 5, SHA, 3, 2, None)
    new = replace(old, path=unicodedata.normalize("NFD", old.path))
    assert new.path != old.path
    assert compare([new], [old]) == []


def test_the_digest_is_of_the_files_not_of_notes_or_order():
    entries = [Entry("a", 1, SHA, None, None, None), Entry("b", 2, SHA, None, None, None)]
    assert digest(entries) == digest([replace(entry, note="x") for entry in entries[::-1]])
    for other in (
        [replace(entries[0], path="c"), entries[1]],
        [replace(entries[0], bytes=3), entries[1]],
        [replace(entries[0], sha256=SHA[::-1]), entries[1]],
        entries[:1],
    ):
        assert digest(other) != digest(entries)


GOOD = f"image/a.png,5,{SHA},3,2,,0123456789abcdef,"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"line 1: lacks the column path, bytes"),
        (["path,bytes,width,height,note", "a,1,,,"], r"line 1: lacks the column sha256, crack_share"),
        ([HEADER, GOOD, GOOD.replace(",5,", ",five,")], r"line 3: .*'five'"),
        ([HEADER, GOOD.replace(SHA, SHA[:-1])], r"line 2: .* is no SHA-256"),
        (
            [HEADER, GOOD.replace(",,0123456789abcdef", ",,0123456789abcde")],
            r"line 2: '0123456789abcde' is no perceptual hash",
        ),
        ([HEADER, GOOD, GOOD], r"line 3: names image/a.png a second time"),
        ([HEADER, GOOD.replace("image/", "x/../../")], r"line 2: 'x/../../a.png' is no path below"),
        ([HEADER, GOOD.replace("image/a.png", "")], r"is no path below"),
        ([HEADER, GOOD[:-3]], r"line 2: has more or fewer cells"),
        ([HEADER, GOOD + ",more,cells"], r"line 2: has more or fewer cells"),
        ([HEADER, '"image/a.png'], r"line \d: unexpected end of data"),
    ],
)
def test_a_malformed_manifest_is_refused_with_the_line(tmp_path, lines, message):
    path = tmp_path / "m.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        manifest.read(path)
    assert str(caught.value).startswith(f"{path}, line")
    assert "write the manifest again" in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00path")
    for path, why in (
        (tmp_path / "none.csv", "FileNotFoundError"),
        (tmp_path / "m.csv", "UnicodeDecodeError"),
    ):
        with pytest.raises(UserError, match=rf"{path.name}: this manifest cannot be read \({why}\)"):
            manifest.read(path)


@pytest.mark.parametrize(("path", "sha"), [("a.png", ""), ("a\udcff.png", SHA), ("../a.png", SHA)])
def test_an_entry_that_could_not_be_read_back_is_not_written(tmp_path, path, sha):
    with pytest.raises(UserError, match="cannot be read or has no plain name"):
        manifest.write(tmp_path / "m.csv", [Entry(path, 5, sha, None, None, None)])
    assert list(tmp_path.iterdir()) == []


def test_only_known_manifests_are_packaged():
    assert [name for name in SOURCES if packaged(name)] == list(PACKAGED)
    for name in ("nothing", "../../pyproject", "/etc/passwd", ""):
        assert packaged(name) is None


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_manifests_agree_with_the_registry(name):
    entries = manifest.read(packaged(name))
    masks = [entry for entry in entries if entry.crack_share is not None]
    assert len(masks) == sum(source(name).counts.values())
    assert sum(entry.bytes for entry in entries) / 1e6 == pytest.approx(source(name).disk_mb, abs=1.5)
    for part, (low, high) in source(name).shares.items():
        of_part = [mask for mask in masks if part == "all" or mask.path.startswith(f"{part}_lab/")]
        assert len(of_part) == source(name).counts[part]
        pixels = [mask.width * mask.height for mask in of_part]
        assert low < np.average([mask.crack_share for mask in of_part], weights=pixels) < high
    assert {(mask.width, mask.height) for mask in masks} == source(name).sizes
    noted = [entry for entry in entries if entry.note]
    assert len(noted) == (94 if name == "deepcrack" else 0)
    assert all(entry.path.startswith("test_") and entry.width < entry.height for entry in noted)


@pytest.mark.mirror
@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_manifests_are_what_the_kit_makes_of_the_real_sets(mirror, name, tmp_path):
    manifest.write(tmp_path / "m.csv", entries_of(survey(mirror / name)))
    known = [replace(entry, note="") for entry in manifest.read(packaged(name))]
    assert manifest.read(tmp_path / "m.csv") == known
