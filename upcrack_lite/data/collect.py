"""Put the files of a set together: downloaded, copied from a mirror, got by hand, or made from another set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upcrack_lite.data import manifest as manifests
from upcrack_lite.data import partition
from upcrack_lite.data.archives import Damaged
from upcrack_lite.data.download import check_space, download, forget
from upcrack_lite.data.sources import SOURCES, Source
from upcrack_lite.data.unpack import find_set, unpack
from upcrack_lite.errors import UserError


@dataclass(frozen=True)
class Order:
    """What is to be fetched, from where, and how; the fields are explained at `fetch.fetch`."""

    source: Source
    root: Path
    accept_terms: bool = False
    mirror: str | Path | None = None
    files: Sequence[str | Path] = ()
    keep_faulty: bool = False
    progress: bool = False
    say: Callable[[str], None] = lambda line: None


def collect(order: Order, stage: Path) -> tuple[Path, dict[str, Any]]:
    """Put a set together in an empty folder.

    Returns:
        The set's folder in there, and facts about where it came from.

    Raises:
        UserError: there is no source for the set, or the source cannot be used.
    """
    src, say = order.source, order.say
    if src.made_from:
        return _make(order, stage)
    if order.files:
        return _by_hand(src, [Path(file) for file in order.files], stage, say)
    found = _in_mirror(src, order.mirror)
    if found:
        say(f"{src.name}: copying from {found}")
        return _by_hand(src, [found], stage, say)[0], {"kind": "mirror"}
    if not src.addresses:
        raise UserError(f"{src.name} cannot be downloaded by a program. {src.instructions}")
    archive = order.root / ".downloads" / src.archive
    if src.download_mb and not archive.exists():
        needed = (src.disk_mb + src.download_mb) * 10**6
        check_space(order.root, needed, f"the archive of {src.name} and its files")
    say(
        f"{src.name}: downloading {src.addresses[0]}" + (f", {src.download_mb} MB" if src.download_mb else "")
    )
    digest = download(src.addresses, archive, src.archive_sha256, progress=order.progress)
    say(f"{src.name}: unpacking")
    try:
        unpack(archive, stage / "unpacked", src.members)
    except Damaged:
        if src.archive_sha256 is None:  # nobody vouches for it: it must not stand in the way of the next try
            forget(archive)
        raise
    facts = {"kind": "download", "addresses": list(src.addresses), "archive_sha256": digest}
    return _find(stage / "unpacked", src, [src.archive]), facts


def _make(order: Order, stage: Path) -> tuple[Path, dict[str, Any]]:
    """Make one of the sets that are parts of another."""
    name, origin = order.source.name, order.root / str(order.source.made_from)
    order.say(f"{name}: making it from {origin}")
    facts = {"kind": "made", "from": origin.name}
    if listed := manifests.digest_in(origin):
        facts["manifest_sha256"] = listed
    if name == "cfd_patches":
        return partition.make_cfd_patches(origin, stage / name), facts
    return partition.make_partition(origin, name.removeprefix("crack500_"), stage / name), facts


def _in_mirror(src: Source, mirror: str | Path | None) -> Path | None:
    """The set's folder or archive in the mirror; None where no mirror was named that holds it."""
    named = mirror or os.environ.get("UPCRACK_MIRROR")
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; --mirror or UPCRACK_MIRROR names it")
    for name in (src.name, src.archive, f"{src.name}.zip"):
        candidate = folder / name
        if name and candidate.exists():
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
    names = [file.name for file in files]
    return _find(_merge(stage / "parts", stage / "unpacked"), src, names), {
        "kind": "archives",
        "names": names,
    }


def _find(unpacked: Path, src: Source, archives: list[str]) -> Path:
    """Find the set in what was unpacked; the message of an error names the archives, not our folder."""
    try:
        return find_set(unpacked, src.layout)
    except UserError as error:
        raise UserError(str(error).replace(str(unpacked), ", ".join(archives))) from None


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
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    paths = [path for path in paths if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    check_space(target.parent, sum(path.stat().st_size for path in paths), f"a copy of {folder}")
    for path in paths:
        inside = path.relative_to(folder)
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / inside)  # without the original's permissions, which may forbid writing
    return target
