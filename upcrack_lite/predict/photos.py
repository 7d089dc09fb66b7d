"""A folder of photos in, crack masks and numbers out: what `upcrack detect` does.

OUT/masks/NAME.png      crack = 255, at the photo's own size
OUT/maps/NAME.png       the smoothed map, 8 bits
OUT/overlays/NAME.jpg   the photo with the cracks painted over it
OUT/summary.csv         one row a photo: threshold, percent of pixels that are crack
OUT/detection.json      which run, which choices, which photos; written last
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from upcrack_lite.data.layouts import photos
from upcrack_lite.data.reading import image_size, read_image, resize
from upcrack_lite.detection import enlarge
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.images import overlay, to_tensor
from upcrack_lite.io import check_writable, write_csv, write_image, write_json
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.recipes import TABLE_SIZE
from upcrack_lite.runs import RunFolder, now


def detect_folder(
    run: RunFolder | Path | str,
    source: Path | str,
    out: Path | str,
    *,
    size: int | None = None,
    window: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
    settings: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Detect cracks in a photo or in all photos of a folder; returns the rows of summary.csv.

    size: side of square results, as in the paper's tables (256); None keeps each photo's own size.
    window: work in overlapping windows of so many pixels instead of shrinking the whole photo; choose the
    size of the crops that the model was trained on, times how much closer the photos were taken.
    settings: values of the detection, such as ``{"threshold_rule": "fixed", "threshold_value": 0.2}``.
    Raises UserError before any work for a missing run or photo, a file that is no image, a setting of
    training, or an OUT that holds something else, another detection included. A photo that turns out damaged
    is named at the end; the others are done.
    """
    source, out = Path(source), Path(out)
    model = load_model(run, device, settings)
    preset = model.preset
    if size is not None and size < 8:
        raise UserError(f"size must be at least 8 px, got {size}")
    if window is not None and window < 16:
        raise UserError(f"window must be at least 16 px, got {window}")
    files = _files(source)
    facts = {"run": str(run.path if isinstance(run, RunFolder) else run), "preset": preset.to_dict()}
    facts |= {"overrides": preset.overrides(), "size": size, "window": window, "seed": seed}
    facts["files"] = [str(path.resolve()) for path in files]
    _claim(out, facts)
    rows, problems = [], []
    for path in tqdm(files, disable=not progress, desc="detecting", unit="photo"):
        try:
            photo = read_image(path)
        except UserError as error:
            problems.append(str(error))
            continue
        smoothed, threshold = find_cracks(model, photo, size=size, window=window, seed=seed)
        crack_mask = smoothed > threshold  # (H, W)
        shown = photo if size is None else resize(photo, None, size)[0]
        write_image(out / "masks" / f"{path.stem}.png", crack_mask.astype(np.uint8) * 255)
        write_image(out / "maps" / f"{path.stem}.png", (smoothed * 255).round().astype(np.uint8))
        write_image(out / "overlays" / f"{path.stem}.jpg", overlay(shown, crack_mask))
        row = {"name": path.stem, "photo": str(path.resolve()), "height": crack_mask.shape[0]}
        row |= {"width": crack_mask.shape[1], "threshold": round(threshold, 5)}
        rows.append(row | {"crack_share_percent": round(100 * float(crack_mask.mean()), 4)})
    if rows:
        write_csv(out / "summary.csv", rows)
        end = {"status": "finished", "finished": now(), "photos": rows, "failed": problems}
        write_json(out / "detection.json", facts | end)
    raise_for(problems, f"{len(rows)} photo(s) done; these could not be read")
    return rows


def find_cracks(
    model: Model, photo: np.ndarray, *, size: int | None = None, window: int | None = None, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Smoothed map, float ``(H, W)`` in [0, 1], and the threshold for one photo, uint8 ``(H, W, 3)``.

    Without a window the photo is stretched to the network's square, the map is enlarged to 256 px, smoothed
    there, its threshold found, and enlarged to the result's size. With one, maps of windows are joined first.
    """
    height, width = (size, size) if size is not None else photo.shape[:2]
    if window is None:
        scores = square_map(model, photo, TABLE_SIZE, seed)
    else:
        scores = windowed_map(model, photo, window, seed)
    smoothed, thresholds = model.smooth_and_threshold(scores)
    return enlarge(smoothed.cpu(), (height, width))[0, 0].numpy(), float(thresholds[0])


def square_map(model: Model, photo: np.ndarray, side: int, seed: int = 0) -> torch.Tensor:
    """Map of a photo ``(H, W, 3)`` that is stretched to the network's square, enlarged to ``(1, 1, side, side)``."""
    image = to_tensor(resize(photo, None, model.preset.size)[0]).to(model.device)
    return enlarge(model.score_map(image, seed), (side, side))


def windowed_map(model: Model, photo: np.ndarray, window: int, seed: int = 0) -> torch.Tensor:
    """Map of a photo ``(H, W, 3)`` from windows that overlap by half: ``(1, 1, H, W)`` in [0, 1].

    Where windows overlap their maps are averaged, weighted less toward a window's border. A photo smaller
    than the window is treated as one window.
    """
    height, width = photo.shape[:2]
    window = min(window, height, width)
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32)
    weight = np.outer(ramp, ramp)
    total, weights = np.zeros((2, height, width), np.float32)
    for y, x in _corners(height, width, window):
        scores = square_map(model, photo[y : y + window, x : x + window], window, seed)[0, 0].cpu().numpy()
        total[y : y + window, x : x + window] += scores * weight
        weights[y : y + window, x : x + window] += weight
    return torch.from_numpy(total / weights)[None, None]  # (1, 1, H, W)


def read_detection(out: Path | str) -> dict[str, Any]:
    """Read detection.json. Raises UserError when `upcrack detect` did not finish in that folder."""
    file = Path(out) / "detection.json"
    if not file.is_file():
        raise UserError(f"{out} holds no finished detection: run `upcrack detect RUN PHOTOS {out}` first")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        finished = facts["status"] == "finished" and facts["photos"][0]["name"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error!r}): run `upcrack detect` again") from error
    if not finished:
        raise UserError(f"{out} holds no finished detection: the last one was interrupted, run it again")
    return facts


def _corners(height: int, width: int, window: int) -> Iterator[tuple[int, int]]:
    def starts(length: int) -> list[int]:
        return sorted({*range(0, length - window, max(window // 2, 1)), length - window})

    return ((y, x) for y in starts(height) for x in starts(width))


def _files(source: Path) -> list[Path]:
    """The photos to work on; their headers are read first, so that a wrong file is found at once."""
    if not source.exists():
        raise UserError(f"{source}: there is no such photo or folder")
    files = [source] if source.is_file() else photos(source)
    problems, seen = [], {}
    for path in files:
        try:
            image_size(path)
        except UserError as error:
            problems.append(str(error))
        if path.stem in seen:
            problems.append(
                f"{path}: shares its name with {seen[path.stem].name}; results would overwrite each other"
            )
        seen[path.stem] = path
    raise_for(problems, "nothing was done, for these photos cannot be used; repair them or take them away")
    return files


def _claim(out: Path, facts: dict[str, Any]) -> None:
    """Take a new or empty folder, or one that holds this very detection, and mark it as not finished."""
    check_writable(out)
    if out.is_dir() and any(out.iterdir()):
        file = out / "detection.json"
        if not file.is_file():
            raise UserError(f"{out} holds other files: name a new folder; nothing in it was touched")
        try:
            earlier = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            earlier = {}
        differ = [key for key in facts if earlier.get(key) != facts[key]]
        if differ:
            raise UserError(
                f"{out} holds a detection with another {', '.join(differ)}: name a new folder; nothing was touched"
            )
    write_json(out / "detection.json", facts | {"status": "running", "started": now()})
