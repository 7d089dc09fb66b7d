"""Lists of a set's files with sizes and checksums: stored as CSV, compared file by file. Chapter: the data.

The kit brings the manifests of some public sets along; they hold names and numbers, never a picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from unicodedata import normalize

from upcrack_lite.errors import UserError
from upcrack_lite.io import read_csv, write_csv

MANIFEST, PROVENANCE = "manifest.csv", "provenance.json"
"""Written into the folder of a fetched set: a line for each file, and where the set came from."""

SAME_SHARE = 0.02
"""Percent of crack by which saving a mask again may change it: 42 pixels of 544×384."""

_PACKAGED = Path(__file__).resolve().parents[1] / "assets" / "manifests"
# Bits of 64. Of the 2446 photos of the three packaged sets none moves by more than 8 when saved again as JPEG of
# quality 60 (10 at quality 30); of 1.7 million pairs of different photos 6 lie within 10, all near-duplicates.
_SAME_PICTURE = 10


@dataclass(frozen=True)
class Entry:
    """One file of a set, a line of a manifest. None stands where a file is no image or cannot be read.

    path: POSIX path relative to the set's folder. bytes: its size. sha256: empty where it cannot be read.
    width, height: pixels. crack_share: percent of crack pixels with 4 decimals, for masks only.
    phash: the perceptual hash of a photo as it stands, 16 hexadecimal digits.
    note: says why other bytes are expected. It excuses no other size, crack fraction or picture.
    """

    path: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    crack_share: float | None
    phash: str | None = None
    note: str = ""


def write(path: str | Path, entries: list[Entry]) -> None:
    """Write a manifest as CSV, sorted by path. The same entries give the same bytes.

    Raises UserError: an entry without a checksum, or with a name that cannot be read back.
    """
    for entry in entries:
        if not entry.sha256 or not entry.path.isprintable():
            raise UserError(
                f"{entry.path!a}: cannot be read or has no plain name, so the manifest would not be complete"
            )
    write_csv(Path(path), [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)])


def read(path: str | Path) -> list[Entry]:
    """Read a manifest, sorted by path. Raises UserError: there is no such file, or it is no manifest."""
    kinds = {"path": str, "bytes": int, "sha256": str, "note": str}
    kinds |= {"width": _number(int), "height": _number(int), "crack_share": _number(float)}
    rows = read_csv(Path(path), kinds, "this manifest cannot be used: fetch the set again")
    if not rows:
        raise UserError(f"{path}: this manifest lists no file; fetch the set again")
    # Earlier versions wrote manifests without perceptual hashes.
    entries = [Entry(**row | {"phash": row.get("phash") or None}) for row in rows]
    return sorted(entries, key=lambda entry: entry.path)


def digest(entries: list[Entry]) -> str:
    """Return one SHA-256 for a whole set, over path, bytes and sha256 of all entries, in any order."""
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path):
        total.update(f"{entry.path}\0{entry.bytes}\0{entry.sha256}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def digest_in(folder: Path) -> str | None:
    """Return the digest of the manifest that `fetch` wrote into a set's folder; None where there is none."""
    path = folder / MANIFEST
    return digest(read(path)) if path.is_file() else None


def packaged(name: str) -> Path | None:
    """Return the manifest that the kit brings along for a public set, or None where it has none."""
    path = _PACKAGED / f"{name}.csv"
    return path if path.is_file() else None


def expected(name: str) -> list[Entry] | None:
    """Return the entries of the manifest that the kit has of a set, or None."""
    path = packaged(name)
    return read(path) if path else None


def compare(entries: list[Entry], expected: list[Entry]) -> list[tuple[str, str, str]]:
    """Compare the files that are there with the expected ones; an empty list means that all bytes agree.

    Paths that differ only in how accents are encoded (macOS takes them apart) count as the same. The bytes
    decide whether a file has changed; size, crack fraction and perceptual hash say what is different in it.

    entries: what is there, `Survey.files`. expected: what should be there, from `read`.
    Returns for each file that differs, sorted, its path, how bad it is (a level of `check`), and a message.
    """
    here, wanted = ({normalize("NFC", entry.path): entry for entry in of} for of in (entries, expected))
    differences = []
    for key in sorted(here.keys() | wanted.keys()):
        old, new = wanted.get(key), here.get(key)
        if new and old and (old.bytes, old.sha256) == (new.bytes, new.sha256):
            continue
        level, words = _change(old, new)
        path = (new or old).path
        differences.append((path, level, f"{path}: {words}"))
    return differences


def _change(old: Entry | None, new: Entry | None) -> tuple[str, str]:
    """Say how bad it is that a file has changed, and what differs, the expected value first."""
    if new is None:
        return "error", "is in the manifest but not here; copy or download it again"
    if old is None:
        return "warning", "is here but not in the manifest: it does not belong to the set; move it away"
    if not new.sha256:
        return "error", "cannot be read; copy or download it again"
    changes = []
    if old.bytes != new.bytes:
        changes.append(f"{old.bytes} bytes expected, {new.bytes} found")
    sizes = [(entry.width, entry.height) for entry in (old, new)]
    is_other = sizes[0] != sizes[1]
    if is_other:
        shown = ["no picture" if width is None else f"{width}×{height}" for width, height in sizes]
        is_turned = " (turned)" if sizes[0] == sizes[1][::-1] else ""
        changes.append(f"{shown[0]} expected, {shown[1]} found{is_turned}")
    elif None not in (old.phash, new.phash):
        is_other = (int(old.phash, 16) ^ int(new.phash, 16)).bit_count() > _SAME_PICTURE
        changes += ["shows another picture by its perceptual hash"] if is_other else []
    shares = (old.crack_share, new.crack_share)
    if None not in shares and shares[0] != shares[1]:
        changes.append(f"{shares[0]:.4f} % crack expected, {shares[1]:.4f} % found")
        is_other = is_other or abs(shares[0] - shares[1]) > SAME_SHARE
    what = "; ".join(changes) or "other content in as many bytes"
    if is_other:
        return "error", f"{what}; it was turned, resized, cropped or replaced: take the authors' own archive"
    if old.note:
        return "note", f"{what}; expected ({old.note})"
    return "warning", f"{what}; it may have been saved again: compare it with the original"


def _number(kind: type) -> Callable[[str], int | float | None]:
    return lambda cell: kind(cell) if cell else None
