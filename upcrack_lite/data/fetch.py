"""One data set, from a public archive, a local mirror or files got by hand, to a verified folder. Chapter: the data.

The set is put together in a hidden folder beside its place, every file is read and checked there, and only then
the folder is renamed to `ROOT/NAME`. A run that is killed leaves nothing that looks finished.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pooch
import requests

from upcrack_lite import __version__
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data import partition
from upcrack_lite.data.check import Finding, passed, verify
from upcrack_lite.data.folders import check_space, taken, whole_folder
from upcrack_lite.data.layouts import find_set
from upcrack_lite.data.manifest import MANIFEST, PROVENANCE
from upcrack_lite.data.report import text
from upcrack_lite.data.sources import SOURCES, Source, accept, source
from upcrack_lite.data.survey import Survey, survey
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.io import check_writable, write_json

MOST_BYTES = 8 * 2**30
"""An archive that holds more is refused; the largest public set here has 0.6 GB."""

_FORMAT = 1  # of `provenance.json`
_TIMEOUT = 30  # seconds without an answer or a byte
_SCRATCH = ".unpacked"  # a folder in the stage
_CLUTTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}
# What zipfile raises for a damaged archive; RuntimeError for an encrypted one, EINVAL for a place before its start.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)


@dataclass(frozen=True)
class Options:
    """How a set is fetched.

    accept_terms: accept the set's terms of use; asked once for each set and root.
    mirror: a folder that holds the set as a subfolder of its name, or its archive; else UPCRACK_MIRROR names one.
    files: zip archives or one folder got by hand. keep_faulty: keep a set in which the verification finds errors.
    say: is called with a line of text for each step.
    """

    accept_terms: bool = False
    mirror: str | Path | None = None
    files: Sequence[str | Path] = ()
    keep_faulty: bool = False
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Fetched:
    """A verified set. `new` is False if it was there before, unchanged."""

    folder: Path
    survey: Survey
    findings: list[Finding]
    new: bool


def fetch(name: str, root: str | Path, options: Options = Options()) -> Fetched:
    """Put the set `name` of `sources.SOURCES` into `root/name`, verified, with a manifest and its provenance.

    A set that is there is compared with its manifest and checked anew.
    Raises UserError: unknown name, terms not accepted, no source for the set, no room on the disk, a download that
    fails, an archive that is too large or damaged, a folder in the way or one that was changed, or errors found by
    the verification (all are listed).
    """
    src, root = source(name), Path(root)
    target = root / name
    if src.made_from and options.files and (root / src.made_from).is_dir():
        raise UserError(f"{name} is made from {root / src.made_from}: leave --from out")
    if taken(target):
        options.say(f"{name}: here already, checking every file")
        seen = _unchanged(src, target)
        findings = _checked(seen, src, options, f"move {target} away and fetch it again")
        return Fetched(target, seen, findings, False)
    check_writable(root)
    if src.made_from:
        fetch(src.made_from, root, options)
    accept(source(src.made_from or name), root, options.accept_terms)
    check_space(root, src.disk_mb * 10**6, f"the set {name}")
    with whole_folder(target) as stage:
        origin = _make(src, root, stage, options) if src.made_from else _collect(src, root, stage, options)
        shutil.rmtree(stage / _SCRATCH, ignore_errors=True)
        options.say(f"{name}: reading and checking every file")
        seen = replace(survey(stage, src.layout), folder=target)
        findings = _checked(seen, src, options, f"{name} is not put into {target}")
        manifests.write(stage / MANIFEST, seen.files)
        facts = {"format": _FORMAT, "name": name, "origin": origin, "kit_version": __version__}
        facts["fetched"] = datetime.now(UTC).isoformat(timespec="seconds")
        facts["errors"] = sum(finding.level == "error" for finding in findings)
        write_json(stage / PROVENANCE, facts)
    return Fetched(target, seen, findings, True)


def _unchanged(src: Source, target: Path) -> Survey:
    """Survey a set that is there already, and compare it with the manifest written when it was fetched."""
    if not (target / PROVENANCE).is_file():
        raise UserError(
            f"{target} is there and was not made by this command: move it away, or name another folder with "
            "--root. If it holds the set, `upcrack data verify` checks it as it is"
        )
    seen = survey(target, src.layout)
    changes = manifests.compare(seen.files, manifests.read(target / MANIFEST))
    raise_for(
        [message for _, _, message in changes],
        f"{target} has changed since it was fetched: move it away and fetch again",
    )
    return seen


def _checked(seen: Survey, src: Source, options: Options, so: str) -> list[Finding]:
    """Verify a set; raise UserError, with the report, for one with errors, unless it is to be kept as it is."""
    findings = verify(seen, src)
    if not (passed(findings) or options.keep_faulty):
        raise UserError(
            f"{src.name} has errors: {so}, or keep it with --keep-faulty\n{text(seen, findings, src)}"
        )
    return findings


def _collect(src: Source, root: Path, stage: Path, options: Options) -> dict[str, Any]:
    """Put the files of a set into the empty folder `stage`, and return where they came from."""
    files, facts, unpacked = [Path(file) for file in options.files], {}, stage / _SCRATCH / "files"
    raise_for([str(file) for file in files if not file.exists()], "there is no such file or folder")
    if not files and (mirrored := _in_mirror(src, options.mirror)):
        options.say(f"{src.name}: copying from {mirrored}")
        files, facts = [mirrored], {"kind": "mirror"}
    if any(file.is_dir() for file in files):
        if len(files) > 1:
            raise UserError("give one folder or some archives, not both")
        _copy(find_set(files[0], src.layout), stage)
        return facts or {"kind": "folder"}
    kept = None if files else root / ".downloads" / src.archive
    if kept:
        files = [kept if kept.is_file() else _download(src, root, stage / _SCRATCH, options)]
        digest = pooch.file_hash(str(files[0]))
        facts = {"kind": "download", "addresses": [src.address], "archive_sha256": digest}
    for file in files:
        options.say(f"{src.name}: unpacking {file.name}")
        unpack(file, unpacked, src.members)
    if kept:  # only now, so that a damaged one does not stand in the way of the next try
        kept.parent.mkdir(exist_ok=True)
        files[0].replace(kept)
    _move(find_set(unpacked, src.layout), stage)
    return facts or {"kind": "archives", "names": [file.name for file in files]}


def _make(src: Source, root: Path, stage: Path, options: Options) -> dict[str, Any]:
    """Make one of the sets that are parts of another."""
    origin, made = root / str(src.made_from), stage / _SCRATCH / src.name
    options.say(f"{src.name}: making it from {origin}")
    if src.name == "cfd_patches":
        partition.make_cfd_patches(origin, made)
    else:
        partition.make_partition(origin, src.name.removeprefix("crack500_"), made)
    _move(made, stage)
    return {"kind": "made", "from": origin.name, "manifest_sha256": manifests.digest_in(origin)}


def _in_mirror(src: Source, mirror: str | Path | None) -> Path | None:
    """Return the set's folder or archive in the mirror; None where no mirror was named that holds it."""
    named = mirror or os.environ.get("UPCRACK_MIRROR")
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; --mirror or UPCRACK_MIRROR names it")
    for name in filter(None, (src.name, src.archive, f"{src.name}.zip")):
        if (folder / name).exists():
            return folder / name
    if mirror:
        there = ", ".join(sorted(name for name in SOURCES if (folder / name).is_dir())) or "no known set"
        raise UserError(f"{folder} does not hold {src.name}; it holds {there}")
    return None  # UPCRACK_MIRROR may hold some sets and not others


def _download(src: Source, root: Path, folder: Path, options: Options) -> Path:
    """Download the set's archive into a folder."""
    if not src.address:
        raise UserError(f"{src.name} cannot be downloaded by a program. {src.instructions}")
    check_space(root, 2 * src.disk_mb * 10**6, f"the archive of {src.name} and its files")
    agent = {"User-Agent": f"upcrack-lite/{__version__}"}
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=_TIMEOUT, headers=agent)
    pooch.get_logger().setLevel("WARNING")
    options.say(f"{src.name}: downloading {src.address}")
    try:
        return Path(pooch.retrieve(src.address, None, src.archive, folder, downloader=downloader))
    except requests.RequestException as error:
        answer = getattr(error, "response", None)
        said = "the connection failed" if answer is None else f"the server answers {answer.status_code}"
        raise UserError(
            f"{src.archive} could not be downloaded:\n  {src.address}: {said} ({type(error).__name__})\n  "
            "try another network, name a folder that holds the data with --mirror, or download the file by hand "
            f"and give it with --from\n  {src.instructions}".rstrip()
        ) from None


def unpack(archive: Path, target: Path, members: str = "", most_bytes: int = MOST_BYTES) -> None:
    """Unpack a zip archive below `target`; one that holds files without a folder, into a folder of its own name.

    The total size is judged before a byte is written. zipfile drops what leads out of the folder from a name, and
    writes plain files only. What macOS and Windows add (`__MACOSX`, `.DS_Store`, `Thumbs.db`) is left out.

    members: unpack only this folder of the archive, at its top or one level below; "" unpacks all.
    Raises UserError: the file is cut off, damaged or no zip archive, holds more bytes than allowed or than the disk
    has, or nothing to unpack.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            wanted = [info for info in packed.infolist() if not info.is_dir() and _wanted(info, members)]
            if not wanted:
                raise UserError(f"{archive}: no file is in it" + (f" below {members}/" if members else ""))
            total = sum(info.file_size for info in wanted)
            if total > most_bytes:
                raise UserError(f"{archive} unpacks to more than {most_bytes / 1e6:,.0f} MB; it is refused")
            check_space(target, total, f"unpacking {archive.name}")
            is_bare = any("/" not in info.filename for info in wanted)
            packed.extractall(target / archive.stem if is_bare else target, wanted)
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise UserError(
            f"{archive} is cut off, damaged or no zip archive, such as a page that asks to log in ({error}): "
            "download or copy it again"
        ) from error


def _wanted(info: zipfile.ZipInfo, members: str) -> bool:
    parts = PurePosixPath(info.filename).parts
    return not _CLUTTER & {*parts[:1], *parts[-1:]} and (not members or members in parts[:2])


def _move(folder: Path, target: Path) -> None:
    """Move everything in a folder into another one."""
    for child in folder.iterdir():
        child.rename(target / child.name)
    folder.rmdir()


def _copy(folder: Path, target: Path) -> None:
    """Copy the files of a folder, not the links, what is hidden, or permissions, which may forbid writing."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and not any(part[0] == "." for part in inside.parts):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)
