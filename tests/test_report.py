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
from upcrack_lite.errors import UserError

NASTY = "a <script>alert(1)<_script> & \"b\" 'c' {{ 7 * 7 }}"
SOURCE = Source(
    "small", "Small <set>", "plain", "Terms & more.", "None.", counts={"all": 9}, shares={"all": (1.0, 2.5)}
)


@pytest.fixture
def facts(tmp_path) -> Survey:
    """Eight pairs; one name is full of what HTML and templates take for their own."""
    folder = tmp_path / "roads"
    for seed, name in enumerate([*(f"p{number}" for number in range(7)), NASTY]):
        write_pair(folder / "image" / f"{name}.jpg", folder / "mask" / f"{name}.png", *road(seed, (300, 200)))
    return survey(folder)


FINDINGS = [
    Finding("unreadable", "error", "image/p3.jpg: is cut off or damaged", ("image/p3.jpg",)),
    Finding("count", "error", "all: 8 pairs, but 9 are known"),
    Finding(
        "turned", "warning", f"mask/{NASTY}.png: lies wrong", (f"image/{NASTY}.jpg", f"mask/{NASTY}.png")
    ),
    Finding("empty mask", "note", "all: 1 mask is empty", ("mask/p0.png",)),
]


class Page(HTMLParser):
    """The tags of a page, its text, and the alternative texts of its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.pictures: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["alt"])

    def handle_data(self, data):
        self.text += data


def test_the_text_says_the_worst_first(facts):
    said = text(facts, FINDINGS, SOURCE)
    lines = said.splitlines()
    assert lines[0].startswith("Small <set>: 2 errors and 1 warning.")
    assert "all: 8 pairs, " in lines[1]
    assert "% crack (known: 1 to 2.5 %), 300×200 pixels" in lines[1]
    words = ("Errors (2)", "cut off", "Warnings (1)", "lies wrong", "Notes (1)")
    places = [said.index(word) for word in words]
    assert places == sorted(places)
    assert "not compared" in text(facts, [])
    assert "no error and no warning" in text(facts, [FINDINGS[-1]])


def test_long_lists_are_cut_off_and_say_so(facts, tmp_path):
    many = [Finding("unpaired", "error", f"x{number:04d}: " + "wrong " * 30) for number in range(2000)]
    lines = text(facts, many, SOURCE).splitlines()
    assert len(lines) < 20
    assert "    and 1997 more of this kind" in lines
    assert lines[-1].endswith(f"upcrack data report {facts.folder} --out report.html")
    write_page(tmp_path / "report.html", facts, many, thumbnails=0)
    assert "1960 more; the JSON report lists all" in Page(tmp_path / "report.html").text


def test_json_is_plain_complete_and_the_same_anywhere(facts):
    data = to_json(facts, FINDINGS, SOURCE)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    keys = ["format", "folder", "layout", "source", "manifest", "passed", "levels", "parts", "findings"]
    assert list(data) == keys
    assert (data["format"], data["folder"], data["source"], data["passed"]) == (1, "roads", "small", False)
    assert data["levels"] == {"error": 2, "warning": 1, "note": 1}
    (part,) = data["parts"]
    assert (part["part"], part["count"], part["known_count"]) == ("all", 8, 9)
    assert part["sizes"] == [[300, 200, 8]]
    assert part["crack_share"] == pytest.approx(np.mean([p.crack_share for p in facts.photos]), abs=1e-4)
    assert list(data["findings"][0]) == ["check", "level", "message", "paths"]
    assert [each["message"] for each in data["findings"]] == [each.message for each in FINDINGS]
    assert str(facts.folder) not in json.dumps(data)


def test_the_page_needs_nothing_else_and_escapes_names(facts, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, facts, FINDINGS, SOURCE, thumbnails=3)
    page = Page(path)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "b"})
    source = path.read_text(encoding="utf-8")
    bare = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", source)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", bare)
    for words in (NASTY, "Small <set>", "Terms & more.", *(finding.message for finding in FINDINGS)):
        assert words in page.text
    assert len(page.pictures) == 2 * (2 + 3)  # two pairs with errors or warnings, three others
    assert any(NASTY in alt for alt in page.pictures)
    assert all("300×200" in alt or "% crack" in alt for alt in page.pictures)


def test_pairs_that_do_not_fit_or_cannot_be_read_are_shown_as_far_as_they_go(facts, tmp_path):
    folder, path = facts.folder, tmp_path / "report.html"
    (folder / "image" / "p0.jpg").write_bytes(b"no image")
    (folder / "mask" / "p1.png").unlink()
    Image.fromarray(np.zeros((300, 200), np.uint8)).save(folder / "mask" / "p2.png")
    write_page(path, facts, [])
    alternatives = Page(path).pictures
    assert sum("p0" in alt for alt in alternatives) == 0
    assert sum("p1" in alt for alt in alternatives) == 1
    assert any("Mask of p2 alone, 200×300 pixels" in alt for alt in alternatives)


def test_names_in_another_encoding_do_not_stop_the_report(facts, tmp_path):
    odd = "image/stra\udcdfe.jpg"
    findings = [Finding("unpaired", "error", f"{odd}: has no mask", (odd,))]
    text(facts, findings).encode("utf-8")
    json.dumps(to_json(facts, findings)).encode("utf-8")
    write_page(tmp_path / "report.html", facts, findings)
    assert "stra?e.jpg" in Page(tmp_path / "report.html").text


def test_sets_without_photos_or_masks_are_reported(facts, tmp_path):
    empty = replace(facts, photos=[], files=[])
    undamaged = [replace(p, part="train", mask=None, mask_size=None, crack_share=None) for p in facts.photos]
    bare = replace(facts, layout="crack500_authors", photos=undamaged)
    for some, words in ((empty, "roads: no error"), (bare, "train: 8 photos, 300×200 pixels")):
        assert words in text(some, [])
        to_json(some, [])
        write_page(tmp_path / "report.html", some, [])
    with pytest.raises(UserError, match="cannot be written"):
        write_page(facts.folder / "image" / "p0.jpg" / "report.html", facts, [])
