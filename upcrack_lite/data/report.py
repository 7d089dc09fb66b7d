"""What a survey and its checks say: as text, as JSON, and as a page with pictures. Chapter: the data."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader

from upcrack_lite.data import manifest
from upcrack_lite.data.check import LEVELS, Finding, by_part, count, how_many, passed, pooled_share, wh
from upcrack_lite.data.reading import read_image, read_mask
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Photo, Survey
from upcrack_lite.images import data_url, overlay
from upcrack_lite.io import write_text

FORMAT = 1
"""Version of the JSON that `to_json` gives."""

_ON_PAGE = 40  # findings of one check that the page lists, and pairs with errors or warnings that it shows
_SAMPLE = 24  # other pairs on the page
_LONG_SIDE = 220  # of a picture on the page, in pixels
_ENDS = {"break_long_words": False, "break_on_hyphens": False}


def text(survey: Survey, findings: list[Finding], source: Source | None = None, most: int = 3) -> str:
    """Return the report as text: the verdict, the parts, then the findings, the worst first.

    most: findings of each check that are shown, before it is said how many more there are.
    """
    lines = [f"{source.title if source else survey.folder.name}: {_verdict(findings)}"]
    for row in _parts(survey, source):
        share = "" if row["crack_share"] is None else f", {row['crack_share']:.2f} % crack"
        known = " (known: {:g} to {:g} %)".format(*row["known_range"]) if share and row["known_range"] else ""
        what = how_many(survey, row["part"], row["count"])
        lines.append(f"  {row['part']}: {what}{share}{known}, {_sizes(row['sizes'])}")
    if source is None:
        lines.append("  Counts, sizes and crack fractions were not compared: no known set was named.")
    for level in LEVELS:
        of_level = [finding for finding in findings if finding.level == level]
        lines += [f"{level.capitalize()}s ({len(of_level)})"] if of_level else []
        for check in dict.fromkeys(finding.check for finding in of_level):
            messages = [finding.message for finding in of_level if finding.check == check]
            for message in messages[:most]:
                lines += textwrap.wrap(f"  - {check}: {message}", 100, subsequent_indent="    ", **_ENDS)
            if (more := len(messages) - most) > 0:
                lines.append(f"    and {more} more of this kind: see `upcrack data report`")
    return "\n".join(lines).encode("utf-8", "replace").decode("utf-8")  # names may be in another encoding


def to_json(survey: Survey, findings: list[Finding], source: Source | None = None) -> dict[str, Any]:
    """Return the report as plain data in a fixed order; the same facts give the same data on any machine.

    `manifest` is one hash over these very files; `crack_share` and `known_range` are in percent; `sizes` are lists of
    width, height, number of photos, the most frequent first. What is not known is None.
    """
    return {
        "format": FORMAT,
        "folder": survey.folder.name,
        "layout": survey.layout,
        "source": source.name if source else None,
        "manifest": manifest.digest(survey.files),
        "passed": passed(findings),
        "levels": {level: sum(finding.level == level for finding in findings) for level in LEVELS},
        "parts": _parts(survey, source),
        "findings": [vars(finding) | {"paths": list(finding.paths)} for finding in findings],
    }


def write_page(path: Path, survey: Survey, findings: list[Finding], source: Source | None = None) -> None:
    """Write the report as one HTML file that needs nothing else, no script and no network.

    It shows up to 40 pairs with errors or warnings, then some spread evenly over the rest of the set. The pictures
    are small copies of the set's photos, so its terms hold for the page too; the page says so.
    Raises UserError: the folder cannot be written to.
    """
    bad = [finding for finding in findings if finding.level != "note"]
    flagged, others = [], []
    for photo in survey.photos:
        named = dict.fromkeys(one.check for one in bad if {photo.image, photo.mask} & {*one.paths})
        (flagged if named else others).append((photo, ", ".join(named)))
    cards = [
        {"name": f"{photo.name} ({photo.part})", "pictures": _pictures(survey, photo), "checks": checks}
        for photo, checks in [*flagged[:_ON_PAGE], *others[:: 1 + len(others) // _SAMPLE]]
    ]
    # File names may hold any character.
    environment = Environment(loader=PackageLoader("upcrack_lite", "assets"), autoescape=True)
    page = environment.get_template("report.html.j2").render(
        title=source.title if source else survey.folder.name,
        text=text(survey, findings, source, _ON_PAGE),
        source=source,
        cards=cards,
    )
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))


def _pictures(survey: Survey, photo: Photo) -> list[dict[str, str]]:
    """The photo, and its mask painted over it, or alone where it does not fit: alternative text and address each."""
    if photo.problem:
        return []
    image = read_image(survey.folder / photo.image)
    pictures = {f"Photo {photo.name}": image}
    if photo.mask is not None:
        mask = read_mask(survey.folder / photo.mask)
        fits = mask.shape == image.shape[:2]
        painted = overlay(image, mask) if fits else np.repeat(np.uint8(255) * mask[..., None], 3, axis=2)
        pictures[f"Mask {'on' if fits else 'of'} photo {photo.name}"] = painted
    return [{"alt": alt, "address": data_url(_small(pixels), 70)} for alt, pixels in pictures.items()]


def _small(pixels: np.ndarray) -> np.ndarray:
    """Shrink a picture to at most 220 pixels of width and height."""
    scale = min(1.0, _LONG_SIDE / max(pixels.shape[:2]))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _verdict(findings: list[Finding]) -> str:
    """Say in one or two sentences whether the set can be used."""
    errors, warnings = (sum(each.level == level for each in findings) for level in ("error", "warning"))
    if errors:
        also = f" and {count(warnings, 'warning')}" if warnings else ""
        return f"{count(errors, 'error')}{also}. Mend the set before you train or score on it."
    if warnings:
        return f"no error, {count(warnings, 'warning')}. Look at what is named below, then use the set."
    return "no error and no warning."


def _parts(survey: Survey, source: Source | None) -> list[dict[str, Any]]:
    """The table of parts, as `to_json` describes it."""
    rows = []
    for part, photos in by_part(survey).items():
        sizes = Counter(photo.image_size for photo in photos if photo.image_size)
        share = pooled_share(photos)
        known_range = source.shares.get(part) if source else None
        row = {"part": part, "count": len(photos), "known_count": source.counts.get(part) if source else None}
        row["labeled"] = how_many(survey, part, 1) == "1 pair"
        row["crack_share"] = None if share is None else round(share, 4)
        row["known_range"] = list(known_range) if known_range else None
        by_number = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        rows.append(row | {"sizes": [[*size, number] for size, number in by_number]})
    return rows


def _sizes(sizes: list[list[int]]) -> str:
    """Write the three most frequent photo sizes, with numbers where there is more than one."""
    if len(sizes) == 1:
        return f"{wh(sizes[0])} pixels"
    shown = ", ".join(f"{wh(size)} ({size[2]})" for size in sizes[:3])
    return shown + (f" and {count(len(sizes) - 3, 'other size')}" if len(sizes) > 3 else "")
