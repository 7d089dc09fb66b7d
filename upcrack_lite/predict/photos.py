"""A folder of photos in, crack masks and numbers out: what `upcrack detect` does.

OUT/masks/NAME.png      crack = 255, at the photo's own size
OUT/maps/NAME.png       the smoothed map, 8 bits; the mask is what lies above the threshold's level in it
OUT/overlays/NAME.jpg   the photo with the cracks outlined, or painted over it
OUT/summary.csv         one row a photo: threshold, and what `measures.measure` measures
OUT/detection.json      which model, which choices, which photos, which failed
OUT/report.html         all of it to look at (`report.write_report`)

Summary and detection.json grow with every photo, so that the same call goes on after a kill, and does what is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from upcrack_lite.baselines.base import PhotoScores
from upcrack_lite.data.layouts import name_of, photos
from upcrack_lite.data.reading import read_image, resize
from upcrack_lite.detection import enlarge
from upcrack_lite.errors import FullDisk, UserError, memory_for, raise_for, safe
from upcrack_lite.images import outline, overlay
from upcrack_lite.io import (
    alone_in,
    check_fields,
    check_writable,
    clear_leftovers,
    holds,
    read_json,
    write_csv,
    write_image,
    write_json,
)
from upcrack_lite.predict.measures import measure
from upcrack_lite.predict.model import PROTOCOLS, Model
from upcrack_lite.recipes import check_value
from upcrack_lite.runs import now

OVERLAYS = ("outline", "fill", "none")
NO_CONTRAST = 10.0
"""Gray levels: a photo whose `contrast` is less is blank. None of 700 photos of DeepCrack, CFD and Crack500 has less
than 47, synthetic roads have 39 or more; blank photos, noisy (6 levels) or unevenly lit, at most 9."""

_FACTS: dict[str, Any] = {"status": str, "photos": list, "failed": list | None, "size": int | None}
_ROW: dict[str, Any] = {"name": str, "photo": str | None, "photo_modified": str | None, "warning": str | None}
_ROW |= {"height": int | None, "width": int | None, "crack_fraction_percent": int | float | None}
"""What detection.json and its rows hold, by type; older ones lack some."""


@dataclass(frozen=True)
class Detected:
    """What became of the photos: summary.csv's rows of all that are done, how many are new, what failed and why.

    gone: names of photos that an earlier call did, and that are not there any more; they have no row now.
    """

    rows: list[dict[str, Any]]
    new: int
    failed: list[str]
    gone: list[str]

    @property
    def blank(self) -> list[str]:
        """The names of photos without contrast."""
        return [row["name"] for row in self.rows if row["warning"]]


def detect_folder(
    model: Model,
    source: Path | str,
    out: Path | str,
    *,
    protocol: str = "native",
    size: int | None = None,
    seed: int = 0,
    overlays: str = "outline",
    mm_per_pixel: float | None = None,
    say: Callable[[str], object] | None = None,
) -> Detected:
    """Detect cracks in a photo or in all photos of a folder; what OUT holds already is not done again.

    protocol: "native", or "tables" for the way of the paper's tables (see `predict.model`).
    size: with "tables", side of square results, as the tables have them (256); None gives each photo's own size.
    overlays: a name in `OVERLAYS`. mm_per_pixel: side of a photo's pixel on the road; adds lengths and widths in mm.
    say: is told how a photo is looked at, once it is certain that the work begins.
    A photo that cannot be read or written is skipped and named in the result; the next call tries it again.
    Raises UserError before any work for no photo, two photos of one name, an unknown word or size, or an OUT that
    holds something else, another detection included.
    """
    source, out = Path(source), Path(out)
    check_value("protocol", protocol, PROTOCOLS)
    check_value("overlay", overlays, OVERLAYS)
    if size is not None and (size < 8 or protocol != "tables" or mm_per_pixel is not None):
        raise UserError(f"size {size}: squares of at least 8 px, for the protocol 'tables' alone, without mm")
    if mm_per_pixel is not None:
        check_value("mm_per_pixel", mm_per_pixel, "(0, inf)")
    files = _files(source)
    facts = model.facts() | {"source": str(source.resolve()), "protocol": protocol, "size": size}
    facts |= {"seed": seed, "overlays": overlays, "mm_per_pixel": mm_per_pixel}
    facts = json.loads(json.dumps(facts))  # as the file gives it back
    check_writable(out)
    with alone_in(out):
        done = {row["name"]: row for row in _claim(out, facts)}
        clear_leftovers(out)
        if say is not None:
            say(f"{model.name}: {model.look(protocol)}")
        return _detect(model, files, out, facts, done)


def _detect(
    model: Model, files: list[Path], out: Path, facts: dict[str, Any], done: dict[str, dict[str, Any]]
) -> Detected:
    """Do the photos that are not done yet; see `detect_folder`."""
    gone = sorted(done.keys() - {path.stem for path in files})
    done = {name: row for name, row in done.items() if name not in gone}
    todo = [path for path in files if not _is_done(done.get(path.stem), path, out)]
    for path in todo:
        done.pop(path.stem, None)  # the row of another file of this name
    failed: list[str] = []
    facts |= {"started": now()}
    running = False  # a finished detection stays one until there is something to change in it
    for path in tqdm(todo, "detecting", len(files), initial=len(files) - len(todo), disable=None):
        try:
            with memory_for(f"{path}", "cut it into tiles, shrink it, or take a smaller --window"):
                photo, modified = read_image(path), _modified(path)
                scores = model.find(photo, facts["protocol"], facts["seed"])
                if not running:
                    _save(out, facts | {"status": "running"}, done, failed)
                    running = True
                numbers = _write(out, path.stem, photo, scores, facts)
        except FullDisk:
            raise
        except UserError as error:
            failed.append(str(error) if path.stem in str(error) else f"{path}: {error}")
            continue
        done[path.stem] = numbers | {"photo": str(path.resolve()), "photo_modified": modified}
        _save(out, facts | {"status": "running"}, done, failed)
    rows = _save(out, facts | {"status": "finished", "finished": now()}, done, failed)
    return Detected(rows, len(todo) - len(failed), failed, gone)


def contrast(photo: np.ndarray) -> float:
    """Gray levels between the darkest and the brightest patch of 4 x 4 px, each against the 30 px around it.

    photo: uint8 ``(H, W, 3)``. Near 0 for a blank photo, also a noisy or an unevenly lit one.
    """
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = tuple(max(1, length // 4) for length in gray.shape[::-1])
    patches = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return float(np.ptp(patches - cv2.GaussianBlur(patches, (0, 0), 4)))


def in_levels(scores: PhotoScores, size: tuple[int, int]) -> tuple[np.ndarray, int]:
    """The smoothed map at (height, width), uint8, and the level above which a pixel is crack."""
    smoothed = enlarge(torch.from_numpy(scores.smoothed)[None, None], size)[0, 0].numpy()
    return (smoothed * 255).round().astype(np.uint8), level_of(scores.threshold)


def level_of(threshold: float) -> int:
    """The level of 0 to 255 above which a pixel is above a threshold in [0, 1]."""
    # A threshold that is a whole level may lie a little below it in float32.
    return int(threshold * 255 + 1e-3)


def read_detection(out: Path | str) -> dict[str, Any]:
    """Read detection.json. Raises UserError when `upcrack detect` did not finish in that folder."""
    facts = read_facts(Path(out) / "detection.json")
    if facts["status"] != "finished":
        raise UserError(
            f"{out} holds no finished detection: wait until it ends; if it was interrupted, run it again"
        )
    if not facts["photos"]:
        raise UserError(f"{out} holds no photo: none could be read, as its detection.json says")
    return facts


def read_facts(file: Path) -> dict[str, Any]:
    """Read a detection.json, finished or not. Raises UserError for one that is missing or damaged."""
    remedy = "delete the folder and run `upcrack detect` again"
    facts = read_json(file, "detection", remedy, fields=_FACTS)
    for place, row in enumerate(facts["photos"]):
        check_fields(row, _ROW, f"{file}: photos.{place}.", f"; {remedy}")
    return {"failed": [], "size": None} | facts


def _write(
    out: Path, name: str, photo: np.ndarray, scores: PhotoScores, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write a photo's pictures, the mask last; returns its row of numbers."""
    shown = photo if facts["size"] is None else resize(photo, None, facts["size"])[0]
    levels, threshold = in_levels(scores, shown.shape[:2])
    crack_mask = levels > threshold  # (H, W)
    write_image(out / "maps" / f"{name}.png", levels)
    if facts["overlays"] != "none":
        draw = outline if facts["overlays"] == "outline" else overlay
        write_image(out / "overlays" / f"{name}.jpg", draw(shown, crack_mask))
    write_image(out / "masks" / f"{name}.png", crack_mask.astype(np.uint8) * 255)
    height, width = crack_mask.shape
    row = {"name": name, "height": height, "width": width, "threshold_level": threshold}
    blank = contrast(shown) < NO_CONTRAST
    warning = "no contrast: nothing can be found here" if blank else ""
    return row | measure(crack_mask, facts["mm_per_pixel"]) | {"warning": warning}


def _files(source: Path) -> list[Path]:
    """The photos to work on. Raises UserError for none, or two of one name."""
    if not source.exists():
        raise UserError(f"{source}: there is no such photo or folder")
    files = [source] if source.is_file() else photos(source)
    first = {name_of(path): path.name for path in reversed(files)}
    problems = []
    for path in files:
        if (other := first[name_of(path)]) != path.name:
            problems.append(f"{path}: shares its name with {other}; results would overwrite")
        if safe(str(path)) != str(path):
            problems.append(f"{str(path)!a}: its name is not in UTF-8, or holds a control character")
    raise_for(problems, "nothing was done; rename these photos or take them away")
    return files


def _claim(out: Path, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of OUT, which must be new, empty, or hold this very detection."""
    if not holds(out):
        return []
    if not (out / "detection.json").is_file():
        raise UserError(f"{out} holds other files: name a new folder; nothing in it was touched")
    earlier = read_facts(out / "detection.json")
    if differ := [key for key in facts if key not in earlier or earlier[key] != facts[key]]:
        raise UserError(
            f"{out} holds a detection with another {', '.join(differ)}: name a new folder; nothing was touched"
        )
    return earlier["photos"]


def _is_done(row: dict[str, Any] | None, path: Path, out: Path) -> bool:
    """True if a photo's row is that of the very file, and its mask, which is written last, is there."""
    if row is None or not (out / "masks" / f"{path.stem}.png").is_file():
        return False
    return (row.get("photo"), row.get("photo_modified")) == (str(path.resolve()), _modified(path))


def _modified(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()


def _save(
    out: Path, facts: dict[str, Any], done: dict[str, dict[str, Any]], failed: list[str]
) -> list[dict[str, Any]]:
    """Write what is known so far, each file in one step; returns the rows in the order of their names."""
    rows = [done[name] for name in sorted(done)]
    write_json(out / "detection.json", facts | {"photos": rows, "failed": failed})
    if rows:
        write_csv(out / "summary.csv", rows)
    return rows
