"""What several tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]

matplotlib.use("agg")  # no window, whatever the machine has
sys.path.insert(0, str(ROOT / "workflow"))  # its scripts are no package; the tests import them by name


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
