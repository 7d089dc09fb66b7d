"""What several tests share."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]

matplotlib.use("agg")  # no window, whatever the machine has
for folder in ("workflow", "benchmarks"):  # their scripts are no package; the tests import them by name
    sys.path.insert(0, str(ROOT / folder))


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder with real photos; a test that needs it is skipped, and says so, where there is none."""
    folder = os.environ.get("UPCRACK_MIRROR")
    if not folder:
        pytest.skip(
            "NOT TESTED on real photos: set UPCRACK_MIRROR to the folder that holds deepcrack/ and cfd/"
        )
    if not Path(folder).is_dir():
        pytest.fail(f"UPCRACK_MIRROR is set to {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture
def upcrack():
    """Run the command line in this process; returns the exit status."""
    from upcrack_lite import cli

    def call(*words: object) -> int:
        with pytest.raises(SystemExit) as stop:
            cli.run(list(map(str, words)))
        return stop.value.code or 0

    return call


@pytest.fixture
def small_sources(monkeypatch):
    """The known sets with the counts of `small_sets`, without packaged manifests or a mirror from outside."""
    from small_sets import PLAN

    from upcrack_lite.data import manifest
    from upcrack_lite.data.sources import SOURCES

    monkeypatch.delenv("UPCRACK_MIRROR", raising=False)
    for name, plan in PLAN.items():
        counts = {split: count for split, (_, _, count) in plan.items()}
        changed = replace(SOURCES[name], counts=counts, shares={}, sizes=frozenset(), disk_mb=1)
        monkeypatch.setitem(SOURCES, name, changed)
    monkeypatch.setattr(manifest, "packaged", lambda name: None)


@pytest.fixture
def small_mirror(small_sources, tmp_path) -> Path:
    """A mirror that holds a small DeepCrack."""
    from small_sets import make

    make(tmp_path / "mirror" / "deepcrack", "deepcrack")
    return tmp_path / "mirror"


@pytest.fixture(scope="session")
def address():
    """The address of the built book."""
    from site_browser import served  # here: it imports playwright, which few tests need

    with served() as at:
        yield at


@pytest.fixture(scope="session")
def browser():
    """A browser for the built book."""
    from site_browser import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture
def desktop(browser, address):
    """A page as on a desk; afterwards it must have asked no one else and raised nothing."""
    from site_browser import visit

    seen = visit(browser, address, "desktop")
    yield seen
    assert (seen.elsewhere, seen.errors, seen.failed) == ([], [], [])
    seen.page.context.close()
