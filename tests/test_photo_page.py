"""The detector in the built book against `upcrack detect`, in a browser. After `make book`: `make site-test`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from site_browser import SHOTS, SITE, visit

from upcrack_lite.data.reading import read_image
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.io import write_image
from upcrack_lite.predict.model import load_model
from upcrack_lite.predict.photos import NO_CONTRAST, contrast, detect_folder

pytestmark = pytest.mark.site

FILES = SITE / "_static/alive"
DIFFER = 0.001
"""Share of pixels in which two masks may differ: the same network, rounded otherwise."""


def opened(page, address):
    page.goto(f"{address}/book/your_photo.html")
    page.wait_for_selector("#photo input[type=file]")
    return page


def looked_at(page, name: str) -> None:
    page.wait_for_function("name => photo.innerText.includes(`${name}, `) && !photo.ariaBusy", arg=name)


def saved_mask(page, path) -> np.ndarray:
    """The mask that the page saves, bool ``(H, W)``."""
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the mask").click()
    saved.value.save_as(path)
    return read_image(path)[..., 0] > 127


def detected(photo, out, **settings) -> tuple[np.ndarray, np.ndarray]:
    """Mask and map, in levels, of `upcrack detect PHOTO OUT`."""
    assert detect_folder(load_model("drawn", settings=settings), photo, out).failed == []
    mask, levels = (read_image(out / f"{kind}/{photo.stem}.png")[..., 0] for kind in ("masks", "maps"))
    return mask > 127, levels


def fresh_road(path, height=487, width=333, **options):
    """A road that is stored nowhere, as a file."""
    road, _ = synthetic_road(500, seed=[21, 2026], **options)
    write_image(path, road[:height, :width])
    return path


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, {}) for name in ("try-0", "try-1", "try-2", "fresh")),
        ("fresh", {"tile": 128, "enlarge_below": 0}),  # the photo goes through in parts
        ("fresh", {"enlarge_below": 640}),  # and is looked at enlarged
    ],
)
def test_the_page_marks_what_upcrack_detect_marks(desktop, address, tmp_path, name, changed):
    page = desktop.page
    photo = fresh_road(tmp_path / "fresh.png") if name == "fresh" else FILES / f"{name}.png"
    how = json.loads((FILES / "photo.json").read_text(encoding="utf-8")) | changed
    page.context.route("**/photo.json", lambda route: route.fulfill(json=how))
    opened(page, address).set_input_files("#photo input[type=file]", photo)
    looked_at(page, photo.name)
    settings = {name: value for name, value in changed.items() if name != "tile"}
    mask, levels = detected(photo, tmp_path / "out", **settings)
    assert 0 < mask.mean() < 0.5
    saved = saved_mask(page, tmp_path / "mask.png")
    assert (saved != mask).mean() <= DIFFER
    seen = np.array(page.evaluate("[...photo.shown.levels]")).reshape(mask.shape)
    assert np.abs(seen - levels).max() <= 2
    assert f"crack fraction {100 * saved.mean():.2f} %" in page.locator("#photo").inner_text()


def test_a_photo_takes_the_place_of_one_that_is_looked_at(desktop, address):
    page = opened(desktop.page, address)
    for name in ("asphalt", "concrete"):
        page.get_by_role("button", name=name).click()
        page.wait_for_selector("#photo[aria-busy=true]")
    looked_at(page, "try-1.png")
    height, width = read_image(FILES / "try-1.png").shape[:2]
    assert page.evaluate("photo.shown.levels.length") == height * width
    assert "try-0" not in page.locator("#photo").inner_text()


def odd_photo(kind: str) -> np.ndarray:
    """uint8 ``(203, 318, 3)``: blank, with noise, unevenly lit, with a scratch that is barely one, a road."""
    rng = np.random.default_rng([21, 7])
    photo = np.full((203, 318, 3), 128.0)
    if kind == "noisy":
        photo += rng.normal(0, 6, photo.shape)
    if kind == "unevenly lit":
        photo += np.linspace(-40, 40, 318)[:, None] + rng.normal(0, 2, photo.shape)
    if kind == "a faint line":
        photo[100:108] -= 12
    if kind == "road":
        return synthetic_road(320, seed=[21, 5])[0][:203, :318]
    return photo.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["blank", "noisy", "unevenly lit", "a faint line", "road"])
def test_a_photo_without_contrast_is_named_as_in_python(desktop, address, tmp_path, kind):
    page, photo = opened(desktop.page, address), odd_photo(kind)
    write_image(tmp_path / "odd.png", photo)
    page.set_input_files("#photo input[type=file]", tmp_path / "odd.png")
    looked_at(page, "odd.png")
    assert page.evaluate("photo.shown.apart") == pytest.approx(contrast(photo), abs=0.01)
    warned = "no contrast: nothing can be found here" in page.locator("#photo [role=status]").inner_text()
    assert warned == (contrast(photo) < NO_CONTRAST)
    assert warned == (kind not in ("a faint line", "road"))


def test_a_turned_jpeg_stands_upright(desktop, address, tmp_path):
    page = desktop.page
    road = Image.fromarray(read_image(fresh_road(tmp_path / "road.png")))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    road.save(tmp_path / "phone.jpg", quality=92, exif=exif)
    opened(page, address).set_input_files("#photo input[type=file]", tmp_path / "phone.jpg")
    looked_at(page, "phone.jpg")
    mask, _ = detected(tmp_path / "phone.jpg", tmp_path / "out")
    assert mask.shape == (333, 487)
    assert (saved_mask(page, tmp_path / "mask.png") != mask).mean() <= 0.005  # two decoders


def test_nothing_is_loaded_before_a_photo_and_nothing_leaves(desktop, address):
    page, sent = opened(desktop.page, address), []
    page.context.on("request", lambda request: sent.append((request.method, request.post_data_buffer)))
    heavy = ("drawn.onnx", ".wasm.gz", ".mjs")
    assert not [url for url in desktop.asked if url.endswith(heavy)]
    page.get_by_role("button", name="asphalt").click()
    looked_at(page, "try-0.png")
    for ending in heavy:
        assert [url for url in desktop.asked if url.endswith(ending)]
    assert len(sent) >= 6
    assert set(sent) == {("GET", None)}
    # The fixture adds: no request to another host.


@pytest.mark.parametrize("screen", ["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_errors_threshold_and_names(browser, address, tmp_path, screen, theme):
    seen = visit(browser, address, screen, color_scheme=theme)
    page = opened(seen.page, address)
    (tmp_path / "no_photo.png").write_text("text", encoding="utf-8")
    page.set_input_files("#photo input[type=file]", tmp_path / "no_photo.png")
    page.wait_for_function("photo.innerText.includes('no_photo.png: it is no photo')")
    page.get_by_role("button", name="concrete").click()
    looked_at(page, "try-1.png")
    before = page.evaluate("photo.shown.fraction")
    page.get_by_role("slider", name="threshold").focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("photo.shown.fraction") < before
    nameless = page.locator("#photo :is(input, button, canvas, progress)").evaluate_all(
        "all => all.filter(e => !(e.labels?.[0]?.innerText || e.ariaLabel || e.innerText).trim()).length"
    )
    assert nameless == 0
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"photo-detected-{theme}-{screen}.png", full_page=True)
    assert (seen.elsewhere, seen.errors, seen.failed) == ([], [], [])
    page.context.close()


def test_without_javascript_a_sentence_names_the_command(browser, address):
    seen = visit(browser, address, "phone", java_script_enabled=False)
    seen.page.goto(f"{address}/book/your_photo.html")
    assert "upcrack detect PHOTOS OUT" in seen.page.locator("noscript").inner_text()
    seen.page.context.close()
