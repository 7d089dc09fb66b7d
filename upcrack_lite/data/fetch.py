"""One data set, from a public archive, a local mirror or files fetched by hand, to a verified folder.

The set is put together in a hidden folder beside its place, every file is read and checked there, and
only then it is renamed to `ROOT/NAME`. A run that is killed leaves nothing that looks finished; a
download goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from upcrack_lite import __version__
from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.collect import Order, collect
from upcrack_lite.data.download import check_space
from upcrack_lite.data.locks import only_process
from upcrack_lite.data.report import text, to_json, write_page
from upcrack_lite.data.sources import source
from upcrack_lite.data.survey import MANIFEST, PROVENANCE, Survey, survey
from upcrack_lite.data.terms import accept
from upcrack_lite.data.verify import Finding, passed, verify
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable, write_json

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
    src, expected = source(name), manifests.expected(name, manifest)
    order = Order(src, Path(root), accept_terms, mirror, files, keep_faulty, progress, say)
    target = order.root / name
    if src.made_from and files and (order.root / src.made_from).is_dir():
        raise UserError(f"{name} is made from {order.root / src.made_from}: leave --from out")
    if _in_the_way(target):
        say(f"{name}: here already, checking every file")
        return _unchanged(order, expected)
    check_writable(order.root)
    if src.made_from:
        _prepare_origin(order)
    accept(source(src.made_from) if src.made_from else src, order.root, accept_terms)
    check_space(order.root, src.disk_mb * 10**6, f"the set {name}")
    order.root.mkdir(parents=True, exist_ok=True)
    try:
        with (
            only_process(order.root / f".{name}.lock", f"fetching {name}"),
            _stage(order.root, name) as stage,
        ):
            if _in_the_way(target):  # another process has finished it in the meantime
                return _unchanged(order, expected)
            return _fetch(order, stage, expected)
    except OSError as error:
        raise UserError(
            f"{name} could not be put together ({error}): free space, or name another --root"
        ) from error


def _fetch(order: Order, stage: Path, expected: list[manifests.Entry] | None) -> Fetched:
    """Collect a set in the stage, check it there, and give it its place."""
    src, target = order.source, order.root / order.source.name
    folder, origin = collect(order, stage)
    order.say(f"{src.name}: reading and checking every file")
    seen = survey(folder, src.layout, progress=order.progress)
    findings = verify(seen, src, expected)
    manifests.write(folder / MANIFEST, manifests.entries_of(seen))
    facts = {"format": _FORMAT, "name": src.name, "origin": origin, "kit_version": __version__}
    facts["fetched"] = datetime.now(UTC).isoformat(timespec="seconds")
    facts["errors"] = sum(finding.level == "error" for finding in findings)
    write_json(folder / PROVENANCE, facts)
    if not (passed(findings) or order.keep_faulty):
        raise _rejected(order, seen, findings)
    folder.rename(target)
    for ending in (".html", ".json"):  # of an earlier try
        _rejected_report(target).with_suffix(ending).unlink(missing_ok=True)
    return Fetched(target, replace(seen, folder=target), findings, True)


def _prepare_origin(order: Order) -> None:
    """Fetch, or check, the set that another one is made from."""
    known = source(str(order.source.made_from))
    origin = order.root / known.name
    if not origin.is_dir() or (origin / PROVENANCE).is_file():
        options = {field.name: getattr(order, field.name) for field in fields(order)[2:]}
        fetch(known.name, order.root, **options)
        return
    order.say(f"{known.name}: checking every file")
    findings = verify(
        survey(origin, known.layout, progress=order.progress), known, manifests.expected(known.name)
    )
    if not (passed(findings) or order.keep_faulty):
        raise UserError(
            f"{origin} has errors, so {order.source.name} is not made from it: see `upcrack data verify {origin}`"
        )


def _unchanged(order: Order, expected: list[manifests.Entry] | None) -> Fetched:
    """Check a set that is there already: against the manifest written when it was fetched, and anew."""
    src, target = order.source, order.root / order.source.name
    if not (target / PROVENANCE).is_file():
        raise UserError(
            f"{target} is there and was not made by this command: move it away, or name another folder with "
            "--root. If it holds the set, `upcrack data verify` checks it as it is"
        )
    seen = survey(target, src.layout, progress=order.progress)
    changes = manifests.compare(manifests.entries_of(seen), manifests.read(target / MANIFEST))
    if changes:
        listed = "\n  ".join(f"{c.path}: {c.kind}, {c.detail}" for c in changes[:20])
        raise UserError(
            f"{target} has changed since it was fetched ({len(changes)} files): "
            f"move it away and fetch again\n  {listed}"
        )
    findings = verify(seen, src, expected)
    if not (passed(findings) or order.keep_faulty):
        raise UserError(
            f"{target} has errors: move it away and fetch it again, or go on with --keep-faulty\n"
            f"{text(seen, findings, src)}"
        )
    return Fetched(target, seen, findings, False)


def _in_the_way(target: Path) -> bool:
    """Return True if something has the name of the set; an empty folder may be replaced."""
    if target.is_dir() and not target.is_symlink():
        return any(target.iterdir())
    return os.path.lexists(target)


def _rejected_report(target: Path) -> Path:
    """Where the report on a set lies that was not put in its place."""
    return target.with_name(f"{target.name}-rejected.html")


def _rejected(order: Order, seen: Survey, findings: list[Finding]) -> UserError:
    """Write the report beside the place of the set, and say that the set was not put there."""
    src, target = order.source, order.root / order.source.name
    page = _rejected_report(target)
    write_json(
        page.with_suffix(".json"), to_json(seen, findings, src, manifests.digest(manifests.entries_of(seen)))
    )
    write_page(page, seen, findings, src)
    return UserError(
        f"{src.name} was read, has errors, and was not put into {target}. --keep-faulty keeps it as it is.\n"
        f"{text(seen, findings, src, page)}"
    )


@contextlib.contextmanager
def _stage(root: Path, name: str) -> Iterator[Path]:
    """A hidden folder to work in, removed at the end. What a killed run left in it goes first: the lock that
    the caller holds says that nobody else is at work there."""
    stage = root / f".{name}.upcrack-part"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)
