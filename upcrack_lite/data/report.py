"""What a survey and its checks say: as text for the terminal, as JSON, and as one HTML page. Chapter: the data."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from upcrack_lite.data import manifest
from upcrack_lite.data.check import LEVELS, Finding, by_part, count, labeled, passed, pooled_share, wh
from upcrack_lite.data.reading import read_image, read_mask
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Photo, Survey
from upcrack_lite.errors import UserError
from upcrack_lite.images import data_url, overlay
from upcrack_lite.io import check_writable, write_json, write_text

FORMAT = 1
"""Version of the JSON that `to_json` gives."""

_OF_A_KIND = 3  # findings of one check that the text shows
_ON_PAGE = 40  # findings of one check that the page lists, and pairs with errors or warnings that it shows
_LONG_SIDE = 220  # of a picture on the page, in pixels
_ENDS = {"break_long_words": False, "break_on_hyphens": False}


def text(survey: Survey, findings: list[Finding], source: Source | None = None) -> str:
    """Return the report as text: the verdict, the parts, then the findings, the worst first.

    Of each check the first three findings are shown, and how many more there are. The last line names the
    command that shows all.
    """
    lines = [f"{source.title if source else survey.folder.name}: {_verdict(findings)}"]
    for row in _parts(survey, source):
        share = "" if row["crack_share"] is None else f", {row['crack_share']:.2f} % crack"
        known = " (known: {:g} to {:g} %)".format(*row["known_range"]) if share and row["known_range"] else ""
        lines.append(f"  {row['part']}: {_how_many(row)}{share}{known}, {_sizes(row)}")
    if source is None:
        lines.append("  Counts, sizes and crack fractions were not compared: no known set was named.")
    for level in LEVELS:
        of_level = [finding for finding in findings if finding.level == level]
        lines += [f"{level.capitalize()}s ({len(of_level)})"] if of_level else []
        for check in dict.fromkeys(finding.check for finding in of_level):
            messages = [finding.message for finding in of_level if finding.check == check]
            for message in messages[:_OF_A_KIND]:
                lines += textwrap.wrap(f"  - {check}: {message}", 100, subsequent_indent="    ", **_ENDS)
            if (more := len(messages) - _OF_A_KIND) > 0:
                lines.append(f"    and {more} more of this kind")
    if findings:
        command = f"upcrack data report {shlex.quote(str(survey.folder))} --out report.html"
        lines.append(f"To see every finding and file: {command}")
    return _printable("\n".join(lines))


def to_json(survey: Survey, findings: list[Finding], source: Source | None = None) -> dict[str, Any]:
    """Return the report as plain data in a fixed order; the same facts give the same data on any machine.

    Keys: `format` (1); `folder` (its name, not its path); `layout`; `source` (name of the known set, or None);
    `manifest` (one hash over these very files); `passed` (no error); `levels` (number of findings by level);
    `parts`, a list of `part`, `count`, `known_count`, `labeled`, `crack_share` in percent, `known_range` in percent
    (two numbers) and `sizes` (lists of width, height, number of photos, the most frequent first); `findings`, a list
    of `check`, `level`, `message`, `paths`. What is not known is None.
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


def check_page(page: Path) -> None:
    """Raise UserError, before any work, where a report cannot be written, or would replace what is none."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{page}: the page is HTML; give it a name that ends in .html")
    check_writable(page.parent)
    try:
        earlier = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
        is_report = isinstance(earlier, dict) and {"format", "passed", "findings"} <= earlier.keys()
    except FileNotFoundError:
        is_report = not page.exists()
    except ValueError:
        is_report = False
    if not is_report:
        raise UserError(
            f"{page}, or the JSON beside it, is there and is no report of this command: give another name"
        )


def write_page(
    path: str | Path,
    survey: Survey,
    findings: list[Finding],
    source: Source | None = None,
    thumbnails: int = 24,
) -> None:
    """Write the report as one HTML file that needs nothing else, no script and no network, and as JSON beside it.

    It shows up to 40 pairs with errors or warnings, then pairs spread evenly over the rest of the set. The
    pictures are small copies of the set's photos, so its terms hold for the page too; the page says so.

    Args:
        path: file to write.
        survey, findings, source: as given to `verify` and by it. The photos must still be in the folder.
        thumbnails: how many pairs to show beside the flagged ones; 0 for none.

    Raises:
        UserError: the folder cannot be written to.
    """
    problems: dict[str, list[Finding]] = {}
    for finding in findings:
        for name in finding.paths if finding.level != "note" else ():
            problems.setdefault(name, []).append(finding)
    flagged, others = [], []
    for photo in survey.photos:
        (flagged if photo.image in problems or photo.mask in problems else others).append(photo)
    chosen = np.unique(np.linspace(0, len(others) - 1, min(thumbnails, len(others))).round().astype(int))
    cards = []
    for photo in [*flagged[:_ON_PAGE], *(others[index] for index in chosen)]:
        own = [*problems.get(photo.image, []), *problems.get(photo.mask, [])]
        cards.append({"photo": photo, "pictures": _pictures(survey, photo), "problems": dict.fromkeys(own)})
    environment = Environment(
        loader=PackageLoader("upcrack_lite", "assets"),
        autoescape=True,  # file names may hold any character
        undefined=StrictUndefined,
    )
    page = environment.get_template("report.html.j2").render(
        title=source.title if source else survey.folder.name,
        survey=survey,
        source=source,
        verdict=_verdict(findings),
        parts=[row | {"number": _how_many(row), "dimensions": _sizes(row)} for row in _parts(survey, source)],
        levels=LEVELS,
        findings=findings,
        most=_ON_PAGE,
        cards=cards,
    )
    write_text(Path(path), _printable(page))
    write_json(Path(path).with_suffix(".json"), to_json(survey, findings, source))


def _pictures(survey: Survey, photo: Photo) -> list[dict[str, str]]:
    """The photo, and its mask painted over it, or alone where it does not fit."""
    pictures = []
    try:
        image = read_image(survey.folder / photo.image)
        pictures.append(_picture(image, f"Photo {photo.name}, {wh(image.shape[1::-1])} pixels"))
        if photo.mask is not None:
            mask = read_mask(survey.folder / photo.mask)
            fits = mask.shape == image.shape[:2]
            painted = overlay(image, mask) if fits else np.repeat(np.uint8(255) * mask[..., None], 3, axis=2)
            where = (
                f"on photo {photo.name}" if fits else f"of {photo.name} alone, {wh(mask.shape[::-1])} pixels"
            )
            pictures.append(_picture(painted, f"Mask {where}, {100 * mask.mean():.2f} % crack"))
    except UserError:  # the findings say why
        pass
    return pictures


def _picture(pixels: np.ndarray, alt: str) -> dict[str, str]:
    """A picture's alternative text, and the address that holds its bytes, at most 220 pixels wide or high."""
    scale = min(1.0, _LONG_SIDE / max(pixels.shape[:2]))
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return {"alt": alt, "address": data_url(small, 70)}


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
        rows.append(
            {
                "part": part,
                "count": len(photos),
                "known_count": source.counts.get(part) if source else None,
                "labeled": labeled(survey, part),
                "crack_share": None if share is None else round(share, 4),
                "known_range": list(known_range) if known_range else None,
                "sizes": [
                    [*size, n] for size, n in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
                ],
            }
        )
    return rows


def _how_many(row: dict[str, Any]) -> str:
    return count(row["count"], "pair" if row["labeled"] else "photo")


def _sizes(row: dict[str, Any]) -> str:
    """Write the three most frequent photo sizes, with numbers where there is more than one."""
    sizes = row["sizes"]
    if len(sizes) == 1:
        return f"{wh(sizes[0])} pixels"
    shown = ", ".join(f"{wh(size)} ({size[2]})" for size in sizes[:3])
    return shown + (f" and {count(len(sizes) - 3, 'other size')}" if len(sizes) > 3 else "")


def _printable(words: str) -> str:
    """Replace what UTF-8 cannot hold: bytes of a file name in another encoding."""
    return words.encode("utf-8", "replace").decode("utf-8")
