"""One data set, from a public archive, a local mirror or files got by hand, to a verified folder. Chapter: the data.

The set is put together in a hidden folder beside its place, every file is read and checked there, and only then
the folder is renamed to `ROOT/NAME`. A run that is killed leaves nothing that looks finished.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
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
from upcrack_lite.data.unpack import Damaged, unpack
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.io import check_writable, write_json

_FORMAT = 1  # of `provenance.json`
_TIMEOUT = 30  # seconds without an answer or a byte
_SCRATCH = ".unpacked"  # a folder in the stage


@dataclass(frozen=True)
class Options:
    """How a set is fetched.

    accept_terms: True accepts the set's terms of use; asked once for each set and root.
    mirror: a folder that holds the set as a subfolder of its name, or its archive. None takes the folder named by
    the environment variable UPCRACK_MIRROR, if it holds the set.
    files: archives or one folder got by hand.
    keep_faulty: keep the set although the verification finds errors.
    progress: show progress bars.
    say: is called with a line of text for each step.
    """

    accept_terms: bool = False
    mirror: str | Path | None = None
    files: Sequence[str | Path] = ()
    keep_faulty: bool = False
    progress: bool = False
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

    Raises UserError: unknown name, terms not accepted, no source for the set, no room on the disk, a download that
    fails, an archive that is unsafe or damaged, a folder in the way, or errors found by the verification (all are
    listed).
    """
    src, root = source(name), Path(root)
    target, expected = root / name, manifests.expected(name)
    if src.made_from and options.files and (root / src.made_from).is_dir():
        raise UserError(f"{name} is made from {root / src.made_from}: leave --from out")
    if taken(target):
        options.say(f"{name}: here already, checking every file")
        return _unchanged(src, target, expected, options)
    check_writable(root)
    if src.made_from:
        fetch(src.made_from, root, options)
    accept(source(src.made_from) if src.made_from else src, root, options.accept_terms)
    check_space(root, src.disk_mb * 10**6, f"the set {name}")
    with whole_folder(target) as stage:
        origin = _collect(src, root, stage, options)
        shutil.rmtree(stage / _SCRATCH, ignore_errors=True)
        options.say(f"{name}: reading and checking every file")
        seen = survey(stage, src.layout, progress=options.progress)
        findings = verify(seen, src, expected)
        seen = replace(seen, folder=target)
        _refuse_faulty(seen, findings, src, options, f"{name} is not put into {target}")
        manifests.write(stage / MANIFEST, seen.files)
        facts = {"format": _FORMAT, "name": name, "origin": origin, "kit_version": __version__}
        facts["fetched"] = datetime.now(UTC).isoformat(timespec="seconds")
        facts["errors"] = sum(finding.level == "error" for finding in findings)
        write_json(stage / PROVENANCE, facts)
    return Fetched(target, seen, findings, True)


def _unchanged(
    src: Source, target: Path, expected: list[manifests.Entry] | None, options: Options
) -> Fetched:
    """Check a set that is there already: against the manifest written when it was fetched, and anew."""
    if not (target / PROVENANCE).is_file():
        raise UserError(
            f"{target} is there and was not made by this command: move it away, or name another folder with "
            "--root. If it holds the set, `upcrack data verify` checks it as it is"
        )
    seen = survey(target, src.layout, progress=options.progress)
    changes = manifests.compare(seen.files, manifests.read(target / MANIFEST))
    raise_for(
        [change.message for change in changes],
        f"{target} has changed since it was fetched: move it away and fetch again",
    )
    findings = verify(seen, src, expected)
    _refuse_faulty(seen, findings, src, options, f"move {target} away and fetch it again")
    return Fetched(target, seen, findings, False)


def _refuse_faulty(seen: Survey, findings: list[Finding], src: Source, options: Options, so: str) -> None:
    """Raise UserError, with the report, for a set with errors, unless it is to be kept as it is."""
    if not (passed(findings) or options.keep_faulty):
        raise UserError(
            f"{src.name} has errors: {so}, or keep it with --keep-faulty\n{text(seen, findings, src)}"
        )


def _collect(src: Source, root: Path, stage: Path, options: Options) -> dict[str, Any]:
    """Put the files of a set into the empty folder `stage`, and return where they came from."""
    if src.made_from:
        return _make(src, root / src.made_from, stage, options)
    files, facts = [Path(file) for file in options.files], {}
    raise_for([str(file) for file in files if not file.exists()], "there is no such file or folder")
    if not files and (mirrored := _in_mirror(src, options.mirror)):
        options.say(f"{src.name}: copying from {mirrored}")
        files, facts = [mirrored], {"kind": "mirror"}
    if any(file.is_dir() for file in files):
        if len(files) > 1:
            raise UserError("give one folder or some archives, not both")
        _copy(find_set(files[0], src.layout), stage)
        return facts or {"kind": "folder"}
    if not files:
        files = [_download(src, root, stage / _SCRATCH, options)]
        digest = pooch.file_hash(str(files[0]))
        facts = {"kind": "download", "addresses": list(src.addresses), "archive_sha256": digest}
    for file in files:
        options.say(f"{src.name}: unpacking {file.name}")
        try:
            unpack(file, stage / _SCRATCH / file.stem, src.members)
        except Damaged:
            if file.parent == root / ".downloads":  # it must not stand in the way of the next try
                file.unlink()
            raise
    _merge(stage / _SCRATCH)
    _move(find_set(stage / _SCRATCH, src.layout), stage)
    return facts or {"kind": "archives", "names": [file.name for file in files]}


def _make(src: Source, origin: Path, stage: Path, options: Options) -> dict[str, Any]:
    """Make one of the sets that are parts of another."""
    options.say(f"{src.name}: making it from {origin}")
    made = stage / _SCRATCH / src.name
    if src.name == "cfd_patches":
        partition.make_cfd_patches(origin, made)
    else:
        partition.make_partition(origin, src.name.removeprefix("crack500_"), made)
    _move(made, stage)
    listed = manifests.digest_in(origin)
    return {"kind": "made", "from": origin.name} | ({"manifest_sha256": listed} if listed else {})


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


def _download(src: Source, root: Path, scratch: Path, options: Options) -> Path:
    """Return the set's archive in `root/.downloads`, from the first address that gives it, unless it is there."""
    if not src.addresses:
        raise UserError(f"{src.name} cannot be downloaded by a program. {src.instructions}")
    archive = root / ".downloads" / src.archive
    if archive.is_file():
        return archive
    check_space(root, 2 * src.disk_mb * 10**6, f"the archive of {src.name} and its files")
    agent = {"User-Agent": f"upcrack-lite/{__version__}"}
    downloader = pooch.HTTPDownloader(progressbar=options.progress, timeout=_TIMEOUT, headers=agent)
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for address in src.addresses:
        options.say(f"{src.name}: downloading {address}")
        try:
            arrived = pooch.retrieve(address, None, src.archive, scratch, downloader=downloader)
        except requests.RequestException as error:
            answer = getattr(error, "response", None)
            said = (
                f"the server answers {answer.status_code}" if answer is not None else "the connection failed"
            )
            failures.append(f"{address}: {said} ({type(error).__name__})")
            continue
        archive.parent.mkdir(exist_ok=True)
        return Path(arrived).replace(archive)
    remedy = "name a folder that holds the data with --mirror, or download the file by hand and give it with --from"
    remedy = f"try another network, {remedy}"
    lines = [f"{src.archive} could not be downloaded:", *failures, remedy, src.instructions]
    raise UserError("\n  ".join(filter(None, lines)))


def _merge(unpacked: Path) -> None:
    """Lay what several archives held into one folder. An archive of bare files keeps its name as a folder."""
    for part in sorted(unpacked.iterdir()):
        if all(child.is_dir() for child in part.iterdir()):
            part = part.rename(unpacked / f".{part.name}")  # a folder in it may have the same name
            _move(part, unpacked)


def _move(folder: Path, target: Path) -> None:
    """Move everything in a folder into another one."""
    for child in folder.iterdir():
        child.rename(target / child.name)
    folder.rmdir()


def _copy(folder: Path, target: Path) -> None:
    """Copy the files of a folder, not the links, what is hidden, or permissions, which may forbid writing."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    paths = [path for path in paths if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    check_space(target.parent, sum(path.stat().st_size for path in paths), f"a copy of {folder}")
    for path in paths:
        copied = target / path.relative_to(folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
