"""Make a built site light and accessible: what nobody sees is not loaded, figures become WebP, controls get names.

    slim(html, cache, notebooks)   changes the folder in place

The theme loads 1.5 MB of script to draw a dozen icons; here a font of these icons alone stands in the style sheet,
which works for a file opened directly too. A page without a formula loads no MathJax.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image

QUALITY = 85  # of figures with photos: their letters stay sharp
EXACT = 150_000  # bytes: a PNG up to this size is a chart without photos, and stays exact

NAMES = (
    (
        r'aria-label="Search"( data-bs-placement="bottom" data-bs-toggle="tooltip">\s*<i[^>]*></i>\s*<span)',
        r"\1",
    ),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'<summary>(<span class="toctree-toggle")', r'<summary aria-label="Show or hide its pages">\1'),
)
"""(pattern, replacement): controls whose name a screen reader lacks, or that say another than is seen."""


def slim(html: Path, cache: Path, notebooks: Path) -> None:
    """Slim a site in place.

    html: the site. cache: folder where figures as WebP are kept from build to build, by the hash in their names.
    notebooks: the chapters without outputs, which the site offers for download in place of its own heavy copies.
    """
    pages = [page for page in html.rglob("*.html") if "_static" not in page.parts]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    figures = _figures(html / "_images", cache)
    icons = _icons(html / "_static", texts.values())
    for page, text in texts.items():
        page.write_text(slim_page(text, figures), encoding="utf-8")
    (html / "_static/icons.css").write_text(icons, encoding="utf-8")
    (license_file,) = html.glob("_static/vendor/fontawesome/*/LICENSE.txt")
    license_file.replace(html / "_static/icons-LICENSE.txt")
    for source in html.glob("_sources/notebooks/**/*.ipynb"):
        shutil.copyfile(notebooks / source.relative_to(html / "_sources/notebooks"), source)
    shutil.rmtree(html / "_static/vendor/fontawesome", ignore_errors=True)
    shutil.rmtree(html / "_static/locales", ignore_errors=True)
    for unused in html.glob("_static/**/*.map"):
        unused.unlink()


def slim_page(text: str, figures: dict[str, str]) -> str:
    """A page that loads only what it shows. figures: old to new name of each picture in `_images`."""
    text = re.sub(r'\s*<script src="[^"]*/fontawesome/[^"]*"></script>', "", text)
    text = re.sub(r'\s*<link rel="preload" as="font"[^>]*/fontawesome/[^>]*>', "", text)
    text = re.sub(r'(<link href="[^"]*_static/)vendor/fontawesome/[^"]*"', r'\1icons.css"', text)
    if not re.search(r'class="[^"]*\bmath\b', text):
        text = re.sub(r'\s*<script[^>]* src="[^"]*/mathjax/[^"]*"></script>', "", text)
    text = re.sub(r"(?<=_images/)([\w-]+\.png)", lambda found: figures.get(found[1], found[1]), text)
    for pattern, replacement in NAMES:
        text = re.sub(pattern, replacement, text)
    return text


def _figures(folder: Path, cache: Path) -> dict[str, str]:
    """Turn each PNG into a WebP of the same name; returns old to new names."""
    cache.mkdir(parents=True, exist_ok=True)
    names = {}
    for picture in sorted(folder.glob("*.png")):
        kept = cache / f"{picture.stem}.webp"
        if not kept.exists():
            exact = picture.stat().st_size <= EXACT
            with Image.open(picture) as image:
                image.convert("RGB").save(kept, lossless=exact, quality=50 if exact else QUALITY, method=4)
        shutil.copyfile(kept, picture.with_suffix(".webp"))
        picture.unlink()
        names[picture.name] = kept.name
    return names


def _icons(static: Path, texts: Iterable[str]) -> str:
    """The style sheet of the icons that pages and theme use, with their shapes inside."""
    (folder,) = (static / "vendor/fontawesome").iterdir()
    style = (folder / "css/all.min.css").read_text(encoding="utf-8")
    known = {}
    for names, glyph in re.findall(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}', style):
        known |= dict.fromkeys(re.findall(r"\.fa-([\w-]+):before", names), glyph)
    used = {name for text in texts for name in re.findall(r"\bfa-([a-z-]+)", text)} & known.keys()
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in (static / "styles").glob("*.css"))
    themed = set(map(ord, re.findall("[\ue000-\uf8ff]", sheets)))
    font, file, subsetter = TTFont(folder / "webfonts/fa-solid-900.ttf"), io.BytesIO(), subset.Subsetter()
    subsetter.populate(unicodes=[*themed, *(int(known[name], 16) for name in used)])
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(file)
    shapes = base64.b64encode(file.getvalue()).decode()
    rules = ["/* Those icons of Font Awesome Free that the book uses; license: icons-LICENSE.txt */"]
    rules += [
        f'@font-face {{ font-family: "Font Awesome {version} Free"; font-weight: 900; '
        f"src: url(data:font/woff;base64,{shapes}) format('woff'); }}"
        for version in (6, 5)
    ]
    rules += [
        '.fa, .fas, .fa-solid { font-family: "Font Awesome 6 Free"; font-weight: 900; font-style: normal; '
        "display: inline-block; line-height: 1; -webkit-font-smoothing: antialiased; }",
        ".fa-lg { font-size: 1.25em; line-height: 0.05em; vertical-align: -0.075em; }",
        *(f'.fa-{name}::before {{ content: "\\{known[name]}"; }}' for name in sorted(used)),
    ]
    return "\n".join(rules) + "\n"
