"""The registry of compared methods: its order, what it does not import, and that being in it means being tested."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from upcrack_lite.baselines.registry import METHODS, method
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published

GENERAL = Path(__file__).with_name("test_methods.py")


def test_the_printed_methods_come_in_the_papers_order():
    printed = [row for row in published.rows("III") if row.strategy != "proposed"]
    keys = [row.key for row in printed]
    assert [name for name in METHODS if name in keys] == keys
    assert [METHODS[row.key].strategy for row in printed] == [row.strategy for row in printed]


def test_an_unknown_method_is_told_the_names():
    with pytest.raises(UserError, match=r"unknown method 'segnet'; choose deeplabv3plus, .*, riad"):
        method("segnet")


@pytest.mark.slow  # a second Python starts
def test_the_registry_does_not_wait_for_the_library():
    code = (
        "import sys, upcrack_lite.baselines.registry; assert 'segmentation_models_pytorch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow  # a second Python starts
def test_a_method_is_tested_by_being_registered():
    """A copy of a method under another name gets all tests of that method, with no other change."""
    code = f"""
import sys, dataclasses, pytest
from upcrack_lite.baselines import registry
known = registry.METHODS
copies = {{"copy_of_" + name: dataclasses.replace(known[name], name="copy_of_" + name) for name in ("enet", "riad")}}
registry.METHODS = {{**known, **copies}}
sys.exit(pytest.main([{str(GENERAL)!r}, "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]))
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    tests = [tuple(re.split(r"[][-]", line)) for line in run.stdout.splitlines() if "::" in line]
    for name, least in (("enet", 10), ("riad", 11)):
        copied = [tuple(name if part == f"copy_of_{name}" else part for part in one) for one in tests]
        copied = [one for one, given in zip(copied, tests, strict=True) if one != given]
        assert copied == [one for one in tests if name in one]
        assert len(copied) >= least
