"""The tuner of the built book against the package, in a browser. Run it after `make book`: `make site-test`."""

from __future__ import annotations

import gzip
import json
import re
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
import torch
from site_browser import SITE, visit

from upcrack_lite.baselines.training_free import without_small
from upcrack_lite.detection import above, smooth, threshold_of
from upcrack_lite.io import read_settings
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.predict.model import at_test, load_model

pytestmark = pytest.mark.site

FILES = SITE / "_static/alive"
MOST = {5: 100, 25: 100, 35: 400}
"""Milliseconds from a move of d to the new picture: as fast as a hand, and with a busy sign beyond 25 px."""


@pytest.fixture
def exact():
    """OpenCV without Intel's library, whose filter rounds otherwise."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(before)


def recorded(number: int) -> dict[str, np.ndarray]:
    """The arrays of a road as the page loads them."""
    shapes = json.loads((FILES / "roads.json").read_text(encoding="utf-8"))["arrays"]
    data, arrays = gzip.decompress((FILES / f"road-{number}.bin").read_bytes()), {}
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        arrays[name], data = np.frombuffer(bytearray(data[:size]), np.uint8).reshape(shape), data[size:]
    assert not data
    return arrays


def settled(page) -> None:
    page.wait_for_function("document.querySelector('#tuner').dataset.settled === 'true'")


def shown(page) -> tuple[np.ndarray, float, np.ndarray]:
    """Smoothed map, threshold and mask as the page has them."""
    got = page.evaluate(
        "(({smoothed, threshold, mask}) => [[...smoothed], threshold, [...mask]])(tuner.shown)"
    )
    return np.array(got[0], np.uint8).reshape(256, 256), got[1], np.array(got[2], bool).reshape(256, 256)


def drawn_at_random(case: int) -> dict[str, str | float]:
    """Settings as a link carries them."""
    rng = np.random.default_rng([21, case])
    rule = ("otsu", "otsu_factor", "fixed", "percentile")[case % 4]
    return {
        "detector": ("upcracknet", "upcracknet", "drawn")[case % 3],
        "road": case % 6,
        "variant": str(rng.choice(["absolute", "gray", "signed", "released"])),
        "filter": "none" if case == 7 else "bilateral",
        "d": int(rng.integers(1, 36)),
        "sigmaColor": int(rng.integers(1, 301)),
        "sigmaSpace": int(rng.integers(1, 101)) / 2,
        "rule": rule,
        "otsu_factor": int(rng.integers(10, 50)) / 20,
        "fixed": int(rng.integers(10, 200)) / 500,
        "percentile": int(rng.integers(320, 400)) / 4,
        "floor": int(rng.choice([0, 10])) * 0.005,
        "area": int(rng.choice([0, 5, 20])) * 0.02,
    }


@pytest.mark.parametrize("case", range(12))
def test_the_page_marks_what_python_marks(desktop, address, exact, case):
    chosen, page = drawn_at_random(case), desktop.page
    page.goto(f"{address}/book/tuner.html#{urlencode(chosen)}")
    settled(page)
    smoothed, threshold, mask = shown(page)
    arrays = recorded(chosen["road"])
    raw = arrays["drawn" if chosen["detector"] == "drawn" else chosen["variant"]]
    wanted = smooth(
        torch.from_numpy(raw)[None, None].float() / 255,
        chosen["d"],
        chosen["sigmaColor"],
        chosen["sigmaSpace"],
        chosen["filter"],
    )
    levels = (wanted[0, 0] * 255).round().numpy()
    assert np.abs(levels - smoothed).max() <= 1
    value = chosen.get(chosen["rule"], 1.0)
    thresholds = threshold_of(wanted, chosen["rule"], value, chosen["floor"])
    assert threshold == pytest.approx(float(thresholds[0]), abs=1.01 / 255)
    crack_mask = without_small(above(wanted, thresholds)[0, 0].numpy(), chosen["area"] / 100)
    assert (crack_mask != mask).mean() <= 0.001
    confusion = Confusion.of(mask, arrays["truth"] > 0)
    metrics = ("–" if np.isnan(v) else f"{v:.1f} %" for v in (getattr(confusion, name) for name in METRICS))
    assert page.locator(".alive-scores tr:nth-child(2) td").all_inner_texts()[1:] == list(metrics)


@pytest.mark.parametrize("case", [0, 4, 5])  # road 5 has no crack
def test_the_curve_is_that_of_python_and_a_press_on_it_sets_the_threshold(desktop, address, case):
    chosen, page = drawn_at_random(case) | {"area": 0}, desktop.page
    page.goto(f"{address}/book/tuner.html#{urlencode(chosen)}")
    settled(page)
    smoothed, _, _ = shown(page)
    truth = recorded(case)["truth"] > 0
    line = page.evaluate("tuner.shown.line")
    for level in np.random.default_rng([21, case]).integers(0, smoothed.max() + 1, 12):
        confusion = Confusion.of(smoothed > level, truth)
        wanted = [getattr(confusion, name) for name in METRICS]
        got = [np.nan if value is None else value for value in line[level].values()]
        assert got == pytest.approx(wanted, nan_ok=True)
    curve = page.locator(".alive-chart").nth(1)
    before = curve.locator("svg").get_attribute("aria-label")
    if case == 5:
        assert "undefined" in before
        return
    box = curve.bounding_box()
    curve.click(position={"x": box["width"] * (40 + 0.5 * 344) / 400, "y": box["height"] / 2})  # recall 50 %
    page.wait_for_function("location.hash.includes('rule=fixed')")
    _, threshold, mask = shown(page)
    nearest = min((one["recall"] for one in line), key=lambda recall: abs(recall - 50))
    assert 100 * (mask & truth).sum() / truth.sum() == pytest.approx(nearest)
    place = curve.locator("text", has_text="●")
    at = [float(place.get_attribute(axis)) for axis in "xy"]
    move(page, "level", round(threshold, 3) + 0.02)
    moved = [float(place.get_attribute(axis)) for axis in "xy"]
    assert moved[0] < at[0]
    assert moved != at
    assert curve.locator("svg").get_attribute("aria-label") != before


def test_the_marks_are_what_the_settings_find(desktop, address, exact):
    page = desktop.page
    page.goto(f"{address}/book/tuner.html#road=4")
    settled(page)
    arrays, model = recorded(4), load_model("upcracknet")
    by_paper = model.find(arrays["photo"], "tables")
    otsu = smooth(torch.from_numpy(arrays["absolute"])[None, None].float() / 255)
    masks = {
        "▲ Otsu here": above(otsu, threshold_of(otsu))[0, 0].numpy(),
        "■ paper's settings": by_paper.smoothed > by_paper.threshold,
        "✚ drawn detector": arrays["drawn"] > 127,
    }
    rows = page.locator(".alive-scores tr").evaluate_all(
        "all => all.map(r => [...r.cells].map(c => c.innerText))"
    )
    for name, mask in masks.items():
        confusion = Confusion.of(mask, arrays["truth"] > 0)
        assert [name, *(f"{getattr(confusion, m):.1f} %" for m in METRICS)] in rows
    f1 = {row[0][0]: float(row[4].split()[0]) for row in rows[1:]}
    assert f1["◆"] > f1["■"]  # chapter 14's own claim


def move(page, name: str, value: float) -> int:
    """Move a slider, and return after how many milliseconds its picture was there."""
    before = page.evaluate("tuner.dataset.answers")
    page.get_by_role("slider", name=name, exact=True).fill(str(value))
    page.wait_for_function("before => tuner.dataset.answers !== before", arg=before)
    return int(page.evaluate("tuner.dataset.milliseconds"))


@pytest.mark.parametrize("d", MOST)
def test_a_slider_is_followed_at_once(desktop, address, d):
    page = desktop.page
    page.goto(f"{address}/book/tuner.html#d={d}")
    settled(page)
    taken = [move(page, "σ space", 10 + turn) for turn in range(12)]  # never a filter that is there already
    assert min(taken) <= MOST[d], taken  # other programs may have taken the rest


def test_a_slow_answer_shows_a_busy_sign_and_only_the_last_wish_counts(desktop, address):
    page = desktop.page

    def slow(route):
        body = (FILES / "tuner_worker.js").read_text(encoding="utf-8")
        wait = "({ data }) => {\n  const until = Date.now() + 400;\n  while (Date.now() < until);"
        route.fulfill(body=body.replace("({ data }) => {", wait, 1), content_type="text/javascript")

    page.context.route("**/tuner_worker.js", slow)
    page.goto(f"{address}/book/tuner.html")
    settled(page)
    before = int(page.evaluate("tuner.dataset.answers"))
    for d in (5, 6, 7, 8, 9, 10):
        page.get_by_role("slider", name="d", exact=True).fill(str(d))
    page.wait_for_selector("#tuner[aria-busy=true]")
    page.wait_for_function("location.hash.includes('d=10')")
    assert page.locator("#tuner[aria-busy=true]").count() == 0
    assert int(page.evaluate("tuner.dataset.answers")) - before <= 3


def test_keyboard_names_and_the_link(desktop, address):
    page = desktop.page
    page.goto(f"{address}/book/tuner.html")
    settled(page)
    nameless = page.locator("#tuner :is(input, select, button, canvas, svg)").evaluate_all(
        "all => all.filter(e => !(e.labels?.[0]?.innerText || e.ariaLabel || e.innerText).trim()).length"
    )
    assert nameless == 0
    page.get_by_role("combobox", name="threshold").select_option("percentile")
    page.get_by_role("slider", name="percentile").focus()
    before = page.locator(".alive-scores").inner_text()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('percentile=96.5')")
    assert page.locator(".alive-scores").inner_text() != before
    _, threshold, mask = shown(page)
    other = page.context.new_page()
    other.goto(page.url)
    settled(other)
    assert shown(other)[1] == threshold
    assert np.array_equal(shown(other)[2], mask)


@pytest.mark.parametrize("detector", ["upcracknet", "drawn"])
@pytest.mark.parametrize("filter", ["bilateral", "none"])
def test_saved_settings_give_the_same_mask_in_python(desktop, address, exact, tmp_path, detector, filter):
    page, model = desktop.page, load_model(detector)
    chosen = {"detector": detector, "road": 4, "filter": filter, "d": 7, "rule": "otsu_factor"}
    page.goto(f"{address}/book/tuner.html#{urlencode(chosen)}")
    settled(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save settings.yaml").click()
    saved.value.save_as(tmp_path / "settings.yaml")
    settings = read_settings(tmp_path / "settings.yaml")
    preset = at_test(model.preset, settings, model.method)
    model = load_model(detector, settings=settings)
    raw = recorded(4)["drawn" if detector == "drawn" else preset.error_variant]
    smoothed, thresholds = model.smooth_and_threshold(torch.from_numpy(raw)[None, None].float() / 255)
    assert (above(smoothed, thresholds)[0, 0].numpy() != shown(page)[2]).mean() <= 0.001


def test_without_javascript_a_picture_and_a_sentence(browser, address):
    seen = visit(browser, address, "phone", java_script_enabled=False)
    seen.page.goto(f"{address}/book/tuner.html")
    assert "With JavaScript, sliders stand here" in seen.page.locator("article").inner_text()
    picture = seen.page.locator("article img")
    assert picture.is_visible()
    assert re.search(r"Otsu: \d+ %", picture.get_attribute("alt"))
    assert not [url for url in seen.asked if url.endswith((".bin", ".json"))]
    seen.page.context.close()


def test_other_pages_load_none_of_it(desktop, address):
    desktop.page.goto(f"{address}/book/intro.html")
    desktop.page.wait_for_load_state("networkidle")
    assert desktop.asked
    assert not [url for url in desktop.asked if "/alive/" in url]
