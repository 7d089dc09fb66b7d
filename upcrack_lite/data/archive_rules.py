"""What an archive from the web may hold: judged member by member, before anything is written."""

from __future__ import annotations

import os
import re
import tarfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from upcrack_lite.data.archives import Archive, Member
from upcrack_lite.data.layouts import raise_for
from upcrack_lite.data.space import megabytes
from upcrack_lite.errors import UserError

_LONGEST_NAME = 255  # bytes of one part of a path, the limit of most file systems
_LONGEST_PATH = 1024  # bytes
_SMALL = 2**24  # bytes; a ratio says nothing about an archive that unpacks to less
_CLUTTER = {".DS_Store", "Thumbs.db"}


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most.

    Attributes:
        members: files and folders.
        bytes: of all files when unpacked.
        ratio: bytes unpacked for a byte of the archive; only looked at from 16 MiB unpacked on. JPEG and
            PNG stay near 1, uncompressed masks near 50; deflate can reach 1000.
    """

    members: int = 200_000
    bytes: int = 8 * 2**30
    ratio: float = 200.0


LIMITS = Limits()


def checked(opened: Archive, limits: Limits) -> dict[str, tuple[PurePosixPath, int, bool]]:
    """Judge every member, and return name, size and kind of those that are no clutter.

    Raises UserError that lists the members that are refused.
    """
    path, packed = opened.path, opened.path.stat().st_size
    problems: list[str] = []
    found: dict[str, tuple[PurePosixPath, int, bool]] = {}
    spelled: dict[str, tuple[str, bool]] = {}  # by what a file system may take for the same name
    total = 0
    for count, member in enumerate(opened.members(), 1):
        if count > limits.members:
            raise UserError(f"{path} holds more than {limits.members:,} members; it is refused")
        total += member.size
        _refuse_size(path, total, packed, limits)
        problem = member.problem or _name_problem(member)
        clean = PurePosixPath(member.name)
        if not problem and clean.parts:
            problem = _note_spelling(spelled, clean, member.folder)
        if problem:
            problems.append(f"{shown(member.name)} {problem}")
        elif clean.parts and clean.parts[0] != "__MACOSX" and clean.name not in _CLUTTER:
            found[member.name] = (clean, member.size, member.folder)
    raise_for(problems, f"{path} is refused as a whole, because of these members")
    return found


def _name_problem(member: Member) -> str | None:
    """Say what makes a name unfit to be written, None if nothing does."""
    name = member.name
    try:
        data = name.encode("utf-8")
    except UnicodeEncodeError:
        return "has a name that cannot be decoded"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "has control characters in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if name.startswith("/"):
        return "has an absolute name"
    if re.match(r"[A-Za-z]:", name):
        return "has a name with a drive letter"
    parts = name.split("/")
    if ".." in parts:
        return 'has ".." in its name'
    if len(data) > _LONGEST_PATH or max(len(part.encode()) for part in parts) > _LONGEST_NAME:
        return f"has a name that is too long ({len(data):,} bytes)"
    if not member.folder and not PurePosixPath(name).parts:
        return "has no name"
    if hasattr(tarfile, "data_filter"):  # Python's own rules as a second line of defense, from 3.11.4 on
        try:
            tarfile.data_filter(tarfile.TarInfo(name), os.sep + "unpacking")
        except tarfile.FilterError as error:
            return f"is refused by Python ({error})"
    return None


def _note_spelling(spelled: dict[str, tuple[str, bool]], path: PurePosixPath, folder: bool) -> str | None:
    """Enter a path and the folders above it; say so if one is there already, or in another spelling."""
    for depth in range(1, len(path.parts) + 1):
        name, is_folder = "/".join(path.parts[:depth]), folder or depth < len(path.parts)
        key = unicodedata.normalize("NFC", name).casefold()
        if key not in spelled:
            spelled[key] = (name, is_folder)
            continue
        known, known_is_folder = spelled[key]
        if known != name:
            return f"differs from {shown(known)} only in case or in how accents are written"
        if known_is_folder != is_folder:
            return f"and another member use {shown(name)} both as a file and as a folder"
        if not is_folder:
            return "is there twice"
    return None


def _refuse_size(path: Path, total: int, packed: int, limits: Limits) -> None:
    """Raise UserError if `total` bytes are too many for any archive, or for one of `packed` bytes."""
    if total > limits.bytes:
        raise UserError(f"{path} unpacks to more than {megabytes(limits.bytes)}; it is refused")
    if total > max(_SMALL, limits.ratio * packed):
        raise UserError(
            f"{path} unpacks to more than {limits.ratio:g} times its {megabytes(packed)}, "
            "as archives do that are made to fill a disk; it is refused"
        )


def shown(name: str) -> str:
    """Write a name from an archive so that it cannot play tricks on the terminal."""
    text = ascii(name) if not name.isprintable() else f"'{name}'"
    return text if len(text) <= 120 else f"{text[:100]}...'"
