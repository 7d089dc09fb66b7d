"""The report as text, JSON and page: the worst first, complete, safe with any file name, in need of nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_sets import road, write_pair

from upcrack_lite.data.check import Finding
from upcrack_lite.data.report import text, to_json, write_page
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Survey, survey

NASTY = "a <script>alert(1)<_script> & \"b\" 'c' {{ 7 * 7 }}"
SOURCE = Source(
    "small", "Small <set>", "plain", "Terms & more.", "None.", counts={"all": 9}, shares={"all": (1.0, 2.5)}
)
ODD = "image/stra\udcdfe.jpg"  # in another encoding
FINDINGS = [
    Finding("unreadable", "error", "image/p3.jpg: is cut off or damaged", ("image/p3.jpg",)),
    Finding("unpaired", "error", f"{ODD}: has no mask", (ODD,)),
    Finding("turned", "warning", "lies wrong", (f"image/{NASTY}.jpg", f"mask/{NASTY}.png")),
    Finding("empty mask", "note", "all: 1 mask is empty", ("mask/p0.png",)),
]


@pytest.fixture
def facts(tmp_path) -> Survey:
    """Eight pairs; one name is full of what HTML and templates take for their own, one mask does not fit."""
    folder = tmp_path / "roads"
    for seed, name in enumerate([*(f"p{number}" for number in range(7)), NASTY]):
        write_pair(folder / "image" / f"{name}.jpg", folder / "mask" / f"{name}.png", *road(seed, (300, 200)))
    Image.fromarray(np.zeros((300, 200), np.uint8)).save(folder / "mask" / "p2.png")
    (folder / "image" / "p3.jpg").write_bytes(b"no image")
    return survey(folder)


class Page(HTMLParser):
    """The tags of a page, its text, and the alternative texts of its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags, self.pictures, self.text = set[str](), list[str](), ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.pictures += [dict(attrs)["alt"]] if tag == "img" else []

    def handle_data(self, data):
        self.text += data


def test_the_text_says_the_worst_first_and_cuts_long_lists_off(facts):
    said = text(facts, FINDINGS, SOURCE)
    lines = said.splitlines()
    assert lines[0].startswith("Small <set>: 2 errors and 1 warning.")
    assert re.search(r"all: 8 pairs, .*% crack \(known: 1 to 2.5 %\), 300×200 pixels", lines[1])
    words = ("Errors (2)", "cut off", "stra?e.jpg", "Warnings (1)", "lies wrong", "Notes (1)")
    places = [said.index(word) for word in words]
    assert places == sorted(places)
    assert "not compared" in text(facts, [])
    assert "no error and no warning" in text(facts, [FINDINGS[-1]])
    many = [Finding("unpaired", "error", f"x{number:04d}: " + "wrong " * 30) for number in range(2000)]
    lines = text(facts, many, SOURCE).splitlines()
    assert len(lines) < 20
    assert "    and 1997 more of this kind" in lines[-1]


def test_json_is_plain_complete_and_the_same_anywhere(facts):
    data = to_json(facts, FINDINGS, SOURCE)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    keys = ["format", "folder", "layout", "source", "manifest", "passed", "levels", "parts", "findings"]
    assert list(data) == keys
    assert (data["format"], data["folder"], data["source"], data["passed"]) == (1, "roads", "small", False)
    assert data["levels"] == {"error": 2, "warning": 1, "note": 1}
    (part,) = data["parts"]
    assert (part["part"], part["count"], part["known_count"], part["sizes"]) == ("all", 8, 9, [[300, 200, 7]])
    assert part["crack_share"] == pytest.approx(np.mean([p.crack_share for p in facts.photos]), abs=1e-4)
    assert [each["message"] for each in data["findings"]] == [each.message for each in FINDINGS]
    assert str(facts.folder) not in json.dumps(data)


def test_the_page_needs_nothing_else_and_escapes_names(facts, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, facts, FINDINGS, SOURCE)
    page = Page(path)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "b"})
    bare = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", path.read_text(encoding="utf-8"))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", bare)
    for words in (NASTY, "Small <set>", "Terms & more.", "lies wrong", "stra?e.jpg", "turned"):
        assert words in page.text
    assert len(page.pictures) == 2 * 7  # one photo cannot be read
    assert page.pictures[0] == f"Photo {NASTY}"
    assert "Mask of photo p2" in page.pictures


def test_sets_without_photos_or_masks_are_reported(facts, tmp_path):
    empty = replace(facts, photos=[], files=[])
    undamaged = [replace(p, part="train", mask=None, mask_size=None, crack_share=None) for p in facts.photos]
    bare = replace(facts, layout="crack500_authors", photos=undamaged)
    for some, words in ((empty, "roads: no error"), (bare, "train: 8 photos, 300×200 pixels")):
        assert words in text(some, [])
        write_page(tmp_path / "report.html", some, [])
        assert words in Page(tmp_path / "report.html").text
