"""The report of a detection: what matters first, complete, safe with any file name, in need of nothing else."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.errors import UserError
from upcrack_lite.images import COLORS
from upcrack_lite.io import write_image, write_json
from upcrack_lite.predict import report
from upcrack_lite.predict.measures import measure

NASTY = "a <script>alert(1)<_script> & \"b\" 'c' {{ 7 * 7 }} #1%"
BLANK = "no contrast: nothing can be found here"


class Page(HTMLParser):
    """A page's links, pictures, ids, text, and the values of its table by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.pictures, self.ids, self.rows, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            self.pictures.append((attrs["src"], attrs["alt"]))
        if tag == "tr":
            self.rows.append([])
        if "data-value" in attrs:
            self.rows[-1].append(attrs["data-value"])

    def handle_data(self, data):
        self.text += data


def detection(tmp_path: Path) -> Path:
    """What a detection leaves: six photos, one without contrast, one of a wild name; a seventh failed."""
    rows = []
    for seed, name in enumerate(["p0", "p1", "p2", "p3", "blank", NASTY]):
        road, mask = synthetic_road(64, seed=seed, crack=True)
        write_image(tmp_path / "photos" / f"{name}.png", road)
        write_image(tmp_path / "out/masks" / f"{name}.png", mask.astype(np.uint8) * 255)
        write_image(tmp_path / "out/overlays" / f"{name}.jpg", 255 - road)
        row = {"name": name, "photo": str(tmp_path / "photos" / f"{name}.png"), "height": 64, "width": 64}
        row |= {"from_elsewhere": seed / 8, "warning": BLANK if name == "blank" else ""}
        rows.append(row | measure(mask, 0.5))
    facts = {"status": "finished", "model": "drawn", "preset": {"size": 160}, "source": "photos/road <7>"}
    write_json(tmp_path / "out/detection.json", facts | {"photos": rows, "failed": ["p9.jpg: is cut <off>"]})
    return tmp_path / "out"


@pytest.fixture
def out(tmp_path):
    return detection(tmp_path)


def written(out) -> Page:
    return Page(report.write_report(out).read_text(encoding="utf-8"))


def test_the_page_is_complete_and_says_first_what_needs_a_look(out):
    page = written(out)
    rows = json.loads((out / "detection.json").read_text())["photos"]
    sound = [row for row in rows if not row["warning"]]
    fractions = [row["crack_fraction_percent"] for row in sound]
    assert f"median {np.median(fractions):.2f} %, most {max(fractions):.2f} %" in page.text
    assert f"{sum(row['length_mm'] for row in sound):,.0f} mm in all" in page.text
    order = [
        "6 photos, and 1 more",
        "No contrast",
        "p9.jpg: is cut <off>",
        "Length (px)",
        "Model and settings",
    ]
    places = [page.text.index(part) for part in order]
    assert places == sorted(places)
    assert "preset.size" in page.text
    table = [row for row in page.rows if row]
    known = ["name", "crack_fraction_percent", "length_mm", "mean_width_mm", "max_width_mm", "length_px"]
    known += ["mean_width_px", "max_width_px", "components", "warning", "from_elsewhere"]
    assert table == [[str(row[key]) for key in known] for row in rows]


def test_the_page_needs_nothing_else_and_takes_no_file_name_for_code(out):
    page = written(out)
    assert NASTY in page.text
    assert sum(NASTY in alt for _, alt in page.pictures) == 2
    assert "<script>alert" not in (out / "report.html").read_text()
    assert all(address.startswith("data:image/jpeg;base64,") for address, _ in page.pictures)
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links)
    assert len(page.pictures) == 2 * 6
    assert not re.search(r"https?:|@import|url\(", (out / "report.html").read_text())


def decoded(address: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB).astype(int)


def test_pictures_show_the_outline_and_without_the_photo_the_overlay_or_the_mask(out):
    row = json.loads((out / "detection.json").read_text())["photos"][0]
    picture = decoded(written(out).pictures[0][0])
    assert (np.abs(picture - COLORS["detected"]).max(axis=2) < 60).mean() > 0.01
    (out.parent / "photos/p0.png").unlink()
    road = cv2.imread(str(out / "overlays/p0.jpg"), cv2.IMREAD_COLOR_RGB)
    assert np.abs(decoded(written(out).pictures[0][0]) - road).mean() < 12
    (out / "overlays/p0.jpg").unlink()
    share = (decoded(written(out).pictures[0][0]) > 127).mean()
    assert 100 * share == pytest.approx(row["crack_fraction_percent"], abs=1)


def test_a_page_that_would_be_too_large_links_to_the_overlays(out, monkeypatch):
    monkeypatch.setattr(report, "PAGE_BYTES", 15_000)
    page = written(out)
    assert "overlays/, beside this page" in page.text
    assert len(page.pictures) == 6
    assert "overlays/a%20%3Cscript%3Ealert%281%29%3C_script%3E%20%26%20%22b%22%20%27c%27%20%7B%7B%207%20%2A%207%20%7D%7D%20%231%25.jpg" in page.links  # fmt: skip  # noqa: E501
    monkeypatch.setattr(report, "PAGE_BYTES", 10)
    assert len(written(out).pictures) == 1


def test_nothing_done_and_no_detection(out, tmp_path):
    facts = json.loads((out / "detection.json").read_text())
    write_json(out / "detection.json", facts | {"photos": [], "status": "running"})
    text = written(out).text
    assert "0 photos, and 1 more" in text
    assert "was stopped" in text
    for damage in ("{", "[]", '{"photos": [{}]}'):
        (out / "detection.json").write_text(damage)
        with pytest.raises(UserError, match="upcrack detect"):
            report.write_report(out)
    with pytest.raises(UserError, match="there is no such detection"):
        report.write_report(tmp_path)
