"""One data set, from a public archive, a local mirror or files fetched by hand, to a verified folder.

The set is put together in a hidden folder beside its place, every file is read and checked there, and
only then it is renamed to `ROOT/NAME`. A run that is killed leaves nothing that looks finished; a
download goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from upcrack_lite import __version__
from upcrack_lite.errors import UserError
from upcrack_lite.files import check_writable, write_json
from upcrack_lite.roads import manifest as manifests
from upcrack_lite.roads import partition
from upcrack_lite.roads.download import check_space, download
from upcrack_lite.roads.report import text, to_json, write_page
from upcrack_lite.roads.sources import SOURCES, Source, source
from upcrack_lite.roads.survey import Survey, survey
from upcrack_lite.roads.terms import accept
from upcrack_lite.roads.unpack import find_set, unpack
from upcrack_lite.roads.verify import Finding, passed, verify

MANIFEST, PROVENANCE = "manifest.csv", "provenance.json"
"""Written into the folder of a fetched set: a line for each file, and where the set came from."""

_FORMAT = 1  # of `provenance.json`


@dataclass(frozen=True)
class Fetched:
    """A verified set. `new` is False if it was there before, unchanged."""

    folder: Path
    survey: Survey
    findings: list[Finding]
    new: bool


def fetch(
    name: str,
    root: str | Path,
    *,
    accept_terms: bool = False,
    mirror: str | Path | None = None,
    files: Sequence[str | Path] = (),
    manifest: str | Path | None = None,
    keep_faulty: bool = False,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Fetched:
    """Put the set `name` into `root/name`, verified, with a manifest and its provenance.

    Args:
        name: a name in `sources.SOURCES`.
        root: the folder of all sets; made if it is not there.
        accept_terms: True accepts the set's terms of use; asked once for each set and root.
        mirror: a folder that holds the set as a subfolder `name`, or its archive. None takes the folder
            named by the environment variable UPCRACK_MIRROR, if it holds the set.
        files: archives or one folder fetched by hand.
        manifest: a manifest to compare with, instead of the one that comes with the kit.
        keep_faulty: keep the set although the verification finds errors.
        progress: show progress bars.
        say: is called with a line of text for each step.

    Raises:
        UserError: unknown name, terms not accepted, no source for the set, no room on the disk, a
            download that fails, an archive that is unsafe or broken, a folder in the way, or errors
            found by the verification (with the report beside the folder).
    """
    src, root = source(name), Path(root)
    target = root / name
    expected = _expected(name, manifest)
    if target.exists():
        return _unchanged(src, target, expected, progress)
    check_writable(root)
    terms_of = source(src.made_from) if src.made_from else src
    if src.made_from and not (root / src.made_from).is_dir():
        origin = fetch(
            src.made_from, root, accept_terms=accept_terms, mirror=mirror, progress=progress, say=say
        )
        say(f"{origin.folder}: {len(origin.survey.photos)} photos")
    accept(terms_of, root, accept_terms)
    check_space(root, src.disk_mb * 2**20, f"the set {name}")
    with _stage(root, name) as stage:
        folder, origin = _collect(src, root, stage, mirror, files, progress, say)
        say(f"{name}: reading and checking every file")
        seen = survey(folder, src.layout, progress=progress)
        findings = verify(seen, src, expected)
        manifests.write(folder / MANIFEST, manifests.entries_of(seen))
        facts = {"format": _FORMAT, "name": name, "origin": origin, "kit_version": __version__}
        facts["fetched"] = datetime.now(UTC).isoformat(timespec="seconds")
        facts["errors"] = sum(finding.level == "error" for finding in findings)
        write_json(folder / PROVENANCE, facts)
        if not (passed(findings) or keep_faulty):
            raise _rejected(src, root, seen, findings)
        folder.rename(target)
    return Fetched(target, survey_moved(seen, target), findings, True)


def survey_moved(seen: Survey, folder: Path) -> Survey:
    """The same survey after its folder was renamed; its paths are relative, so they still hold."""
    return Survey(**{**seen.__dict__, "folder": folder})


def _expected(name: str, manifest: str | Path | None) -> list[manifests.Entry] | None:
    """The manifest to compare with: the one named, else the one in the kit, else none."""
    path = Path(manifest) if manifest else manifests.packaged(name)
    return manifests.read(path) if path else None


def _unchanged(src: Source, target: Path, expected: list[manifests.Entry] | None, progress: bool) -> Fetched:
    """Check a set that is there already against the manifest written when it was fetched."""
    if not (target / PROVENANCE).is_file():
        raise UserError(
            f"{target} is there and was not made by this command: check it with `upcrack data verify {target}`, "
            "or name another folder with --root"
        )
    seen = survey(target, src.layout, progress=progress)
    changes = manifests.compare(manifests.entries_of(seen), manifests.read(target / MANIFEST))
    if changes:
        listed = "\n  ".join(f"{c.path}: {c.kind}, {c.detail}" for c in changes[:20])
        raise UserError(
            f"{target} has changed since it was fetched ({len(changes)} files): "
            f"move it away and fetch again\n  {listed}"
        )
    return Fetched(target, seen, verify(seen, src, expected), False)


def _collect(
    src: Source,
    root: Path,
    stage: Path,
    mirror: str | Path | None,
    files: Sequence[str | Path],
    progress: bool,
    say: Callable[[str], None],
) -> tuple[Path, dict[str, object]]:
    """Put the set together in the stage. Returns its folder there and where it came from."""
    if src.made_from:
        say(f"{src.name}: making it from {src.made_from}")
        return _make(src.name, root / src.made_from, stage / src.name), {
            "kind": "made",
            "from": src.made_from,
        }
    if files:
        return _by_hand(src, [Path(file) for file in files], stage, say)
    found = _in_mirror(src, mirror)
    if found:
        say(f"{src.name}: copying from {found}")
        return _by_hand(src, [found], stage, say)[0], {"kind": "mirror"}
    if not src.addresses:
        raise UserError(f"{src.name} cannot be downloaded by a program. {src.instructions}")
    archive = root / ".downloads" / src.archive
    if src.download_mb and not archive.exists():
        check_space(root, (src.disk_mb + src.download_mb) * 2**20, f"the archive of {src.name} and its files")
    say(
        f"{src.name}: downloading {src.addresses[0]}" + (f", {src.download_mb} MB" if src.download_mb else "")
    )
    digest = download(src.addresses, archive, src.archive_sha256, progress=progress)
    say(f"{src.name}: unpacking")
    unpack(archive, stage / "unpacked", src.members)
    return find_set(stage / "unpacked", src.layout), {
        "kind": "download",
        "addresses": list(src.addresses),
        "archive_sha256": digest,
    }


def _make(name: str, origin: Path, target: Path) -> Path:
    """Make one of the sets that are parts of another."""
    if name == "cfd_patches":
        return partition.make_cfd_patches(origin, target)
    return partition.make_partition(origin, name.removeprefix("crack500_"), target)


def _in_mirror(src: Source, mirror: str | Path | None) -> Path | None:
    """The set's folder or archive in the mirror; None where no mirror was named that holds it."""
    named = mirror or os.environ.get("UPCRACK_MIRROR")
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; --mirror or UPCRACK_MIRROR names it")
    for candidate in (folder / src.name, *((folder / src.archive,) if src.archive else ())):
        if candidate.exists():
            return candidate
    if mirror:
        there = ", ".join(sorted(name for name in SOURCES if (folder / name).is_dir())) or "no known set"
        raise UserError(f"{folder} does not hold {src.name}; it holds {there}")
    return None  # UPCRACK_MIRROR may hold some sets and not others


def _by_hand(
    src: Source, files: list[Path], stage: Path, say: Callable[[str], None]
) -> tuple[Path, dict[str, object]]:
    """Copy one folder, or unpack archives side by side."""
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise UserError(f"there is no such file or folder: {', '.join(missing)}")
    if any(file.is_dir() for file in files):
        if len(files) > 1:
            raise UserError("give one folder or some archives, not both")
        return _copy(find_set(files[0], src.layout), stage / src.name), {"kind": "folder"}
    for file in files:
        say(f"{src.name}: unpacking {file.name}")
        unpack(file, stage / "parts" / file.stem, src.members)
    return find_set(_merge(stage / "parts", stage / "unpacked"), src.layout), {
        "kind": "archives",
        "names": [file.name for file in files],
    }


def _merge(parts: Path, target: Path) -> Path:
    """Lay the contents of several unpacked archives into one folder. An archive of bare files keeps its name."""
    target.mkdir()
    for part in sorted(parts.iterdir()):
        bare = all(child.is_file() for child in part.iterdir())
        for child in [part] if bare else sorted(part.iterdir()):
            if (target / child.name).exists():
                raise UserError(f"{child.name} is in two of the archives: give each archive once")
            child.rename(target / child.name)
    return target


def _copy(folder: Path, target: Path) -> Path:
    """Copy the files of a folder, not the links and not what is hidden."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / inside)  # without the original's permissions, which may forbid writing
    return target


def _rejected(src: Source, root: Path, seen: Survey, findings: list[Finding]) -> UserError:
    """Write the report beside the place of the set, and say that the set was not put there."""
    stem = root / f"{src.name}-rejected"
    write_json(
        stem.with_suffix(".json"), to_json(seen, findings, src, manifests.digest(manifests.entries_of(seen)))
    )
    write_page(stem.with_suffix(".html"), seen, findings, src)
    return UserError(
        f"{src.name} was read, has errors, and was not put into {root / src.name}.\n"
        f"{text(seen, findings, src)}\n"
        f"The report with pictures: {stem.with_suffix('.html')}. --keep-faulty keeps the set as it is."
    )


@contextlib.contextmanager
def _stage(root: Path, name: str) -> Iterator[Path]:
    """A hidden folder to work in, removed at the end; one that a killed run left is removed first."""
    root.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    for left in root.glob(f".{name}.*.part"):
        pid, _, where = left.name.removeprefix(f".{name}.").removesuffix(".part").partition("@")
        if where == host and pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    stage = root / f".{name}.{os.getpid()}@{host}.part"
    stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
