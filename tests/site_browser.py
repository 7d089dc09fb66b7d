"""The built book on an address of this machine, and a browser that reaches nothing else."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(os.environ.get("UPCRACK_SITE", ROOT / "build/book/html"))
SHOTS = ROOT / "build/screenshots"
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic"]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site, without a line on the screen for each request."""

    def __init__(self, *args):
        super().__init__(*args, directory=str(SITE))

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The site, served on this machine alone."""
    if not (SITE / "index.html").exists():
        pytest.fail(f"There is no built book at {SITE}. Build it first: make book")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium from $CHROMIUM or the system."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path or not Path(path).exists():
        pytest.fail(
            f"No browser ({path or ', '.join(BROWSERS)}). Debian: apt-get install chromium; or set CHROMIUM."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


AXE = ROOT / "tests/vendor/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def barriers(page: Page) -> list[str]:
    """What axe finds on a page that is serious or critical, in the light and in the dark theme."""
    found = []
    page.evaluate(AXE.read_text(encoding="utf-8"))
    page.add_style_tag(content="* { transition: none !important }")  # else a color is measured on its way
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        result = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
        found += [
            f"{theme}: {one['id']}: {one['nodes'][0]['html'][:200]} and {len(one['nodes']) - 1} more"
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    return found


@dataclass
class Visit:
    """A page in the browser and everything that went wrong on it."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)  # requests to any other host
    errors: list[str] = field(default_factory=list)  # console errors, exceptions
    failed: list[str] = field(default_factory=list)  # answers other than success
    asked: list[str] = field(default_factory=list)  # requests to the site

    def weight(self) -> int:
        """Bytes of the files of the site that the page asked for."""
        paths = {urlsplit(one).path.lstrip("/") for one in self.asked if one.startswith("http")}
        return sum((SITE / one).stat().st_size for one in paths)


def visit(browser: Browser, address: str, screen: str, **options) -> Visit:
    """Open an empty page that can reach the site only, and notes what it tries; options: of the browser's context."""
    context = browser.new_context(viewport=SCREENS[screen], **options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    seen = Visit(page)

    def gate(route: Route) -> None:
        if route.request.url.startswith((address + "/", "data:", "blob:")):
            seen.asked.append(route.request.url)
            route.continue_()
        else:
            seen.elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", gate)  # of the whole context: a worker's requests too
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("response", lambda r: seen.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    return seen
