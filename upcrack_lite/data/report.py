"""What a survey and its checks found: as text for the terminal, as JSON, and as one HTML page. Chapter: the data."""

from __future__ import annotations

import shlex
import textwrap
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from upcrack_lite.data.findings import LEVELS, Finding, count, labeled, pairs_of, pooled_share, wh
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Photo, Survey
from upcrack_lite.data.thumbnails import cards
from upcrack_lite.data.verify import passed
from upcrack_lite.io import write_text

FORMAT = 1
"""Version of the JSON that `to_json` gives."""

# Control characters, marks that turn the direction of writing, other line ends, bytes in another encoding.
_UNPRINTABLE = ("Cc", "Cf", "Zl", "Zp", "Cs")
_LINES = 40  # of the text: a screen
_WIDTH = 100
_OF_A_KIND = 3  # findings of one check that the text shows
_ON_PAGE = 40  # findings of one check that the page shows; flagged pairs with pictures
_FILES_ON_PAGE = 200


def text(
    survey: Survey, findings: list[Finding], source: Source | None = None, page: Path | None = None
) -> str:
    """Return the report as at most 40 lines: the verdict, the parts, then the findings, the worst first.

    Of each check the first three findings are shown, and how many more there are. The last line names the
    page that shows all, or without one the command that writes it.
    """
    lines = [f"{_for_terminal(_title(survey, source), keep='')}: {verdict(findings)}"]
    for row in _parts(survey, source)[:6]:
        share = "" if row["crack_share"] is None else f", {row['crack_share']:.2f} % crack"
        known = f" (known: {_range(row)})" if share and row["known_range"] else ""
        lines.append(f"  {row['part']}: {_how_many(row)}{share}{known}, {_sizes(row)}")
    if source is None:
        lines.append("  Counts, sizes and crack shares were not compared: no known set was named.")
    command = f"upcrack data report {shlex.quote(str(survey.folder))} --out report.html"
    end = f"To see every finding and file: {page or command}"
    hidden = 0
    for level in LEVELS:
        of_level = [finding for finding in findings if finding.level == level]
        if of_level and len(lines) < _LINES - 3:
            lines.append(f"{level.capitalize()}s ({len(of_level)})")
        for check in dict.fromkeys(finding.check for finding in of_level):
            of_check = [finding for finding in of_level if finding.check == check]
            for shown, finding in enumerate(of_check):
                wrapped = _wrap(f"{check}: {_for_terminal(finding.message, keep='')}")
                room = len(lines) + len(wrapped) <= _LINES - 3
                if shown == _OF_A_KIND or not room:
                    if room:
                        lines.append(f"    and {len(of_check) - shown} more of this kind")
                    hidden += len(of_check) - shown
                    break
                lines += wrapped
    if hidden:
        are = "is" if hidden == 1 else "are"
        lines.append(f"{count(hidden, 'finding')} {are} not shown here. {end}")
    elif any(len(finding.paths) > _OF_A_KIND for finding in findings):
        lines.append(end)
    return _for_terminal("\n".join(lines))


def to_json(
    survey: Survey, findings: list[Finding], source: Source | None = None, manifest: str | None = None
) -> dict[str, Any]:
    """Return the report as plain data in a fixed order; the same facts give the same data on any machine.

    Keys: `format` (1); `folder` (its name, not its path); `layout`; `source` (name of the known set, or None);
    `manifest` (see below); `passed` (no error); `levels` (number of findings by level); `parts`, a list of
    `part`, `count`, `known_count`, `labeled`, `crack_share` in percent, `known_range` in percent (two numbers)
    and `sizes` (lists of width, height, number of photos, the most frequent first); `findings`, a list of
    `check`, `level`, `message`, `paths`. What is not known is None.

    Args:
        survey, findings, source: as given to `verify` and by it.
        manifest: `manifest.digest` of the surveyed files, to name exactly these bytes.
    """
    return {
        "format": FORMAT,
        "folder": survey.folder.name,
        "layout": survey.layout,
        "source": source.name if source else None,
        "manifest": manifest,
        "passed": passed(findings),
        "levels": {level: sum(finding.level == level for finding in findings) for level in LEVELS},
        "parts": _parts(survey, source),
        "findings": [
            {"check": each.check, "level": each.level, "message": each.message, "paths": list(each.paths)}
            for each in findings
        ],
    }


def write_page(
    path: str | Path,
    survey: Survey,
    findings: list[Finding],
    source: Source | None = None,
    thumbnails: int = 24,
) -> None:
    """Write the report as one HTML file that needs nothing else: no script, no other file, no network.

    It shows up to 40 pairs with errors or warnings, then pairs spread evenly over the rest of the set. The
    pictures are small copies of the set's photos, so its terms hold for the page too; the page says so.

    Args:
        path: file to write.
        survey, findings, source: as given to `verify` and by it. The photos must still be in the folder.
        thumbnails: how many pairs to show beside the flagged ones; 0 for none. The page stays below 3 MB:
            with many, pictures get coarser, then smaller, and then fewer are shown; the page says so.

    Raises:
        UserError: the folder cannot be written to.
    """
    page = Environment(
        loader=PackageLoader("upcrack_lite", "assets"),
        autoescape=True,  # file names may hold any character
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.j2")
    flagged, sample, left_out = cards(survey, findings, flagged=_ON_PAGE, sample=thumbnails)
    rows = _parts(survey, source)
    values = {
        "title": _title(survey, source),
        "folder": survey.folder.name,
        "layout": survey.layout,
        "source": source,
        "verdict": verdict(findings),
        "worst": next(
            (level for level in LEVELS[:2] if any(each.level == level for each in findings)), "none"
        ),
        "levels": [_of_level(level, findings) for level in LEVELS],
        "rows": [
            {
                "part": row["part"],
                "count": _how_many(row),
                "known_count": row["known_count"],
                "share": "–" if row["crack_share"] is None else f"{row['crack_share']:.2f} %",
                "range": _range(row) if row["known_range"] else "–",
                "sizes": _sizes(row),
                "count_off": row["known_count"] not in (None, row["count"]),
                "share_off": _outside(row),
            }
            for row in rows
        ],
        "flagged": flagged,
        "sample": sample,
        "left_out": left_out,
        "total": len(survey.photos),
        "most_files": _FILES_ON_PAGE,
    }
    write_text(Path(path), _printable(page.render(values)))


def verdict(findings: list[Finding]) -> str:
    """Say in one or two sentences whether the set can be used."""
    errors, warnings = (sum(each.level == level for each in findings) for level in ("error", "warning"))
    if errors:
        also = f" and {count(warnings, 'warning')}" if warnings else ""
        return f"{count(errors, 'error')}{also}. Mend the set before you train or score on it."
    if warnings:
        return f"no error, {count(warnings, 'warning')}. Look at what is named below, then use the set."
    return "no error and no warning."


def _of_level(level: str, findings: list[Finding]) -> dict[str, Any]:
    """Group the findings of one level by check, for the page."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.level == level:
            groups.setdefault(finding.check, []).append(finding)
    checks = [
        {"check": check, "shown": found[:_ON_PAGE], "more": len(found[_ON_PAGE:])}
        for check, found in groups.items()
    ]
    return {"level": level, "count": sum(map(len, groups.values())), "checks": checks}


def _parts(survey: Survey, source: Source | None) -> list[dict[str, Any]]:
    """The table of parts, as `to_json` describes it."""
    parts: dict[str, list[Photo]] = {}
    for photo in survey.photos:
        parts.setdefault(photo.part, []).append(photo)
    rows = []
    for part, photos in parts.items():
        sizes = Counter(photo.image_size for photo in photos if photo.image_size)
        share = pooled_share(pairs_of(photos))
        known_range = source.shares.get(part) if source else None
        rows.append(
            {
                "part": part,
                "count": len(photos),
                "known_count": source.counts.get(part) if source else None,
                "labeled": labeled(survey.layout, part),
                "crack_share": None if share is None else round(share, 4),
                "known_range": list(known_range) if known_range else None,
                "sizes": [
                    [*size, n] for size, n in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
                ],
            }
        )
    return rows


def _title(survey: Survey, source: Source | None) -> str:
    return source.title if source else survey.folder.name


def _how_many(row: dict[str, Any]) -> str:
    return count(row["count"], "pair" if row["labeled"] else "photo")


def _range(row: dict[str, Any]) -> str:
    low, high = row["known_range"]
    return f"{low:g} to {high:g} %"


def _outside(row: dict[str, Any]) -> bool:
    """Tell whether a part's crack share lies outside its known range."""
    share, known = row["crack_share"], row["known_range"]
    return share is not None and known is not None and not known[0] <= share <= known[1]


def _sizes(row: dict[str, Any]) -> str:
    """Write the three most frequent photo sizes, with numbers where there is more than one."""
    sizes = row["sizes"]
    if len(sizes) == 1:
        return f"{wh(sizes[0])} pixels"
    shown = ", ".join(f"{wh(size)} ({size[2]})" for size in sizes[:3])
    return (
        shown + (f" and {count(len(sizes) - 3, 'other size')}" if len(sizes) > 3 else "")
    ) or "no readable photo"


def _wrap(message: str) -> list[str]:
    """Break a message into lines of 100 characters, never inside a file name."""
    return textwrap.wrap(
        message,
        _WIDTH,
        initial_indent="  - ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _for_terminal(text: str, keep: str = "\n") -> str:
    """Write the control characters of file names, which could play tricks on the terminal, as their escapes."""
    return "".join(
        ascii(sign)[1:-1] if unicodedata.category(sign) in _UNPRINTABLE and sign not in keep else sign
        for sign in text
    )


def _printable(text: str) -> str:
    """Replace what UTF-8 cannot hold: bytes of a file name in another encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")
