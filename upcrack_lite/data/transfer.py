"""Fetch one file over HTTP in as many attempts as it takes.

What has arrived is kept in `TARGET.part`, with a note `TARGET.part.json` on which version of the file it
belongs to. The next attempt, or the next process, goes on from there. The part keeps its name until the
caller has checked it and hands it over, so that being killed costs no byte of it.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3.exceptions
from tqdm import tqdm

from upcrack_lite import __version__
from upcrack_lite.data.archives import page_title, zip_ends_early
from upcrack_lite.data.space import check_space
from upcrack_lite.data.web_reasons import Failed, host_of, of_error, of_status
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_json

_BLOCK = 64 * 1024  # bytes; a connection that breaks costs at most one block
_PROGRESS = 2**20  # bytes by which a part must grow for the retries to be counted anew
_LONGEST_WAIT = 120.0  # seconds between two attempts, also where the server asks for more
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Transfer:
    """A transfer that goes on where an earlier attempt broke off: `fetch`, check, then `hand_over` or `drop`.

    Args:
        part: where the bytes are kept until all are there; a note `part` + `.json` lies beside it.
        hash_known: the finished file will be checked against a hash. Only then is a part continued
            from another address, or without an ETag or date: a mixture of versions would be noticed.
        retries: further attempts at an address; counted anew whenever another MiB has arrived.
        timeout: seconds without an answer or a byte after which an attempt has failed.
        progress: show a bar on standard error.
        wait: called with the seconds to wait before the next attempt.

    Attributes:
        resumed: True if the part holds bytes of an earlier attempt.
    """

    def __init__(
        self,
        part: Path,
        hash_known: bool,
        retries: int = 4,
        timeout: float = 30,
        progress: bool = False,
        wait: Callable[[float], Any] = time.sleep,
    ) -> None:
        self.part, self.note = part, part.with_name(part.name + ".json")
        self.hash_known, self.retries, self.timeout = hash_known, retries, timeout
        self.progress, self.wait = progress, wait
        self.resumed = False

    def fetch(self, url: str) -> None:
        """Bring all bytes of the address into the part, which keeps its name and its note.

        Raises:
            Failed: this address does not give the file.
            UserError: the disk is full, or cannot be written to.
        """
        if self.part.exists() and not self._kept():
            raise UserError(
                f"{self.part} is there but does not come from here (browsers use this name too): move it away"
            )
        left, furthest, self._reached = self.retries, self.kept_bytes(), False
        while True:
            try:
                self._attempt(url)
                break
            except Failed as error:
                if self.kept_bytes() >= furthest + _PROGRESS:
                    left, furthest = self.retries, self.kept_bytes()
                if not error.again or left <= 0:
                    raise
                doubled = 2.0 ** (self.retries - left)
                delay = min(doubled if error.after is None else max(error.after, 1.0), _LONGEST_WAIT)
                left -= 1
                pooch.get_logger().info("%s; next attempt in %.0f s.", error.reason, delay)
            self.wait(delay)

    def hand_over(self, target: Path) -> None:
        """Give the part, which the caller has checked, its final name."""
        self.part.replace(target)
        self.note.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the part, then its note: a part without a note counts as somebody else's."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def kept_bytes(self) -> int:
        """Return how many bytes of the file are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        """Ask once for the file, or for what is missing of it, and take in the answer."""
        kept, offset = self._kept(), self.kept_bytes()
        validator = kept.get("validator") if kept.get("address") == url else None
        if not (validator or self.hash_known):
            offset = 0
        headers = {"User-Agent": f"upcrack-lite/{__version__}"}
        headers["Accept-Encoding"] = "identity"  # the bytes as they lie on the server: they are counted
        if offset:
            headers["Range"] = f"bytes={offset}-"
            headers |= {"If-Range": validator} if validator else {}
        try:
            with (
                requests.Session() as session,
                session.get(url, headers=headers, stream=True, timeout=self.timeout) as response,
            ):
                self._reached = True
                self._take_in(response, url, offset, kept, validator)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise of_error(error, url, self.timeout, self._reached) from error

    def _take_in(
        self, response: requests.Response, url: str, offset: int, kept: dict[str, Any], validator: str | None
    ) -> None:
        """Write the answer's bytes to the part, from the start or behind those that are there."""
        start, total = self._extent(response, offset, kept, validator)
        if start == total and start:
            self.resumed = True  # everything was here already
            return
        blocks = response.raw.stream(_BLOCK, decode_content=False)
        first = next(blocks, b"")
        if start == 0:
            # Before the old part is given up: the login page of a hotel must not cost half an archive.
            refuse_page(first, host_of(url))
            self.drop()
            write_json(self.note, {"address": url, "validator": _validator(response), "total": total})
        self.resumed = start > 0
        check_space(self.part.parent, (total or start) - start, f"downloading {url}")
        self._store(itertools.chain([first], blocks), start, total)
        size = self.kept_bytes()
        if total is not None and size > total:
            self.drop()
        if size != (size if total is None else total) or not size:
            raise Failed(f"{host_of(url)} sent {size:,} bytes{'' if total is None else f' of {total:,}'}")
        # A server that does not say how long the file is may break off without anybody noticing.
        if total is None and zip_ends_early(self.part):
            raise Failed(
                f"{host_of(url)} sent {size:,} bytes, did not say how many there are, and the zip ends too early"
            )

    def _extent(
        self, response: requests.Response, offset: int, kept: dict[str, Any], validator: str | None
    ) -> tuple[int, int | None]:
        """Return where the answer starts within the file and the file's size in bytes, None if not said."""
        said, host = response.headers.get("Content-Range", ""), host_of(response.url)
        if response.status_code == 200:  # also from a server that ignores Range, or whose file has changed
            length = response.headers.get("Content-Length", "")
            return 0, int(length) if length.isdecimal() else None
        if response.status_code == 206 and offset:
            match = _RANGE.fullmatch(said)
            total = None if match is None else int(match[2]) + 1 if match[3] == "*" else int(match[3])
            # Some servers ignore If-Range and send the rest of another version.
            changed = validator is not None and _validator(response) not in (None, validator)
            if match and int(match[1]) == offset and kept.get("total") in (None, total) and not changed:
                return offset, total
        elif response.status_code == 416 and offset:
            if said == f"bytes */{offset}":
                return offset, offset
        else:
            raise of_status(response)
        self.drop()
        raise Failed(f"the file at {host} does not fit what is here of it, so it starts over")

    def _store(self, blocks: Iterator[bytes], start: int, total: int | None) -> None:
        name = self.part.name.removesuffix(".part")
        with tqdm(
            desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=not self.progress
        ) as bar:
            try:
                with self.part.open("ab" if start else "wb") as file:
                    for block in blocks:
                        file.write(block)
                        bar.update(len(block))
            except OSError as error:
                raise UserError(
                    f"{self.part} cannot be written ({error.strerror or error}): free space and call again; "
                    "it goes on from what is there"
                ) from error

    def _kept(self) -> dict[str, Any]:
        """Return the note on the part: the address, its ETag or date, and the size of the whole file."""
        try:
            kept = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) and "address" in kept else {}


def refuse_page(head: bytes, where: str) -> None:
    """Raise `Failed` if these first bytes of a file are a web page's."""
    title = page_title(head)
    if title is not None:
        raise Failed(
            f"{where} sent a web page{title and f' ({title})'} instead of the file; a login, a quota, "
            "or the sign-in page of this network is in the way",
            again=False,
        )


def _validator(response: requests.Response) -> str | None:
    """Return what marks this version of the file: a strong ETag, else the date of its last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")
