"""The report as text, JSON and page: short, complete, safe with any file name, and in need of nothing else."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data import report, thumbnails
from upcrack_lite.data.findings import Finding
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Survey, survey
from upcrack_lite.data.thumbnails import LONG_SIDE, OUTLINE, cards, outlined
from upcrack_lite.errors import UserError

NASTY = "a <script>alert(1)<_script> & \"b\" 'c' {{ 7 * 7 }}"
SOURCE = Source(
    "small", "Small <set>", "plain", "Terms & more.", "None.", counts={"all": 9}, shares={"all": (1.0, 2.5)}
)


def put(folder: Path, name: str, seed: int, size: tuple[int, int] = (300, 200)) -> None:
    """Write a pair: noise with a dark crack, and its mask."""
    rng = np.random.default_rng(seed)
    image = rng.integers(100, 250, (size[1], size[0], 3), dtype=np.uint8)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.line(mask, (0, 20 + seed % 50), (size[0] - 1, size[1] // 2), 255, 3)
    image[mask > 0] = 10
    for kind, pixels, ending in (("image", image, "jpg"), ("mask", mask, "png")):
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{name}.{ending}", quality=95)


@pytest.fixture
def facts(tmp_path) -> Survey:
    """Eight pairs; one name is full of what HTML and templates take for their own."""
    folder = tmp_path / "roads"
    folder.mkdir()
    for number in range(7):
        put(folder, f"p{number}", number)
    put(folder, NASTY, 7)
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
    """The tags of a page with their attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_text_says_the_worst_first(facts):
    text = report.text(facts, FINDINGS, SOURCE)
    lines = text.splitlines()
    assert lines[0].startswith("Small <set>: 2 errors and 1 warning.")
    assert "all: 8 pairs, " in lines[1]
    assert "% crack (known: 1 to 2.5 %), 300×200 pixels" in lines[1]
    places = [
        text.index(word) for word in ("Errors (2)", "cut off", "Warnings (1)", "lies wrong", "Notes (1)")
    ]
    assert places == sorted(places)
    assert "not compared" in report.text(facts, [])
    assert "no error and no warning" in report.text(facts, [FINDINGS[-1]])


def test_the_text_stays_on_a_screen_and_says_what_it_left_out(facts):
    many = [
        Finding(check, level, f"x{number:04d}: " + "wrong " * 30, (f"image/x{number}.jpg",))
        for level in ("error", "warning", "note")
        for check in ("unpaired", "turned", "manifest", "count", "label 3", "gray mask", "duplicate")
        for number in range(50)
    ]
    lines = report.text(facts, many, SOURCE).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines[:-1])) <= 100
    assert "    and 47 more of this kind" in lines
    shown = sum(line.startswith("  - ") for line in lines)
    assert lines[-1].startswith(f"{len(many) - shown} findings are not shown here. To see every finding")
    assert lines[-1].endswith(f"upcrack data report {facts.folder} --out report.html")


def test_json_is_plain_complete_and_the_same_anywhere(facts):
    data = report.to_json(facts, FINDINGS, SOURCE, manifest="ab" * 32)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert list(data) == [
        "format",
        "folder",
        "layout",
        "source",
        "manifest",
        "passed",
        "levels",
        "parts",
        "findings",
    ]
    assert (data["format"], data["folder"], data["source"], data["passed"]) == (1, "roads", "small", False)
    assert data["levels"] == {"error": 2, "warning": 1, "note": 1}
    (part,) = data["parts"]
    assert (part["part"], part["count"], part["known_count"]) == ("all", 8, 9)
    assert part["sizes"] == [[300, 200, 8]]
    assert part["crack_share"] == pytest.approx(np.mean([p.crack_share for p in facts.photos]), abs=1e-4)
    assert [each["message"] for each in data["findings"]] == [each.message for each in FINDINGS]
    assert str(facts.folder) not in json.dumps(data)
    bare = report.to_json(facts, [])
    assert (bare["passed"], bare["source"], bare["parts"][0]["known_range"]) == (True, None, None)


def test_the_page_needs_nothing_else_and_escapes_names(facts, tmp_path):
    path = tmp_path / "report.html"
    report.write_page(path, facts, FINDINGS, SOURCE)
    page = Page(path)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "b"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
    source = path.read_text(encoding="utf-8")
    assert not re.search(
        r"https?:|//[a-z]|url\(|@import", re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", source)
    )
    assert NASTY in page.text
    assert any(NASTY in image["alt"] for image in page.all("img"))
    assert "Small <set>" in page.text
    assert "Terms & more." in page.text
    for finding in FINDINGS:
        assert finding.message in page.text
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    assert [meta for meta in page.all("meta") if meta.get("name") == "viewport"]


def test_every_picture_has_numbers_in_its_alternative_text_and_its_own_bytes(facts, tmp_path):
    path = tmp_path / "report.html"
    report.write_page(path, facts, FINDINGS, SOURCE, thumbnails=3)
    images = Page(path).all("img")
    assert len(images) == 2 * (2 + 3)  # two flagged pairs, three others
    for image in images:
        assert "300×200" in image["alt"] or re.search(r"\d\.\d\d\xa0% crack", image["alt"])
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape == (int(image["height"]), int(image["width"]), 3)
        assert max(pixels.shape) == LONG_SIDE
    report.write_page(path, facts, FINDINGS, SOURCE, thumbnails=0)
    assert "A sample" not in Page(path).text


def test_flagged_pairs_come_first_and_every_finding_gets_a_picture(facts):
    long = Finding("gray mask", "error", "many", tuple(f"mask/p{n}.png" for n in range(6)))
    other = Finding("turned", "warning", "one", ("mask/p6.png",))
    flagged, sample, _ = cards(facts, [long, other], flagged=3, sample=9)
    assert [card.name for card in flagged] == ["p0", "p1", "p6"]
    assert [card.problems for card in flagged][2] == [("warning", "one")]
    assert [card.name for card in sample] == [NASTY]
    _, sample, _ = cards(facts, [], sample=4)
    names = sorted([f"p{n}" for n in range(7)] + [NASTY])
    assert [card.name for card in sample] == [names[0], names[2], names[5], names[7]]


def test_pairs_that_do_not_fit_or_cannot_be_read_are_shown_as_far_as_they_go(facts):
    folder = facts.folder
    (folder / "image" / "p0.jpg").write_bytes(b"no image")
    (folder / "mask" / "p1.png").unlink()
    with Image.open(folder / "mask" / "p2.png") as mask:
        turned = mask.transpose(Image.Transpose.TRANSPOSE)
    turned.save(folder / "mask" / "p2.png")
    with Image.open(folder / "mask" / "p3.png") as mask:
        swapped = mask.point(lambda value: 255 - value)
    swapped.save(folder / "mask" / "p3.png")
    _, found, _ = cards(facts, [], sample=8)
    by_name = {card.name: card for card in found}
    assert "photo cannot be read" in by_name["p0"].unseen
    assert len(by_name["p0"].pictures) == 1
    assert "mask cannot be read" in by_name["p1"].unseen
    assert by_name["p2"].pictures[1].size == (147, LONG_SIDE)
    assert "alone" in by_name["p3"].pictures[1].alt  # its outline would look right


def test_the_outline_is_orange_and_lies_around_the_crack():
    mask = np.zeros((400, 600), bool)
    mask[196:204] = True
    drawn = outlined(np.full((400, 600, 3), 128, np.uint8), mask)
    changed = np.flatnonzero((drawn != 128).any(axis=(1, 2)))
    row = 200 * drawn.shape[0] / 400
    assert abs(changed.mean() + 0.5 - row) < 0.6
    assert len(changed) <= 6
    strongest = drawn[:, 100][np.argmax(np.abs(drawn[:, 100].astype(int) - 128).sum(axis=1))]
    assert np.abs(strongest.astype(int) - OUTLINE).max() < 60
    thin = np.zeros((2000, 3000), bool)
    thin[1000] = True  # one pixel wide, and shrunken to a fourteenth
    assert (outlined(np.full((2000, 3000, 3), 128, np.uint8), thin) != 128).any()


def test_the_page_stays_below_three_megabytes(tmp_path):
    for number in range(64):
        put(tmp_path, f"{number:02d}", number, (240, 240))  # noise, which JPEG can hardly shrink
    facts = survey(tmp_path)
    findings = [Finding("turned", "warning", "look", tuple(p.mask for p in facts.photos[:40]))]
    path = tmp_path / "report.html"
    report.write_page(path, facts, findings)
    assert len(Page(path).all("img")) == 2 * 64
    assert 1.5e6 < path.stat().st_size < 3e6


@pytest.mark.parametrize("wanted", [64, 100_000])
def test_many_thumbnails_do_not_make_the_page_larger(tmp_path, wanted):
    for number in range(360):
        put(tmp_path, f"{number:03d}", number % 7, (240, 240))
    facts = survey(tmp_path)
    findings = [Finding("turned", "warning", "look", tuple(p.mask for p in facts.photos[:40]))]
    path = tmp_path / "report.html"
    report.write_page(path, facts, findings, thumbnails=wanted)
    assert 1.5e6 < path.stat().st_size < 3e6
    pictures, text = len(Page(path).all("img")), " ".join(Page(path).text.split())
    assert pictures == 2 * (40 + min(wanted, 240))
    assert ("80 more were asked for and left out" in text) == (wanted > 64)


def test_pictures_that_do_not_fit_are_left_out(facts, monkeypatch):
    flagged, sample, left_out = cards(facts, FINDINGS)
    assert left_out == 0
    monkeypatch.setattr(thumbnails, "_PAGE", 20_000)
    again = cards(facts, FINDINGS)
    assert len(again[0]) == len(flagged)
    assert 0 < len(again[1]) < len(sample)
    assert len(again[1]) + again[2] == len(sample)
    shown = [picture.address for card in again[0] + again[1] for picture in card.pictures]
    assert sum(map(len, shown)) < 20_000


def test_control_characters_come_as_escapes(facts):
    odd = "a\x1b]0;pwned\x07\x9b31m\u202egpj\rb\nc\td.jpg"
    findings = [Finding("unpaired", "error", f"{odd}: has no mask", (odd,))]
    text = report.text(replace(facts, folder=facts.folder / odd), findings)
    assert text.count(r"a\x1b]0;pwned\x07\x9b31m\u202egpj\rb\nc\td.jpg") == 2
    assert all(line.isprintable() for line in text.split("\n"))
    assert report.text(facts, []).startswith("roads: no error")


def test_long_lists_are_capped_on_the_page(facts, tmp_path):
    path = tmp_path / "report.html"
    many = [Finding("unpaired", "error", f"x{number:04d}: has no mask") for number in range(2000)]
    paths = tuple(f"image/{number:05d}.jpg" for number in range(900))
    report.write_page(path, facts, [*many, Finding("label 3", "note", "many files", paths)], thumbnails=0)
    text = Page(path).text
    assert "and 1960 more of this kind" in text
    assert "900 files" in text
    assert "and 700 more; the JSON report lists all" in text
    assert path.stat().st_size < 1e5


def test_names_in_another_encoding_do_not_stop_the_report(facts, tmp_path):
    odd = "image/stra\udcdfe.jpg"
    findings = [Finding("unpaired", "error", f"{odd}: has no mask", (odd,))]
    report.text(facts, findings).encode("utf-8")
    json.dumps(report.to_json(facts, findings)).encode("utf-8")
    report.write_page(tmp_path / "report.html", facts, findings)
    assert "stra?e.jpg" in Page(tmp_path / "report.html").text


def test_sets_without_photos_or_masks_are_reported(facts, tmp_path):
    empty = replace(facts, photos=[], files=[])
    bare = replace(
        facts,
        layout="crack500_authors",
        photos=[replace(p, part="train", mask=None, mask_size=None, crack_share=None) for p in facts.photos],
    )
    for some, words in ((empty, "roads: no error"), (bare, "train: 8 photos, 300×200 pixels")):
        assert words in report.text(some, [])
        report.to_json(some, [])
        report.write_page(tmp_path / "report.html", some, [])
    with pytest.raises(UserError, match="cannot be written"):
        report.write_page(facts.folder / "image" / "p0.jpg" / "report.html", facts, [])
