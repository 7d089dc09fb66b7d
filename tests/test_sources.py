"""The registry of public sets: complete, consistent, and honest about what no program can fetch."""

from __future__ import annotations

import re

import pytest

from upcrack_lite.data.layouts import LAYOUTS
from upcrack_lite.data.sources import SOURCES, source


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete_and_can_be_had_in_one_way(name):
    known = source(name)
    assert known.name == name
    assert known.title
    assert known.terms.endswith(".")
    assert re.search(r"(20|19)\d\d", known.cite)
    assert known.disk_mb > 0
    splits = LAYOUTS[known.layout]
    parts = {"all"} if len(set(splits.values())) == 1 else set(splits)
    assert set(known.counts) == parts
    assert set(known.shares) <= parts
    assert all(0 < low < high < 100 for low, high in known.shares.values())
    assert known.address or known.made_from or "--" in known.instructions
    assert bool(known.address) == bool(known.archive)
    assert not known.address or (known.address[:8], known.address[-4:]) == ("https://", ".zip")
    if known.made_from:
        origin = source(known.made_from)
        assert (origin.made_from, origin.terms, known.address) == (None, known.terms, "")


def test_proxy_sets_are_never_called_crack500_and_divide_their_origin():
    made = [known for known in SOURCES.values() if known.made_from == "crack500_crops360"]
    assert sorted(known.name for known in made) == ["crack500_heldout", "crack500_kept"]
    assert all("Proxy set" in known.title for known in made)
    assert sum(known.counts["all"] for known in made) == source("crack500_crops360").counts["all"]
