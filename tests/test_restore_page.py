"""UP-CrackNet in the built book against `restore`, in a browser. After `make book`: `make site-test`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from site_browser import SHOTS, visit
from test_tuner_page import recorded

from upcrack_lite import masks
from upcrack_lite.generator import restore
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.pretrained import load_generator, stored_run

pytestmark = pytest.mark.site

FILLS = {"black": -1.0, "mean color": "mean", "white": 1.0, "mid-gray": 128 / 127.5 - 1}
HEAVY = ("upcracknet.onnx", ".wasm.gz", ".mjs")


def opened(page, address):
    """The page with the network loaded and the first restoration shown."""
    page.goto(f"{address}/book/restore.html")
    page.get_by_role("button", name="Load the network").click()
    settled(page)
    return page


def settled(page) -> None:
    page.wait_for_function("restore.dataset.settled === 'true'")


def shown(page, name: str) -> np.ndarray:
    """What the page has under a name, as ``(S, S)`` or ``(S, S, 3)``."""
    values = np.array(page.evaluate(f"[...restore.shown.{name}]"))
    return values.reshape(128, 128, 3) if values.size == 3 * 128**2 else values.reshape(128, 128)


def hole(page) -> tuple[int, int, int]:
    """Left end, upper end and side of the hole."""
    rows, columns = np.nonzero(shown(page, "inside"))
    return columns.min(), rows.min(), len(set(rows))


@pytest.mark.parametrize(("fill", "own"), [(fill, case % 2) for case, fill in enumerate(FILLS)])
def test_the_page_restores_what_python_restores(desktop, address, fill, own):
    page = opened(desktop.page, address)
    page.get_by_role("combobox", name="road").select_option(str(1 + own))
    page.get_by_role("combobox", name="hole color").select_option(fill)
    page.get_by_role("combobox", name="statistics").select_option(str(own))
    page.get_by_role("slider", name="hole").fill("44")
    settled(page)
    road = to_tensor(recorded(1 + own)["small"])
    kept = torch.from_numpy(1 - shown(page, "inside"))[None, None].float()
    assert 1 - kept.mean() == pytest.approx((44 / 128) ** 2)
    given = to_uint8(masks.apply(road, kept, FILLS[fill]))[0]
    assert np.abs(given - shown(page, "given")).max() <= 1
    generator, _ = load_generator(stored_run())
    image = to_tensor(shown(page, "given").astype(np.uint8))
    wanted = to_uint8(restore(generator, image, ("running", "batch")[own], dropout=False))[0]
    assert np.abs(wanted.astype(int) - shown(page, "levels")).max() <= 1


@pytest.mark.parametrize("name", ["restore", "tuner"])
def test_a_road_that_comes_late_does_not_replace_the_one_chosen_after_it(desktop, address, name):
    page, held = desktop.page, []
    for number in (0, 1):
        page.route(f"**/road-{number}.bin", lambda route: held.append(route))
    with page.expect_request("**/road-0.bin"):
        page.goto(f"{address}/book/{name}.html")
    assert not page.get_by_role("button", name="Load the network").count(), "there is nothing to restore yet"
    with page.expect_response("**/road-0.bin"):
        held.pop().continue_()
    road, picture = page.get_by_role("combobox", name="road"), page.locator(f"#{name} canvas").first
    drawn = (
        "([canvas, before]) => canvas.width !== 300 && canvas.toDataURL() !== before && canvas.toDataURL()"
    )
    first = page.wait_for_function(drawn, arg=[picture.element_handle(), ""]).json_value()
    road.select_option("1")
    road.select_option("2")
    chosen = page.wait_for_function(drawn, arg=[picture.element_handle(), first]).json_value()
    with page.expect_response("**/road-1.bin"):
        held.pop().continue_()
    page.wait_for_timeout(500)
    assert picture.evaluate("canvas => canvas.toDataURL()") == chosen


def test_the_network_does_what_the_page_says():
    """Running statistics fill black with road, and copy white and gray; batch statistics do not fill black."""
    generator, _ = load_generator(stored_run())
    road = to_tensor(recorded(5)["small"])
    kept = torch.ones(1, 1, 128, 128)
    kept[..., 48:80, 48:80] = 0

    def in_hole(fill: float, statistics: str) -> tuple[float, float]:
        """Mean distance, gray levels, of what is restored in the hole from the road, and from the hole's color."""
        restored = restore(generator, masks.apply(road, kept, fill), statistics, dropout=False)[
            ..., 48:80, 48:80
        ]
        inside = road[..., 48:80, 48:80]
        return 127.5 * (restored - inside).abs().mean().item(), 127.5 * (restored - fill).abs().mean().item()

    assert in_hole(-1.0, "running")[0] < 20
    assert in_hole(1.0, "running")[1] < 30
    assert in_hole(0.0, "running")[1] < 10
    assert in_hole(-1.0, "batch")[0] > 60


@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_a_hole_moves_and_a_crack_is_drawn_by_mouse_touch_and_keys(browser, address, screen):
    seen = visit(browser, address, screen, has_touch=screen == "phone", color_scheme="dark")
    page = seen.page
    page.goto(f"{address}/book/restore.html")
    page.wait_for_selector("#restore canvas")
    page.wait_for_load_state("networkidle")
    assert not [url for url in seen.asked if url.endswith(HEAVY)], "nothing is loaded before it is wanted"
    opened(page, address)
    assert hole(page) == (48, 48, 32)
    pad = page.locator("#restore canvas").first
    pad.scroll_into_view_if_needed()
    side = pad.bounding_box()["width"]
    if screen == "phone":
        pad.tap(position={"x": side / 4, "y": side / 4})
    else:
        pad.drag_to(pad, source_position={"x": 9, "y": 9}, target_position={"x": side / 4, "y": side / 4})
    settled(page)
    assert hole(page) == pytest.approx((16, 16, 32), abs=1)
    at = hole(page)
    pad.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    settled(page)
    assert hole(page) == (at[0] + 6, at[1] + 3, 32)
    assert not shown(page, "opacity").any()
    page.get_by_role("combobox", name="dragging").select_option("pen")
    pad.focus()
    pad.drag_to(
        pad,
        source_position={"x": side / 4, "y": side * 0.8},
        target_position={"x": side * 0.8, "y": side * 0.8},
    )
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowUp")
    settled(page)
    crack = shown(page, "opacity") > 0.5
    assert crack.any(axis=0).sum() == pytest.approx(0.55 * 128, abs=4)
    assert np.nonzero(crack)[0].mean() == pytest.approx(0.8 * 128, abs=4)
    change = [
        shown(page, name)[crack].mean() - recorded(0)["small"][crack].mean() for name in ("levels", "drawn")
    ]
    words = page.locator("#restore [role=status]").inner_text()
    assert f"Of your crack's contrast, {100 * change[0] / change[1]:.0f} % is left" in words
    nameless = page.locator("#restore :is(input, select, button, canvas)").evaluate_all(
        "all => all.filter(e => !(e.labels?.[0]?.innerText || e.ariaLabel || e.innerText).trim()).length"
    )
    assert nameless == 0
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"restore-drawn-{screen}.png", full_page=True)
    page.get_by_role("button", name="Start anew").click()
    settled(page)
    assert (hole(page), shown(page, "opacity").any()) == ((48, 48, 32), False)
    assert (seen.elsewhere, seen.errors, seen.failed) == ([], [], [])
    page.context.close()
