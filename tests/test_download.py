"""Downloads from a scripted server on this computer: broken, busy, changed, wrong, and none at all."""

from __future__ import annotations

import email.utils
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from upcrack_lite.data import locks
from upcrack_lite.data.archives import Damaged
from upcrack_lite.data.download import check_space, download, forget
from upcrack_lite.data.unpack import unpack
from upcrack_lite.errors import UserError


def zipped(data: bytes) -> bytes:
    """A zip archive of one uncompressed file; the same data give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data.bin"), data)
    return packed.getvalue()


BODY = zipped(bytes(range(256)) * 4096)  # a little more than 1 MiB
SIZE = len(BODY)
HASH = hashlib.sha256(BODY).hexdigest()
OTHER = zipped(bytes(reversed(range(256))) * 4096)
pytestmark = pytest.mark.timeout(60)


class Server(ThreadingHTTPServer):
    """Answers each request with the next step of `script`; the last step is repeated."""

    daemon_threads = False  # so that closing waits for every answer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list = [serve()]
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.over = threading.Event()

    def url(self, name: str = "data.zip") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def handle_error(self, *_) -> None:
        """A client that goes away is part of the play."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        self.server.paths.append(self.path)
        steps = self.server.script
        (steps.pop(0) if len(steps) > 1 else steps[0])(self)
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass

    def end_early(self, body: bytes, **headers: str) -> None:
        """Send a body without saying how long it is; the connection's end is the end of the file."""
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def serve(
    body=BODY, etag: str | None = '"1"', sends: int | None = None, stall=False, ranges=True, if_range=True
):
    """A step that gives the file, or the range asked for; at most `sends` bytes, then it breaks or stalls."""

    def step(handler: Handler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        same = not if_range or handler.headers.get("If-Range") in (None, etag)
        headers = {"ETag": etag} if etag else {}
        start = int(wanted[1]) if wanted and ranges and same else 0
        if wanted and start >= len(body):
            return handler.answer(416, Content_Range=f"bytes */{len(body)}")
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        rest = body[start:]
        handler.answer(206 if start else 200, rest[:sends], len(rest), **headers)
        if stall:
            handler.wfile.flush()
            handler.server.over.wait(20)

    return step


def say(status: int, body: bytes = b"", **headers: str):
    return lambda handler: handler.answer(status, body, **headers)


def page(title: str = "Sign in"):
    body = f"\n<!DOCTYPE html><html><head><title>{title}</title>".encode()
    return say(200, body, Content_Type="text/html")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    threads = set(threading.enumerate())
    sockets = open_sockets()
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join(10)
    left = [thread.name for thread in set(threading.enumerate()) - threads]
    assert set(left) <= {"tqdm_monitor"}, "only tqdm keeps one thread for all its bars"
    assert open_sockets() <= sockets


def open_sockets() -> int:
    folder = Path("/proc/self/fd")
    links = (
        [str(path.readlink()) for path in folder.iterdir() if path.is_symlink()] if folder.exists() else []
    )
    return sum(link.startswith("socket:") for link in links)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "store" / "data.zip"


@pytest.fixture
def waits() -> list[float]:
    return []


def names(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def test_the_file_arrives_once(server, target):
    assert download([server.url()], target) == HASH
    assert target.read_bytes() == BODY
    assert names(target) == {"data.zip", "data.zip.sha256"}
    assert (target.parent / "data.zip.sha256").read_text() == f"{HASH}  data.zip\n"
    assert download([server.url()], target) == download([], target) == HASH
    assert len(server.requests) == 1
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_known_hash_is_checked_and_needs_no_note(server, target):
    assert download([server.url()], target, HASH.upper()) == HASH
    assert names(target) == {"data.zip"}
    assert download([], target, HASH) == HASH


def test_a_broken_transfer_goes_on(server, target, waits):
    server.script = [serve(sends=400_000), serve(sends=300_000), serve()]
    assert download([server.url()], target, wait=waits.append) == HASH
    assert target.read_bytes() == BODY
    starts = [int(request.get("Range", "bytes=0-")[6:-1]) for request in server.requests]
    assert 330_000 < starts[1] <= 400_000
    assert 600_000 < starts[2] <= 700_000
    assert [request.get("If-Range") for request in server.requests] == [None, '"1"', '"1"']
    assert waits == [1, 2]


def test_the_next_call_goes_on_too(server, target):
    server.script = [serve(sends=700_000), serve()]
    with pytest.raises(UserError, match=r"broke[\s\S]*MB are kept in .*data\.zip\.part"):
        download([server.url()], target, retries=0)
    assert names(target) == {"data.zip.part", "data.zip.part.json"}
    assert download([server.url()], target) == HASH
    assert "Range" in server.requests[1]
    assert names(target) == {"data.zip", "data.zip.sha256"}


def test_retries_are_counted_anew_while_it_advances(server, target, waits):
    big = BODY * 5
    server.script = [serve(big, sends=1_300_000)]
    assert download([server.url()], target, retries=1, wait=waits.append)
    assert target.read_bytes() == big
    assert len(server.requests) == 5


@pytest.mark.parametrize("etag", ['"1"', None])
def test_a_server_without_ranges_starts_over(server, target, waits, etag):
    server.script = [serve(sends=500_000, etag=etag), serve(ranges=False, etag=etag)]
    assert download([server.url()], target, wait=waits.append) == HASH
    assert target.read_bytes() == BODY


def test_without_etag_and_hash_nothing_is_continued(server, target, waits):
    server.script = [serve(sends=500_000, etag=None), serve(OTHER, etag=None)]
    download([server.url()], target, wait=waits.append)
    assert target.read_bytes() == OTHER
    assert "Range" not in server.requests[1]


@pytest.mark.parametrize("honest", [True, False], ids=["If-Range honored", "If-Range ignored"])
def test_a_changed_file_starts_over(server, target, waits, honest):
    server.script = [serve(sends=500_000), serve(OTHER, '"2"', if_range=honest)]
    download([server.url()], target, wait=waits.append)
    assert target.read_bytes() == OTHER


def test_a_file_that_became_shorter_starts_over(server, target, waits):
    short = zipped(b"short")
    server.script = [serve(sends=500_000), serve(short, '"1"')]
    download([server.url()], target, wait=waits.append)
    assert target.read_bytes() == short


def test_a_part_that_was_complete_is_taken(server, target):
    target.parent.mkdir()
    (target.parent / "data.zip.part").write_bytes(BODY)
    kept = {"address": server.url(), "validator": '"1"', "total": len(BODY)}
    (target.parent / "data.zip.part.json").write_text(json.dumps(kept))
    assert download([server.url()], target) == HASH
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (f"bytes 500000-500009/{SIZE}", f"sent 500,010 bytes of {SIZE:,}"),
        (f"bytes 400000-400009/{SIZE}", "does not fit what is here"),
        ("bytes 500000-500009/900000", "does not fit what is here"),
        ("500000", "does not fit what is here"),
    ],
)
def test_a_wrong_or_short_range_is_a_failure(server, target, said, message):
    def step(handler):
        handler.answer(206, b"x" * 10, Content_Range=said, ETag='"1"')

    server.script = [serve(sends=500_000), step]
    with pytest.raises(UserError, match=message):
        download([server.url()], target, retries=1, wait=lambda _: None)
    assert not target.exists()
    assert target.with_name("data.zip.part").exists() == ("does not fit" not in message)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, target, waits, status):
    server.script = [say(status), say(status), serve()]
    assert download([server.url()], target, wait=waits.append) == HASH
    assert waits == [1, 2]


def test_retry_after_is_honored_within_reason(server, target, waits):
    date = email.utils.formatdate(time.time() + 50, usegmt=True)
    server.script = [
        say(429, Retry_After="7"),
        say(503, Retry_After="86400"),
        say(503, Retry_After=date),
        say(503, Retry_After="soon"),
        serve(),
    ]
    assert download([server.url()], target, wait=waits.append) == HASH
    assert waits[:2] == [7, 120]
    assert 40 < waits[2] <= 50
    assert waits[3] == 8


def test_a_server_that_stays_busy_is_given_up(server, target, waits):
    server.script = [say(503)]
    with pytest.raises(UserError, match=r"does not work at the moment \(status 503\)"):
        download([server.url()], target, retries=3, wait=waits.append)
    assert waits == [1, 2, 4]
    assert names(target) == set()


def test_404_leads_to_the_next_address_at_once(server, target, waits):
    server.script = [say(404), serve()]
    assert download([server.url("old"), server.url("new")], target, wait=waits.append) == HASH
    assert server.paths == ["/old", "/new"]
    assert waits == []


def test_every_address_is_listed_with_its_reason_and_the_remedy(server, target):
    server.script = [say(404), say(403), page("Quota\x1b[31m  exceeded")]
    addresses = [server.url(name) for name in "abc"]
    with pytest.raises(UserError) as caught:
        download([*addresses, "htp:/nonsense"], target)
    message = str(caught.value)
    for part in (*addresses, "no such file", "refuses access", "Quota[31m exceeded", "is no web address"):
        assert part in message
    assert "\x1b" not in message
    assert "--mirror" in message
    assert "--from" in message


def test_a_part_of_another_address_is_continued_only_with_a_hash(server, target, waits):
    server.script = [serve(sends=500_000), serve(etag='"mirror"')]
    assert download([server.url("a"), server.url("b")], target, HASH, retries=0) == HASH
    assert "Range" in server.requests[1]
    assert "If-Range" not in server.requests[1]
    target.unlink()
    server.script = [serve(sends=500_000), serve(etag='"mirror"')]
    assert download([server.url("a"), server.url("b")], target, retries=0) == HASH
    assert "Range" not in server.requests[3]


def test_two_versions_joined_are_fetched_again_from_the_start(server, target):
    server.script = [serve(OTHER, sends=500_000), serve(), serve()]
    assert download([server.url("a"), server.url("b")], target, HASH, retries=0) == HASH
    assert ["Range" in request for request in server.requests] == [False, True, False]


def test_a_wrong_hash_removes_only_what_was_downloaded(server, target):
    target.parent.mkdir()
    neighbor = target.parent / "notes.txt"
    neighbor.write_text("mine")
    server.script = [serve(OTHER)]
    with pytest.raises(UserError) as caught:
        download([server.url()], target, HASH)
    assert HASH in str(caught.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert names(target) == {"notes.txt"}
    assert len(server.requests) == 1


def test_a_file_of_another_hash_is_never_replaced(server, target):
    target.parent.mkdir()
    target.write_bytes(OTHER)
    with pytest.raises(UserError, match="move it away or delete it"):
        download([server.url()], target, HASH)
    assert target.read_bytes() == OTHER
    assert server.requests == []


def test_trust_on_first_use_notices_another_file_later(server, target):
    download([server.url()], target)
    target.unlink()
    server.script = [serve(OTHER)]
    with pytest.raises(UserError, match=r"as at the first download .* delete .*data\.zip\.sha256"):
        download([server.url()], target)
    target.write_bytes(OTHER)
    with pytest.raises(UserError, match="as at the first download"):
        download([server.url()], target)
    (target.parent / "data.zip.sha256").write_text("nonsense")
    with pytest.raises(UserError, match="does not begin with a SHA-256"):
        download([server.url()], target)


def test_a_file_put_there_by_hand_is_trusted_like_a_first_download(target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert download([], target) == HASH
    assert (target.parent / "data.zip.sha256").exists()
    target.with_name("page.zip").write_bytes(b"<html><title>Log in</title>")
    with pytest.raises(UserError, match=r"is no archive.*Log in"):
        download([], target.with_name("page.zip"))


def test_a_web_page_is_no_archive_and_costs_no_part(server, target):
    server.script = [serve(sends=700_000), page()]
    with pytest.raises(UserError, match=r"sent a web page \(Sign in\)"):
        download([server.url()], target, wait=lambda _: None)
    assert (target.parent / "data.zip.part").stat().st_size > 600_000
    server.script = [serve()]
    assert download([server.url()], target) == HASH
    assert "Range" in server.requests[-1]


def test_an_empty_file_is_a_failure(server, target):
    server.script = [serve(b"")]
    with pytest.raises(UserError, match="sent 0 bytes"):
        download([server.url()], target, retries=0)
    assert not target.exists()


def test_bytes_are_kept_as_the_server_has_them(server, target):
    server.script = [
        lambda handler: handler.answer(200, b"\x1f\x8b not to be decoded", Content_Encoding="gzip")
    ]
    download([server.url()], target)
    assert target.read_bytes() == b"\x1f\x8b not to be decoded"
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_a_silent_server_is_given_up(server, target, waits):
    server.script = [serve(sends=200_000, stall=True)]
    start = time.monotonic()
    with pytest.raises(UserError, match=r"sent nothing for 0\.2 s"):
        download([server.url()], target, retries=1, timeout=0.2, wait=waits.append)
    assert time.monotonic() - start < 10
    assert waits == [1]


def test_no_server_is_told_at_once(target, waits, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=r"no connection to 127\.0\.0\.1:\d+ \(.*refused\)"):
        download([f"http://127.0.0.1:{port}/data.zip"], target, wait=waits.append)
    assert waits == []


def test_no_network_is_told_at_once(target, waits, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match=r"data\.example is not known; is this computer connected"):
        download(["https://data.example/data.zip"], target, wait=waits.append)
    assert waits == []


def test_a_failed_secure_connection_is_told_at_once(server, target, waits):
    with pytest.raises(UserError, match="no secure connection to"):
        download([server.url().replace("http:", "https:")], target, wait=waits.append)
    assert waits == []


def test_a_full_disk_is_told_before_the_work(server, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(UserError, match=r"needs 1\.0 MB, but only 5,000 bytes are free"):
        download([server.url()], target)
    with pytest.raises(UserError, match=r"unpacking x needs 2,000\.0 MB"):
        check_space(target / "not" / "there", 2 * 10**9, "unpacking x")
    check_space(target, 5000, "a little")
    assert not target.exists()


def test_a_full_disk_does_not_join_two_versions(server, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    server.script = [serve(sends=500_000), serve(OTHER, '"2"'), serve(OTHER, '"2"')]
    with pytest.raises(UserError, match="broke"):
        download([server.url()], target, retries=0)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 0))
        with pytest.raises(UserError, match="only 0 bytes are free"):
            download([server.url()], target, retries=0)
    download([server.url()], target)
    assert target.read_bytes() == OTHER


def test_ctrl_c_keeps_the_part(server, target):
    def stop(_):
        raise KeyboardInterrupt

    server.script = [serve(sends=700_000), serve()]
    with pytest.raises(KeyboardInterrupt):
        download([server.url()], target, wait=stop)
    assert names(target) == {"data.zip.part", "data.zip.part.json"}
    assert download([server.url()], target) == HASH
    assert "Range" in server.requests[1]


def test_a_process_killed_while_the_hash_is_taken_loses_nothing(server, target):
    code = """
import os, sys
from upcrack_lite.data import download, transfer
def dying(*_, **__):
    os._exit(9)
download.pooch.file_hash = transfer.pooch.file_hash = dying
download.download([sys.argv[1]], sys.argv[2], sys.argv[3])
"""
    command = [sys.executable, "-c", code, server.url(), str(target), HASH]
    assert subprocess.run(command, timeout=60, check=False).returncode == 9
    assert target.with_name("data.zip.part").read_bytes() == BODY
    assert names(target) == {"data.zip.part", "data.zip.part.json", "data.zip.lock"}
    if os.name == "nt":
        target.with_name("data.zip.lock").unlink()
    assert download([server.url()], target, HASH) == HASH
    assert server.requests[1]["Range"] == f"bytes={SIZE}-"
    assert names(target) == {"data.zip"}


def test_a_zip_that_ends_early_without_a_length_is_a_broken_transfer(server, target, waits):
    server.script = [lambda handler: handler.end_early(BODY[:400_000])]
    with pytest.raises(UserError, match="did not say how many there are, and the zip ends too early"):
        download([server.url()], target, retries=1, wait=waits.append)
    assert not names(target) & {"data.zip", "data.zip.sha256"}
    server.script = [lambda handler: handler.end_early(BODY[:400_000], ETag='"1"'), serve()]
    assert download([server.url()], target, wait=waits.append) == HASH
    assert server.requests[-1]["Range"] == "bytes=400000-"
    target.unlink()
    server.script = [lambda handler: handler.end_early(BODY)]
    assert download([server.url()], target) == HASH


def test_a_zip_that_lies_there_without_its_end_is_refused(server, target):
    server.script = [serve(BODY[:-30])]
    with pytest.raises(UserError, match="is a zip archive that ends too early"):
        download([server.url()], target, retries=0)
    assert names(target) == set()
    target.write_bytes(BODY[:-30])
    with pytest.raises(UserError, match="is cut off, a zip archive without its end"):
        download([], target)
    assert names(target) == {"data.zip"}


def test_a_damaged_archive_can_be_forgotten_and_fetched_anew(server, target, tmp_path):
    damaged = BODY[:5000] + b"x" + BODY[5001:]
    server.script = [serve(damaged), serve(damaged), serve()]
    for _ in range(2):  # the second time the older one that was put away is replaced
        download([server.url()], target)
        with pytest.raises(Damaged, match="is cut off or damaged"):
            unpack(target, tmp_path / "set")
        forget(target)
        assert names(target) == {"data.zip.broken", "data.zip.broken.sha256"}
        assert target.with_name("data.zip.broken").read_bytes() == damaged
    assert download([server.url()], target) == HASH
    assert unpack(target, tmp_path / "set") == ["data.bin"]


def test_forgetting_removes_nothing_of_somebody_else(target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    target.with_name("data.zip.broken").write_text("mine")
    target.with_name("data.zip.sha256").write_text("my notes")
    forget(target)
    assert target.with_name("data.zip.broken").read_text() == "mine"
    assert target.with_name("data.zip.sha256").read_text() == "my notes"
    assert target.with_name("data.zip.broken2").read_bytes() == BODY
    forget(target)  # there is nothing to forget
    assert len(names(target)) == 4
    with pytest.raises(UserError, match="cannot be written"):
        forget(target / "no" / "folder.zip")


def test_a_part_of_somebody_else_is_left_alone(server, target):
    target.parent.mkdir()
    (target.parent / "data.zip.part").write_bytes(b"a browser's")
    with pytest.raises(UserError, match="move it away"):
        download([server.url()], target)
    assert (target.parent / "data.zip.part").read_bytes() == b"a browser's"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_two_processes_do_not_meet_and_a_stopped_one_is_taken_over(server, target, end):
    server.script = [serve(sends=700_000, stall=True), serve()]
    # A shell starts its background jobs, and so their children, with Ctrl-C ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from upcrack_lite.data.download import download; download([sys.argv[1]], sys.argv[2])"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, server.url(), str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        part, until = target.with_name("data.zip.part"), time.monotonic() + 40
        while not (part.exists() and part.stat().st_size > 600_000):
            assert other.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(UserError, match=rf"process {other.pid} on .* is downloading data\.zip now"):
            download([server.url()], target)
        assert len(server.requests) == 1
        other.send_signal(end)
        other.communicate(timeout=60)
    finally:
        other.kill()
        other.communicate()
    assert target.with_name("data.zip.lock").exists() == (end == signal.SIGKILL)
    assert names(target) - {"data.zip.lock"} == {"data.zip.part", "data.zip.part.json"}
    server.over.set()
    assert download([server.url()], target) == HASH
    assert "Range" in server.requests[1]
    assert names(target) == {"data.zip", "data.zip.sha256"}


def test_locks_of_other_machines_are_never_taken_over(tmp_path):
    lock = tmp_path / "x.lock"
    lock.write_text(f"{2**22 + 1} elsewhere.example 0123")
    message = r"on elsewhere\.example is working.*delete .*x\.lock"
    with pytest.raises(UserError, match=message), locks.only_process(lock, "working"):
        pass
    assert lock.exists()


def test_locks_left_behind_are_taken_over(tmp_path):
    lock = tmp_path / "x.lock"
    for left in (f"{os.getpid()} {socket.gethostname()} of-an-earlier-process", ""):
        lock.write_text(left)
        os.utime(lock, (time.time() - 60, time.time() - 60))
        with (
            locks.only_process(lock, "working"),
            pytest.raises(UserError, match="is working too now"),
            locks.only_process(lock, "working too"),
        ):
            pass
        assert not list(tmp_path.iterdir())
    lock.write_text("")  # just being written
    with pytest.raises(UserError, match="another process is working"), locks.only_process(lock, "working"):
        pass


def test_a_quicker_process_keeps_the_lock_it_took_over(tmp_path):
    lock = tmp_path / "x.lock"
    lock.write_text("quicker")
    locks._take_away(lock, "the dead one's, as read before")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["quicker"]
    lock.write_text("dead")
    claim = tmp_path / "x.lock.takeover"
    claim.write_text("another process is at it")
    locks._take_away(lock, "dead")
    assert lock.exists()
    os.utime(claim, (time.time() - 60, time.time() - 60))  # that one was killed too
    locks._take_away(lock, "dead")
    locks._take_away(lock, "dead")
    assert not list(tmp_path.iterdir())


def test_a_process_is_alive_or_not():
    assert locks.alive(os.getpid())
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert locks.alive(done.pid) == (os.name == "nt")


def test_progress_is_shown_on_request(server, target, capsys):
    server.script = [serve(sends=500_000), serve()]
    download([server.url()], target, progress=True, wait=lambda _: None)
    shown = capsys.readouterr().err
    assert "data.zip:" in shown
    assert "1.05M" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "abc"}, "is no SHA-256"),
        ({"addresses": []}, "no public address"),
        ({"target": "."}, "is a folder"),
    ],
)
def test_bad_calls_are_told(tmp_path, change, message):
    call = {"addresses": ["http://127.0.0.1:9/x"], "target": tmp_path / "x.zip", **change}
    if change.get("target"):
        call["target"] = tmp_path
    with pytest.raises(UserError, match=message):
        download(**call)
