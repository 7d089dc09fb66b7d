"""Download one archive from a list of addresses: resumed, checked, and never half there. Chapter: the data."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pooch

from upcrack_lite.data.archives import zip_ends_early
from upcrack_lite.data.locks import only_process
from upcrack_lite.data.space import check_space, megabytes
from upcrack_lite.data.transfer import Transfer, refuse_page
from upcrack_lite.data.web_reasons import Failed
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable, write_text

__all__ = ["check_space", "download", "forget"]

_REMEDY = (
    "try another network, give a folder that holds the data with --mirror, "
    "or download the file by hand and give it with --from"
)


def download(
    addresses: Sequence[str],
    target: str | Path,
    sha256: str | None = None,
    retries: int = 4,
    progress: bool = False,
    timeout: float = 30,
    wait: Callable[[float], Any] = time.sleep,
) -> str:
    """Download a file to `target`, from the first address that gives it, unless it is there.

    What arrives is kept in `TARGET.part`. A transfer that breaks, also one stopped with Ctrl-C or killed,
    goes on from there in the next attempt or the next call, if the server still has the same version.
    The part is checked under that name, so that a process killed at the very end loses nothing either.
    The target appears only when it is complete; a zip archive that lacks its end is refused. So is a second
    process that wants the same target.

    Without a known hash, the first success writes the file's own SHA-256 to `TARGET.sha256` (in the form
    that `sha256sum -c` reads), and from then on the file must have it. This trust on first use proves that
    the file is still the one of the first download. It does not prove that the first one was the
    authors' file: for that, compare the hash with one that you got in another way.

    Args:
        addresses: web addresses of the same file, tried in this order.
        target: where to store the file; its folder is made.
        sha256: the file's SHA-256 as 64 hexadecimal digits, or None if nobody knows it.
        retries: further attempts at one address after a broken connection, a timeout, or a server that
            is busy (429, 5xx); waits 1, 2, 4, ... s, or as long as the server asks, at most 120 s.
        progress: show a bar on standard error.
        timeout: seconds without any answer or byte after which an attempt has failed.
        wait: called with the seconds to wait; for tests.

    Returns:
        the file's SHA-256, 64 lower-case hexadecimal digits.

    Raises:
        UserError: no address gives the file (each is listed with the reason), a file of another hash is at
            `target`, another process downloads it, or the disk is full or cannot be written to.
    """
    target = Path(target).absolute()
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UserError(f"{sha256!r} is no SHA-256: give 64 hexadecimal digits, or none")
    if there := _there(target, sha256):
        return there
    if not addresses:
        raise UserError(f"{target.name} has no public address: download it by hand and give it with --from")
    check_writable(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with only_process(target.with_name(target.name + ".lock"), f"downloading {target.name}"):
        if there := _there(target, sha256):  # another process has finished it in the meantime
            return there
        expected, origin = _expected(target, sha256)
        part = target.with_name(target.name + ".part")
        transfer = Transfer(part, expected is not None, retries, timeout, progress, wait)
        failures = {}
        for address in addresses:
            try:
                found = _fetch(address, target, expected, origin, transfer)
                break
            except Failed as error:
                failures[address] = error.reason
        else:
            raise _nowhere(target, failures, transfer.kept_bytes())
        if expected is None:
            write_text(_note_of(target), f"{found}  {target.name}\n")
        return found


def forget(target: str | Path) -> None:
    """Put away an archive that turned out damaged, with the note on its hash, so that it is fetched anew.

    For an archive of which nobody published a hash. It is renamed to `NAME.broken`; an older one of this
    name that was put away here is replaced, and one of somebody else is kept (then it is `NAME.broken2`
    and so on). What was put away is known by a note `NAME.broken.sha256`.

    Raises:
        UserError: another process downloads the archive now, or the folder cannot be written to.
    """
    target = Path(target).absolute()
    with only_process(target.with_name(target.name + ".lock"), f"downloading {target.name}"):
        try:
            if target.is_file():
                _put_away(target)
            note = _note_of(target)
            if note.is_file() and _noted(note):  # one that does not look like ours stays
                note.unlink()
        except OSError as error:
            raise UserError(f"{target} cannot be renamed ({error.strerror or error})") from error


def _put_away(target: Path) -> None:
    """Rename a file to the first of NAME.broken, NAME.broken2, ... that is free, or that was put away here."""
    for number in itertools.count(1):
        broken = target.with_name(f"{target.name}.broken{number if number > 1 else ''}")
        mark = _note_of(broken)
        ours = mark.is_file() and broken.is_file() and _noted(mark) == pooch.file_hash(str(broken))
        if ours or not (broken.exists() or mark.exists()):
            break
    digest = pooch.file_hash(str(target))
    target.replace(broken)
    write_text(mark, f"{digest}  {broken.name}\n")


def _fetch(address: str, target: Path, expected: str | None, origin: str, transfer: Transfer) -> str:
    """Fetch one address to `target` and return its hash: transfer, check, rename. Raises `Failed`."""
    while True:
        transfer.fetch(address)
        try:
            found, problem = pooch.file_hash(str(transfer.part)), None
            if expected and found != expected:
                problem = f"the file there has the SHA-256 {found}, but expected is {expected}{origin}"
            elif not expected and zip_ends_early(transfer.part):
                problem = "the file there is a zip archive that ends too early"
            if problem is None:
                transfer.hand_over(target)
                return found
            transfer.drop()
        except OSError as error:
            raise UserError(f"{target} cannot be written ({error.strerror or error})") from error
        # Two versions may have been joined; that is a matter of a second attempt, from the start.
        if not transfer.resumed:
            raise Failed(problem, again=False)


def _there(target: Path, sha256: str | None) -> str | None:
    """Return the hash of a file that is there and right, None if there is none.

    Without any known hash, a file that somebody put there by hand is trusted like a first download.
    """
    if not target.exists():
        return None
    if not target.is_file():
        raise UserError(f"{target} is a folder: name a file to store the archive in")
    found, (expected, origin) = pooch.file_hash(str(target)), _expected(target, sha256)
    if expected and found != expected:
        raise UserError(
            f"{target} is there with the SHA-256 {found}, but expected is {expected}{origin}: "
            "move it away or delete it, then call again"
        )
    if not expected:
        try:
            with target.open("rb") as file:
                refuse_page(file.read(1024), "it seems that somebody")
        except Failed as error:
            raise UserError(f"{target} is no archive: {error.reason}; delete it and call again") from None
        if zip_ends_early(target):
            raise UserError(f"{target} is cut off, a zip archive without its end: delete it and call again")
        with contextlib.suppress(UserError):  # a folder for reading only, such as a shared one
            write_text(_note_of(target), f"{found}  {target.name}\n")
    return found


def _note_of(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _noted(note: Path) -> str | None:
    """Return the hash that a note begins with, None if it begins with something else."""
    match = re.match(r"[0-9a-f]{64}\b", note.read_text(encoding="utf-8", errors="replace"))
    return match and match[0]


def _expected(target: Path, sha256: str | None) -> tuple[str | None, str]:
    """Return the hash that the file must have and a remark on where that comes from.

    It is the given one, else the one that the first download wrote down, else None.
    """
    if sha256 is not None:
        return sha256.lower(), ""
    note = _note_of(target)
    if not note.exists():
        return None, ""
    digest = _noted(note)
    if digest is None:
        raise UserError(f"{note} does not begin with a SHA-256: delete it and call again")
    return digest, f" as at the first download (if the new file is right, delete {note})"


def _nowhere(target: Path, failures: dict[str, str], kept: int) -> UserError:
    lines = [f"{target.name} could not be downloaded:"]
    lines += [f"{address}: {reason}" for address, reason in failures.items()]
    if kept:
        lines.append(f"{megabytes(kept)} are kept in {target}.part, and the next call goes on from there")
    return UserError("\n  ".join(lines) + f"\n{_REMEDY}")
