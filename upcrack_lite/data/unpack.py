"""Unpack a zip or tar archive from the web so that it can do no harm: only plain files, below one folder."""

from __future__ import annotations

import contextlib
import errno
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from upcrack_lite.data.folders import check_space
from upcrack_lite.errors import UserError, raise_for

MOST_BYTES = 8 * 2**30
"""An archive that holds more is refused; the largest public set here has 0.6 GB."""

_CLUTTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}
# What Python's readers raise for a damaged archive; RuntimeError for an encrypted one.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, RuntimeError)


class Damaged(UserError):
    """A file that is cut off, damaged or no archive at all, so that another copy of it may be sound."""


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its name there, not to be trusted, its size in bytes, and how to read it."""

    name: str
    size: int
    plain: bool  # no link, device or pipe
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, members: str = "", most_bytes: int = MOST_BYTES) -> None:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz) below `target`, a folder that holds nothing yet.

    Every name and the total size are judged before a byte is written. Permissions are not taken over; what
    macOS and Windows add (`__MACOSX`, `.DS_Store`, `Thumbs.db`) is left out.

    Args:
        archive: the file.
        target: the folder to write to.
        members: unpack only this folder of the archive, at its top or one level below; "" unpacks all.
        most_bytes: what may be unpacked at most.

    Raises:
        Damaged: the file is cut off, damaged or no archive.
        UserError: no such file, members that would leave the folder, links, devices or two files of one name
            (all are listed), more bytes than allowed or than the disk has, or nothing to unpack.
    """
    if not archive.is_file():
        raise UserError(f"{archive}: there is no such file")
    try:
        with contextlib.ExitStack() as stack:
            plan = _plan(archive, _members(archive, stack), members)
            total = sum(member.size for member in plan.values())
            if total > most_bytes:
                raise UserError(f"{archive} unpacks to more than {most_bytes / 1e6:,.0f} MB; it is refused")
            check_space(target, total, f"unpacking {archive.name}")
            for path, member in plan.items():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, (target / path).open("xb") as file:
                    shutil.copyfileobj(source, file)
    except _BROKEN as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # Without a number from gzip and bz2, for their data; EINVAL for a place before the start of the file.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(archive, error) from error
        raise


def _members(archive: Path, stack: contextlib.ExitStack) -> list[_Member]:
    """List the files of an archive that stays open as long as `stack`."""
    if zipfile.is_zipfile(archive):
        packed = stack.enter_context(zipfile.ZipFile(archive))
        return [
            # A size that the header understates ends in a wrong checksum: zipfile reads no more than it says.
            _Member(info.filename, info.file_size, not _is_special(info), partial(packed.open, info))
            for info in packed.infolist()
            if not info.is_dir()
        ]
    tar = stack.enter_context(tarfile.TarFile.open(archive))
    return [
        _Member(info.name, info.size, info.isreg(), partial(tar.extractfile, info))
        for info in tar
        if not info.isdir()
    ]


def _is_special(info: zipfile.ZipInfo) -> bool:
    """Tell whether a member of a zip archive is a link, a device or a pipe."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return bool(kind) and not stat.S_ISREG(kind)


def _plan(archive: Path, listed: list[_Member], members: str) -> dict[PurePosixPath, _Member]:
    """Return the wanted files by where they go. Raises `UserError` that lists the members that are refused."""
    plan: dict[PurePosixPath, _Member] = {}
    problems, names = [], set()
    for member in listed:
        path = PurePosixPath(member.name)
        problem = _problem(member, path)
        if not problem and str(path).casefold() in names:
            problem = "is there twice, perhaps in small and capital letters"
        names.add(str(path).casefold())
        if problem:
            problems.append(f"{ascii(member.name)[:120]} {problem}")
        elif not _CLUTTER & {path.parts[0], path.name} and (not members or members in path.parts[:2]):
            plan[path] = member
    raise_for(problems, f"{archive} is refused as a whole, because of these members")
    if not plan:
        raise UserError(f"{archive}: no file is in it" + (f" below {members}/" if members else ""))
    return plan


def _problem(member: _Member, path: PurePosixPath) -> str | None:
    """Say what makes a member unfit to be written, None if nothing does."""
    if not member.plain:
        return "is a link, a device or a pipe"
    if path.is_absolute() or ".." in path.parts or not path.parts or re.match(r"[A-Za-z]:", member.name):
        return "would be written outside of the folder"
    if "\\" in member.name or not member.name.isprintable():
        return "has a backslash, a control character or an undecodable letter in its name"
    return None


def _damaged(archive: Path, error: Exception) -> Damaged:
    """Say what is wrong with a file that cannot be unpacked."""
    with archive.open("rb") as file:
        is_page = file.read(256).lstrip().startswith(b"<")
    if is_page:
        return Damaged(
            f"{archive} is a web page, no archive: a login or a quota is in the way of the file itself"
        )
    why = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return Damaged(
        f"{archive} is cut off, damaged or no zip or tar archive ({why}); download or copy it again"
    )
