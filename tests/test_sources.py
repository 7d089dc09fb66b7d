"""The registry of public sets: complete, consistent, and honest about what no program can fetch."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from upcrack_lite.data.layouts import LAYOUTS
from upcrack_lite.data.sources import SOURCES, source
from upcrack_lite.errors import UserError


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete(name):
    found = source(name)
    assert found.name == name
    assert found.layout in LAYOUTS
    assert found.title
    assert re.search(r"(20|19)\d\d", found.cite)
    assert found.terms.endswith(".")
    assert found.disk_mb > 0
    splits = LAYOUTS[found.layout]
    parts = {"all"} if len(set(splits.values())) == 1 else set(splits)
    assert set(found.counts) == parts
    assert set(found.shares) <= parts
    assert all(0 < low < high < 100 for low, high in found.shares.values())
    assert all(width > 0 and height > 0 for width, height in found.sizes)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_can_be_had_in_one_way(name):
    found = source(name)
    ways = [bool(found.addresses), found.made_from is not None, "--" in found.instructions]
    assert any(ways), "no address, no set to make it from, and no steps"
    assert bool(found.addresses) == bool(found.archive)
    for address in found.addresses:
        parts = urlsplit(address)
        assert parts.scheme == "https"
        assert parts.path.endswith(".zip")
    if found.made_from:
        assert source(found.made_from).made_from is None
        assert source(found.made_from).terms == found.terms
        assert not found.addresses


def test_no_checksum_is_claimed_for_an_archive_that_publishes_none():
    assert [found.name for found in SOURCES.values() if found.archive_sha256] == []


def test_a_set_behind_a_browser_page_says_what_to_do():
    found = source("crack500")
    assert not found.addresses
    for part in ("drive.google.com", "jviq", "traincrop.zip", "--from FOLDER"):
        assert part in found.instructions


def test_proxy_sets_are_never_called_crack500():
    made = [found for found in SOURCES.values() if found.made_from == "crack500_crops360"]
    assert sorted(found.name for found in made) == ["crack500_heldout", "crack500_kept"]
    assert all("Proxy set" in found.title for found in made)
    whole = source("crack500_crops360").counts["all"]
    assert sum(found.counts["all"] for found in made) == whole


def test_label_3_taken_for_crack_lies_outside_the_known_range_of_cfd():
    low, high = source("cfd").shares["all"]
    assert low < 1.62 < high < 2.29


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UserError, match=r"unknown data set 'deepcrak'; choose deepcrack, cfd, crack500, "):
        source("deepcrak")
