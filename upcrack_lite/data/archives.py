"""Look into a zip or tar archive: what its members are, and their bytes, with memory bounded.

Nothing is written here. Both kinds are read in two passes, `members` and then `contents`; for a
compressed tar this means decompressing twice, which costs seconds and keeps nothing in memory.
"""

from __future__ import annotations

import bz2
import contextlib
import copy
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from upcrack_lite.errors import UserError

_BLOCK = 2**20  # bytes read at once
_HEADER = 2**22  # bytes; no honest tar header, with its long names, comes near
_PADDING = 2**24  # bytes behind the end mark of a tar; 10 KiB are usual
_FAR = 2**62  # bytes, more than any member has
_PACKED = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\x00": lzma.LZMAFile}
_OTHERS = {b"7z\xbc\xaf\x27\x1c": "a 7z", b"Rar!": "a RAR", b"(\xb5/\xfd": "a Zstandard"}
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,  # what bz2 and gzip raise
    ValueError,
    RecursionError,  # tarfile, on a long chain of headers
)
"""What Python's readers raise for a damaged archive."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it stands in the archive, not to be trusted.
        size: bytes when unpacked, as its header says.
        folder: True for a folder.
        problem: why it is neither a plain file nor a folder that can be read, or None.
    """

    name: str
    size: int
    folder: bool
    problem: str | None = None


class Damaged(UserError):
    """A file that is cut off, damaged or no archive at all, so that another copy of it may be sound."""


class Archive:
    """An open archive; use it in a `with` block.

    Raises:
        UserError: the file is missing, or no zip or tar archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = contextlib.ExitStack()
        with self._stack:
            try:
                self._file = self._stack.enter_context(path.open("rb"))
                head = self._file.read(1024)
            except FileNotFoundError:
                raise UserError(f"{path}: there is no such file") from None
            except OSError as error:
                raise UserError(f"{path} cannot be read ({error.strerror})") from error
            self._file.seek(0)
            self._zip: zipfile.ZipFile | None = None
            if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                with damage_named(path):
                    self._zip = self._stack.enter_context(zipfile.ZipFile(self._file))
            elif not any(head.startswith(magic) for magic in _PACKED) and head[257:262] != b"ustar":
                raise Damaged(f"{path} {_what_else(head)}")
            self._head = head
            self._stack = self._stack.pop_all()  # stays open beyond this block

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def members(self) -> Iterator[Member]:
        """Give all entries in the archive's order. Raises UserError when the archive is damaged."""
        with damage_named(self.path):
            if self._zip is not None:
                yield from map(_zip_member, self._zip.infolist())
            else:
                yield from (_tar_member(info) for _, info in self._tar())

    def contents(self, wanted: set[str]) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Give the wanted files with their bytes in blocks; read a file's blocks before the next one.

        Checksums are compared at the end of a file (zip) or of the archive (tar.gz, tar.bz2, tar.xz).
        Raises UserError when the archive is damaged.
        """
        with damage_named(self.path):
            if self._zip is not None:
                for info in self._zip.infolist():
                    if info.orig_filename in wanted:
                        # A member is read to the real end of its data, not to the size that its header says.
                        real = copy.copy(info)
                        real.file_size = _FAR
                        with self._zip.open(real) as file:
                            yield _zip_member(info), _blocks(file, self.path)
            else:
                for tar, info in self._tar():
                    if info.name in wanted and info.isreg():
                        yield _tar_member(info), _blocks(tar.extractfile(info), self.path)

    def _tar(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        """Walk a tar archive, and make sure that it goes to its end."""
        self._file.seek(0)
        opener = next((kind for magic, kind in _PACKED.items() if self._head.startswith(magic)), None)
        with contextlib.ExitStack() as stack:
            plain = _Careful(self._file if opener is None else stack.enter_context(_open(opener, self._file)))
            tar = stack.enter_context(tarfile.open(fileobj=plain, mode="r:", encoding="utf-8"))
            while (info := tar.next()) is not None:
                tar.members.clear()  # tarfile would keep every entry
                yield tar, info
            # tarfile takes a damaged header in the middle, or a missing one, for the end without a word.
            if plain.last != bytes(512):
                raise tarfile.ReadError("the end mark is missing")
            # The rest is read so that the checksum of the compressed data is reached.
            rest = 0
            while block := plain.read(_BLOCK):
                rest += len(block)
                if rest > _PADDING:
                    raise tarfile.ReadError("far more than padding follows its end mark")


class _Careful:
    """A file that does not let a lying header make tarfile read gigabytes into memory."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek
        self.last = b""  # what was read last

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self.last = self._file.read(size)
        return self.last


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what the readers raise for a damaged archive into one UserError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} holds a name that cannot be decoded; pack it again with names in UTF-8"
        ) from error
    except _BROKEN as error:
        why = str(error) or type(error).__name__
        raise Damaged(f"{path} is cut off or damaged ({why}); download or copy it again") from error


def zip_ends_early(path: Path) -> bool:
    """Return True for a file that begins like a zip archive and lacks the record at the end of one.

    Only the end of the file is read. What does not begin like a zip archive is not judged.
    """
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(file)


def page_title(head: bytes) -> str | None:
    """Return the title of a web page from its first bytes, "" if it has none there, None for no page.

    No archive begins with "<", so this also catches the XML of a storage service's error.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"<"):
        return None
    title = _TITLE.search(text)
    words = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
    return "".join(letter for letter in words if letter.isprintable())[:80]


def _open(opener: type, file: IO[bytes]) -> Any:
    return opener(fileobj=file) if opener is gzip.GzipFile else opener(file)


def _blocks(file: IO[bytes] | None, path: Path) -> Iterator[bytes]:
    with damage_named(path):
        while file is not None and (block := file.read(_BLOCK)):
            yield block


def _zip_member(info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = None
    if stat.S_ISLNK(kind):
        problem = "is a link"
    elif kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        problem = "is a device or a pipe"
    elif info.flag_bits & 0x2041:  # encrypted, strongly encrypted, or with a masked header
        problem = "is encrypted; unpack it by hand with its password"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile decompresses the others without a bound on memory.
        method = zipfile.compressor_names.get(info.compress_type, f"number {info.compress_type}")
        problem = f"is compressed by {method}; pack it again by deflate, the usual way"
    # `filename` ends at a NUL; the original one is what the rules for names must see.
    return Member(info.orig_filename, info.file_size, info.orig_filename.endswith("/"), problem)


def _tar_member(info: tarfile.TarInfo) -> Member:
    problem = None
    if info.issym() or info.islnk():
        problem = "is a link"
    elif info.isdev():
        problem = "is a device or a pipe"
    elif info.issparse() or not (info.isreg() or info.isdir()):
        problem = "is of an unusual kind"
    return Member(info.name, info.size if info.isreg() else 0, info.isdir(), problem)


def _what_else(head: bytes) -> str:
    """Say what a file is that is no zip or tar archive."""
    if not head:
        return "is empty (0 bytes); download or copy it again"
    title = page_title(head)
    if title is not None:
        named = f"is a web page{title and f' ({title})'}, not an archive"
        return f"{named}; download the file itself, after a login if need be"
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return f"is {name} archive; unpack it by hand and give the folder"
    return "is no zip or tar archive; download or copy it again"
