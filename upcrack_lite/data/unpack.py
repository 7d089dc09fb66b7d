"""Unpack a zip or tar archive from the web so that it can do no harm: below one folder, and not without end."""

from __future__ import annotations

import errno
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from upcrack_lite.data.folders import check_space
from upcrack_lite.errors import UserError

MOST_BYTES = 8 * 2**30
"""An archive that holds more is refused; the largest public set here has 0.6 GB."""

_CLUTTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}
# What Python's readers raise for a damaged archive; RuntimeError for an encrypted one.
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, RuntimeError)


class Damaged(UserError):
    """A file that is cut off, damaged or no archive at all, so that another copy of it may be sound."""


def unpack(archive: Path, target: Path, members: str = "", most_bytes: int = MOST_BYTES) -> None:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz) below `target`, a folder that holds nothing yet.

    The total size is judged before a byte is written. zipfile drops what leads out of the folder from a name and
    writes plain files only; tarfile's filter `data` refuses such names, links out of the folder and devices. What
    macOS and Windows add (`__MACOSX`, `.DS_Store`, `Thumbs.db`) is left out.

    archive: the file. target: the folder to write to. members: unpack only this folder of the archive, at its top
    or one level below; "" unpacks all. most_bytes: what may be unpacked at most.
    Raises Damaged: the file is cut off, damaged or no archive. UserError: a member that tarfile refuses, more bytes
    than allowed or than the disk has, or nothing to unpack.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                files = {info.filename: info.file_size for info in packed.infolist() if not info.is_dir()}
                for name in _wanted(archive, files, target, members, most_bytes):
                    packed.extract(name, target)
        else:
            with tarfile.open(archive) as packed:
                listed = {info.name: info for info in packed if not info.isdir()}
                files = {name: info.size for name, info in listed.items()}
                for name in _wanted(archive, files, target, members, most_bytes):
                    packed.extract(listed[name], target, filter="data")
    except tarfile.FilterError as error:
        raise UserError(f"{archive} is refused: {error}") from None
    except _BROKEN as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        # Without a number from gzip and bz2, for their data; EINVAL for a place before the start of the file.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(archive, error) from error
        raise


def _wanted(archive: Path, files: dict[str, int], target: Path, members: str, most_bytes: int) -> list[str]:
    """Return which of an archive's files (name to size in bytes) are unpacked, if there is room for them."""
    wanted = []
    for name in files:
        parts = PurePosixPath(name).parts
        if not _CLUTTER & {*parts[:1], *parts[-1:]} and (not members or members in parts[:2]):
            wanted.append(name)
    if not wanted:
        raise UserError(f"{archive}: no file is in it" + (f" below {members}/" if members else ""))
    total = sum(files[name] for name in wanted)
    if total > most_bytes:
        raise UserError(f"{archive} unpacks to more than {most_bytes / 1e6:,.0f} MB; it is refused")
    check_space(target, total, f"unpacking {archive.name}")
    return wanted


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
