"""The built book in a real browser, every other host blocked. Run it after `make book`: `make site-test`.

Screenshots of each page, as on a desk and on a phone, go to build/screenshots.
"""

from __future__ import annotations

import pytest
from build_site import WIDGET, toc_files
from playwright.sync_api import Page
from site_browser import ROOT, SCREENS, SHOTS, SITE, barriers, visit
from test_detection_report import detection

from upcrack_lite.predict.report import write_report

PAGES = toc_files(ROOT / "_toc.yml")

HEAVIEST = {False: 1_500_000, True: 2_700_000}
"""Bytes of a page without and with formulas."""

pytestmark = pytest.mark.site


def wait_until_drawn(page: Page) -> None:
    """Wait for formulas, which a script draws after the page has loaded."""
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => !document.querySelector('.math')
                 || (window.MathJax?.startup?.promise && document.querySelector('mjx-container'))"""
    )
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("screen", SCREENS)
def test_page(browser, address, name, screen):
    seen = visit(browser, address, screen)
    page = seen.page
    page.goto(f"{address}/{name}.html")
    wait_until_drawn(page)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name.replace('/', '-')}-{screen}.png", full_page=True)

    assert seen.elsewhere == [], "the page asked another host"
    assert seen.errors == []
    assert seen.failed == []
    assert page.title().strip()
    assert page.locator("article h1").count() == 1

    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the screen"

    images = page.locator("article img").evaluate_all(
        """all => all.map(i => ({
             src: i.getAttribute('src'), alt: (i.getAttribute('alt') || '').trim(),
             broken: i.naturalWidth === 0 && !i.src.endsWith('.svg'),
             caption: (i.closest('figure')?.querySelector('figcaption')?.innerText || '').trim() }))"""
    )
    assert [i for i in images if i["broken"]] == []
    # Without a text of its own the theme takes the path of the file.
    assert [i for i in images if not i["alt"] or i["alt"].endswith((".png", ".svg", ".jpeg"))] == []
    assert [i for i in images if not i["caption"]] == []

    unset = page.locator("article .math").evaluate_all(
        "all => all.filter(m => !m.querySelector('mjx-container')).length"
    )
    assert unset == 0, "formulas stayed source text"
    assert page.locator("mjx-merror").count() == 0, "a formula has an error"

    formulas = any("/mathjax/" in one for one in seen.asked)
    assert formulas == bool(page.locator("article .math").count())
    assert seen.weight() <= HEAVIEST[formulas]
    assert barriers(page) == []
    page.context.close()


def test_the_site_is_small():
    assert sum(file.stat().st_size for file in SITE.rglob("*") if file.is_file()) <= 50_000_000


def test_a_barrier_would_be_noticed(desktop, address):
    desktop.page.goto(f"{address}/{PAGES[0]}.html")
    desktop.page.evaluate("document.querySelector('article h1').style.color = '#bbb'")
    assert any("color-contrast" in one for one in barriers(desktop.page))


def test_opened_as_a_file_a_page_has_its_icons(browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto((SITE / f"{PAGES[0]}.html").as_uri())
    page.evaluate("document.fonts.ready")
    assert page.evaluate("document.fonts.check('900 16px \"Font Awesome 6 Free\"', '\uf0c9')")
    widths = page.locator(".fa-bars").first.evaluate("icon => icon.getBoundingClientRect().width")
    assert widths > 8
    context.close()


def test_pages_have_no_widgets(desktop, address):
    """A widget needs a kernel. The chapters that have one lead to what moves in a page, and load nothing for it."""
    executed = SITE.parent / "run"
    pages = [
        path.stem for path in sorted(executed.glob("*.ipynb")) if WIDGET in path.read_text(encoding="utf-8")
    ]
    assert pages, "no chapter has a widget: this test would test nothing"
    for name in pages:
        desktop.page.goto(f"{address}/notebooks/{name}.html")
        wait_until_drawn(desktop.page)
        assert "jupyter.widget" not in desktop.page.content(), name
        assert "kernel" in desktop.page.locator("article").inner_text(), name
    assert not [url for url in desktop.asked if "embed" in url]


def test_table_pages_lead_to_their_records(desktop, address):
    found = set()
    for name in (name for name in PAGES if "/tables/table_" in name):
        desktop.page.goto(f"{address}/{name}.html")
        links = desktop.page.locator("article a[href*='/results/']")
        found |= set(links.evaluate_all("all => all.map(a => a.href)"))
    assert found, "no page links to a record: this test would test nothing"
    for link in sorted(found):
        assert (SITE / link.removeprefix(f"{address}/")).is_file(), link


def test_the_front_door_leads_to_the_first_page(desktop, address):
    desktop.page.goto(f"{address}/index.html")
    desktop.page.wait_for_url(f"**/{PAGES[0]}.html")


def test_search_finds_a_word(desktop, address):
    page = desktop.page
    page.goto(f"{address}/{PAGES[0]}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("glossary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=glossary*")
    page.wait_for_selector("#search-results ul.search li a")
    found = page.locator("#search-results ul.search li a").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert any("glossary" in link for link in found), found


def test_light_and_dark(desktop, address):
    page = desktop.page
    page.goto(f"{address}/{PAGES[0]}.html")
    themes = {}
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
        theme = page.evaluate("document.documentElement.dataset.theme")
        themes[theme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.screenshot(path=SHOTS / f"front-{theme}.png")
    assert set(themes) == {"light", "dark"}
    assert themes["light"] != themes["dark"]


def test_an_outside_request_would_be_noticed(browser, address):
    """The gate works: a page that asks another host is caught."""
    seen = visit(browser, address, "desktop")
    seen.page.goto(f"{address}/{PAGES[0]}.html")
    seen.page.evaluate("fetch('https://example.org/x.js').catch(() => 0)")
    assert seen.elsewhere == ["https://example.org/x.js"]
    seen.page.context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_the_report_of_a_detection_sorts_by_keyboard_and_fits_the_screen(browser, tmp_path, screen):
    page_file = write_report(detection(tmp_path))
    seen = visit(browser, page_file.as_uri().removesuffix("/report.html"), screen)
    page = seen.page
    page.goto(page_file.as_uri())
    page.screenshot(path=SHOTS / f"detection-report-{screen}.png")
    head = page.locator("#photos th", has_text="Length (px)")
    index = head.evaluate("head => head.cellIndex")
    for order, sign in (("descending", -1), ("ascending", 1)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == order
        values = page.locator(f"#photos tbody td:nth-child({index + 1})").evaluate_all(
            "cells => cells.map(cell => Number(cell.dataset.value))"
        )
        assert len(set(values)) == 6
        assert values == sorted(values, key=lambda value: sign * value)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    shown = page.locator("img").evaluate_all("all => all.map(i => i.scrollIntoView() || i.decode())")
    assert len(shown) == 12
    assert (seen.elsewhere, seen.errors, seen.failed) == ([], [], [])
    page.context.close()


def test_a_table_sorts_by_its_headings_with_the_keyboard(desktop, address):
    page = desktop.page
    page.goto(f"{address}/notebooks/tables/table_4.html")
    head = page.locator("#ours-4 thead th", has_text="F1, printed")
    place = head.evaluate("head => head.cellIndex") + 1
    for order, sign in (("descending", -1), ("ascending", 1)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == order
        values = [
            float(one) for one in page.locator(f"#ours-4 tbody td:nth-child({place})").all_inner_texts()
        ]
        assert len(values) == 14
        assert values == sorted(values, key=lambda value: sign * value)
