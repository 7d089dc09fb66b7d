"""Versions of the numbers: raised by hand when a change of the code moves what a training or a test gives.

A run carries the version that it was trained with, a record both. What is of an older version is stale, and is made
again; a change that moves no number, such as a renamed variable, makes nothing stale. The golden tests
(`tests/test_golden.py`) go red when a number moves: then either mend the change, or raise the version here, write the
golden values anew and make the records again.

A method without a line of its own has the version of `EVERY`. What names no version is of version 1.
"""

from __future__ import annotations

COMMIT = r"[0-9a-f]{7,40}"
"""What a commit is named by, as a regular expression."""

EVERY = "*"

TRAINING: dict[str, int] = {EVERY: 1}
"""By method: what a run learns from given images, values and seed; without training, what is chosen."""

TESTING: dict[str, int] = {EVERY: 1}
"""By method: what a given run marks in given photos, and how it is counted."""

FIRST = 1  # of runs and records that are older than versions


def training_version(method: str) -> int:
    """The version that a training of this method has now."""
    return TRAINING.get(method, TRAINING[EVERY])


def testing_version(method: str) -> int:
    """The version that a test of this method has now."""
    return TESTING.get(method, TESTING[EVERY])
