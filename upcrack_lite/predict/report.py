"""The page that `upcrack detect` writes at its end: one HTML file that can be moved, mailed and printed.

It is written from OUT/detection.json, OUT/masks and the photos where they lie; a photo that has moved is shown by its
overlay, or by its mask alone.
"""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from tqdm import tqdm

from upcrack_lite.data.reading import read_image
from upcrack_lite.errors import UserError
from upcrack_lite.images import data_url, outline
from upcrack_lite.io import write_text
from upcrack_lite.predict.photos import read_facts

PAGE_BYTES = 30_000_000
"""Up to this size the page holds the pictures; beyond it, thumbnails and links to the overlays beside it."""

_THUMBNAIL, _VIEW = 240, 1600  # longest sides in px
_TITLES = {
    "name": ("Photo", ""),
    "crack_fraction_percent": ("Crack fraction (%)", ".2f"),
    "length_mm": ("Length (mm)", ",.0f"),
    "mean_width_mm": ("Mean width (mm)", ".2f"),
    "max_width_mm": ("Max. width (mm)", ".2f"),
    "length_px": ("Length (px)", ",.0f"),
    "mean_width_px": ("Mean width (px)", ".1f"),
    "max_width_px": ("Max. width (px)", ".1f"),
    "components": ("Components", ",.0f"),
    "warning": ("Warnings", ""),
}
_IN_CAPTION = ("photo", "photo_modified", "height", "width")  # of no use for comparing photos


def write_report(out: Path | str) -> Path:
    """Write OUT/report.html from what `upcrack detect` wrote in OUT, finished or not; returns its path.

    Raises UserError when OUT holds no detection or cannot be written to.
    """
    out = Path(out)
    facts = read_facts(out / "detection.json")
    photos, failed = facts.pop("photos"), facts.pop("failed")
    columns = _columns(photos)
    rows = [_row(values, place, columns) for place, values in enumerate(photos, 1)]
    with_views = _add_pictures(out, rows)
    environment = Environment(
        loader=PackageLoader("upcrack_lite", "assets"),
        autoescape=True,  # file names may hold any character
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("detection.html.j2").render(
        folder=Path(facts.get("source") or out).name,
        status=facts["status"],
        model=facts.get("model") or facts.get("run") or "a model that is not named",
        headline=_headline(photos, len(failed)),
        warnings=list(_warnings(photos, failed)),
        histogram=_histogram(_sound(photos)),
        columns=columns,
        rows=rows,
        with_views=with_views,
        pictures=_about_pictures(rows, with_views),
        settings=list(_flat(facts)),
        zip=zip,
    )
    path = out / "report.html"
    write_text(path, page.encode("utf-8", "replace").decode())  # bytes of a name in another encoding
    return path


def _row(values: dict[str, Any], place: int, columns: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page shows of one photo; `_add_pictures` adds its pictures."""
    fraction = values.get("crack_fraction_percent")
    said = "" if fraction is None else f"{fraction:.2f} % crack"
    size = f"{values['width']} × {values['height']} px" if {"width", "height"} <= values.keys() else ""
    row = {"name": values["name"], "place": place, "values": values}
    row["alt"] = f"Photo {values['name']} with what was called crack outlined{said and ', ' + said}"
    row["caption"] = ", ".join(filter(None, (size, said))) + "."
    row["cells"] = [_cell(values.get(column["key"]), column) for column in columns]
    return row | dict.fromkeys(("thumbnail", "view", "target", "full"))


# --- Pictures


def _add_pictures(out: Path, rows: list[dict[str, Any]]) -> bool:
    """Give each row its thumbnail and its larger view or a link; returns whether the page holds the views."""
    thumbnails, views = 0, 0  # bytes
    for row in tqdm(rows, "report", disable=None, unit="photo"):
        overlay = out / "overlays" / f"{row['name']}.jpg"
        if overlay.is_file():
            row["target"] = quote(f"overlays/{overlay.name}", errors="surrogateescape")
        picture = _picture(out, row["values"], overlay)
        if picture is None or thumbnails > PAGE_BYTES:
            continue
        row["thumbnail"] = data_url(_drawn(*picture, _THUMBNAIL), 70)
        thumbnails += len(row["thumbnail"])
        if thumbnails + views <= PAGE_BYTES:
            row["view"] = data_url(_drawn(*picture, _VIEW), 80)
            views += len(row["view"])
    with_views = thumbnails + views <= PAGE_BYTES
    for row in rows:
        if not with_views:
            row["view"] = None
        elif row["view"]:
            shrunk = max(row["values"].get(side, 0) for side in ("height", "width")) > _VIEW
            row["full"] = row["target"] if shrunk else None
            row["target"] = f"#photo-{row['place']}"
    return with_views


def _picture(out: Path, values: dict[str, Any], overlay: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Photo and mask; without the photo, the overlay or the mask as a picture; None where nothing can be read."""
    file, mask = out / "masks" / f"{values['name']}.png", None
    if file.is_file():
        mask = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_GRAYSCALE)
    for path in filter(None, (values.get("photo"), overlay)):
        with contextlib.suppress(UserError):
            return read_image(path), (None if path == overlay else mask)
    return None if mask is None else (np.repeat(mask[..., None], 3, axis=2), None)


def _drawn(photo: np.ndarray, mask: np.ndarray | None, longest: int) -> np.ndarray:
    """The photo with its outline, shrunk first, so that the line stays visible; a crack stays one however thin."""
    scale = min(1.0, longest / max(photo.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in photo.shape[1::-1])
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    if mask is None:
        return small
    how = cv2.INTER_AREA if mask.shape[0] > size[1] else cv2.INTER_NEAREST
    return outline(small, cv2.resize(mask, size, interpolation=how) > 0)


def _about_pictures(rows: list[dict[str, Any]], with_views: bool) -> str:
    if with_views:
        return f"A picture leads to its larger copy below, at most {_VIEW} px: this page needs no other file."
    said = f"All pictures would make this page larger than {PAGE_BYTES // 10**6} MB: "
    if any(row["thumbnail"] is None for row in rows):
        said += "the last photos have no thumbnail, and "
    return said + "larger pictures are the files in overlays/, beside this page."


# --- Numbers and words


def _sound(photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without a warning: what can be found in the others is not what is there."""
    return [row for row in photos if not row.get("warning")]


def _headline(photos: list[dict[str, Any]], failed: int) -> str:
    """Number of photos, totals and medians, in sentences."""
    sound = _sound(photos)
    unread = f", and {failed} more that could not be used" if failed else ""
    said = [f"{_count(len(photos))}{unread}."]

    def values(key: str) -> list[float]:
        return [row[key] for row in sound if isinstance(row.get(key), (int, float))]

    if fractions := values("crack_fraction_percent"):
        middle, none = statistics.median(fractions), fractions.count(0)
        said.append(f"Crack fraction: median {middle:.2f} %, most {max(fractions):.2f} %.")
        said += [f"In {_count(none)} nothing was found."] if none else []
    unit = "mm" if values("length_mm") else "px"
    if lengths := values(f"length_{unit}"):
        total, middle = sum(lengths), statistics.median(lengths)
        said.append(f"Length of cracks: {total:,.0f} {unit} in all, median {middle:,.0f} {unit} a photo.")
    if widths := [width for width in values(f"mean_width_{unit}") if width > 0]:
        said.append(f"Mean width where there are cracks: median {statistics.median(widths):.1f} {unit}.")
    if len(sound) < len(photos):
        said.append("Photos with a warning are left out of these numbers.")
    return " ".join(said)


def _warnings(photos: list[dict[str, Any]], failed: list[str]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Each warning with the names it concerns and their places in the table; photos that failed, as they are."""
    by_text: dict[str, list[tuple[str, int]]] = {}
    for place, row in enumerate(photos, 1):
        if row.get("warning"):
            by_text.setdefault(str(row["warning"]), []).append((row["name"], place))
    yield from ((text[:1].upper() + text[1:], names) for text, names in by_text.items())
    yield from ((f"Not done: {text}", []) for text in failed)


def _histogram(photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ten bins of crack fraction; none for fewer than five photos, or where nothing was found."""
    fractions = [one for row in photos if (one := row.get("crack_fraction_percent")) is not None]
    if len(fractions) < 5 or not max(fractions):
        return []
    counts, edges = np.histogram(fractions, bins=10, range=(0, max(fractions)))
    heights, names = (80 * counts / counts.max()).round(1), [f"{edge:.2g}" for edge in edges]
    parts = zip(counts.tolist(), names, names[1:], heights.tolist(), strict=False)
    return [dict(zip(("count", "low", "high", "height"), part, strict=True)) for part in parts]


def _columns(photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table's columns: those that are known in the order of their titles, then the others as they are named."""
    there = dict.fromkeys(key for row in photos for key in row if key not in _IN_CAPTION)
    if not any(row.get("warning") for row in photos):
        there.pop("warning", None)
    columns = []
    for key in (*(key for key in _TITLES if key in there), *(key for key in there if key not in _TITLES)):
        title, how = _TITLES.get(key, (key, ""))
        is_text = any(isinstance(row.get(key), str) for row in photos)
        columns.append({"key": key, "title": title, "format": how, "is_text": is_text})
    return columns


def _cell(value: Any, column: dict[str, Any]) -> dict[str, Any]:
    """A value as it sorts and as it is written."""
    if value is None or value == "":
        return {"value": "", "text": "" if column["is_text"] else "–"}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"value": value, "text": format(value, column["format"]) if number else str(value)}


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value if isinstance(value, str) else json.dumps(value)


def _count(photos: int) -> str:
    return f"{photos} photo{'' if photos == 1 else 's'}"
