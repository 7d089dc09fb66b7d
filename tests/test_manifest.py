"""Manifests: the same set gives the same text, damage of a set or of a manifest is named, nothing is guessed."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image
from small_sets import write_pair

from upcrack_lite.data import manifest
from upcrack_lite.data.manifest import Entry, compare, digest, packaged
from upcrack_lite.data.sources import source
from upcrack_lite.data.survey import survey
from upcrack_lite.errors import UserError

PACKAGED = ("deepcrack", "cfd", "crack500_crops360")
SHA = "0123456789abcdef" * 4
HEADER = "path,bytes,sha256,width,height,crack_share,phash,note"
OLD_HEADER = HEADER.replace("phash,", "")
GOOD = f"image/a.png,5,{SHA},3,2,,0123456789abcdef,"


def make_set(folder: Path, names: tuple[str, ...] = ("a", "b c", "straße")) -> Path:
    rng, mask = np.random.default_rng(1), np.zeros((20, 30), np.uint8)
    mask[5, :7] = 255
    for name in names:
        image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        write_pair(folder / "image" / f"{name}.png", folder / "mask" / f"{name}.png", image, mask)
    return folder


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    entries = survey(make_set(tmp_path / "set")).files
    assert len(entries) == 6
    entries[0] = replace(entries[0], note='restored, "as is"; see the notes')
    manifest.write(tmp_path / "m.csv", entries[::-1])
    assert manifest.read(tmp_path / "m.csv") == entries
    text = (tmp_path / "m.csv").read_bytes()
    assert text.startswith(HEADER.encode() + b"\r\nimage/a.png,")
    manifest.write(tmp_path / "again.csv", entries)
    assert (tmp_path / "again.csv").read_bytes() == text
    assert compare(survey(tmp_path / "set").files, entries) == []
    photo, mask = entries[0], entries[3]
    assert (photo.crack_share, mask.crack_share) == (None, 1.1667)
    with Image.open(tmp_path / "set" / "image" / "a.png") as picture:
        assert (photo.phash, mask.phash) == (str(imagehash.phash(picture)), None)


def test_files_missing_extra_and_changed(tmp_path):
    folder = make_set(tmp_path / "set", ("a", "b", "c", "d", "e"))
    expected = [replace(entry, note="saved again") for entry in survey(folder).files]
    (folder / "image" / "a.png").unlink()
    with Image.open(folder / "image" / "b.png") as photo:
        photo.save(folder / "image" / "new.png")
    with Image.open(folder / "image" / "c.png") as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(folder / "image" / "c.png")
    with Image.open(folder / "mask" / "c.png") as mask:
        mask.save(folder / "mask" / "c.png", compress_level=1)
    mask = np.zeros((20, 30), np.uint8)
    mask[5, :9] = 255
    Image.fromarray(mask).save(folder / "mask" / "d.png")
    data = (folder / "image" / "e.png").read_bytes()
    (folder / "image" / "e.png").write_bytes(data[:100])
    differences = compare(survey(folder).files, expected)
    assert [(path, level) for path, level, _ in differences] == [
        ("image/a.png", "error"),
        ("image/c.png", "error"),
        ("image/e.png", "error"),
        ("image/new.png", "warning"),
        ("mask/c.png", "note"),
        ("mask/d.png", "error"),
    ]
    for path, words in {
        "image/a.png": "is in the manifest but not here; copy or download it again",
        "image/c.png": "30×20 expected, 20×30 found (turned); it was turned, resized",
        "image/e.png": f"{len(data)} bytes expected, 100 found; 30×20 expected, no picture found",
        "mask/c.png": "expected (saved again)",
        "mask/d.png": "1.1667 % crack expected, 1.5000 % found",
    }.items():
        (message,) = (message for of, _, message in differences if of == path)
        assert message.startswith(f"{path}: ")
        assert words in message


def test_a_manifest_of_an_earlier_version_or_a_table_program_is_read_too(tmp_path):
    old = f"{OLD_HEADER}\r\nimage/ä.png,5,{SHA},3,2,,\r\nmask/ä.png,5,{SHA},3,2,1.5000,restored\r\n"
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + old.encode())
    photo = Entry("image/ä.png", 5, SHA, 3, 2, None)
    mask = Entry("mask/ä.png", 5, SHA, 3, 2, 1.5, note="restored")
    assert manifest.read(tmp_path / "m.csv") == [photo, mask]
    new = replace(photo, sha256=SHA[::-1], phash="0" * 16)
    ((_, _, message),) = compare([new, mask], [photo, mask])
    assert "other content in as many bytes; it may have been saved again" in message


def test_another_picture_is_one_of_more_than_ten_other_bits():
    old = Entry("a.png", 5, SHA, 3, 2, None, "0" * 16, "as expected")
    for bits, level, words in (
        (10, "note", "other content in as many bytes"),
        (11, "error", "another picture"),
    ):
        ((_, told, message),) = compare([replace(old, sha256=SHA[::-1], phash=f"{2**bits - 1:016x}")], [old])
        assert told == level
        assert words in message


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


@pytest.mark.parametrize(
    "text", ["", HEADER, f"{HEADER}\n{GOOD.replace(',5,', ',five,')}", f"{HEADER}\n{GOOD},"]
)
def test_a_malformed_or_missing_manifest_is_refused(tmp_path, text):
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    for name in ("m.csv", "none.csv"):
        with pytest.raises(UserError, match=rf"{name}: .*this manifest (cannot be used|lists no file)"):
            manifest.read(tmp_path / name)


@pytest.mark.parametrize(("path", "sha"), [("a.png", ""), ("a\udcff.png", SHA)])
def test_an_entry_that_could_not_be_read_back_is_not_written(tmp_path, path, sha):
    with pytest.raises(UserError, match="cannot be read or has no plain name"):
        manifest.write(tmp_path / "m.csv", [Entry(path, 5, sha, None, None, None)])
    assert list(tmp_path.iterdir()) == []


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
    manifest.write(tmp_path / "m.csv", survey(mirror / name).files)
    known = [replace(entry, note="") for entry in manifest.read(packaged(name))]
    assert manifest.read(tmp_path / "m.csv") == known
