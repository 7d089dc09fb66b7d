"""Make what the pages that move need from the stored models: recorded maps for the tuner, the detector for photos.

    python workflow/alive.py build/book/alive

roads.json   what there is: roads, arrays of a road, the settings that each detector starts from, what some settings
             find on each road, and the colors
road-N.bin   the arrays of a road, one after the other, packed with gzip
check.json   the names of columns that a table of metrics may have
tuner.png    the same as a still picture for readers without JavaScript, and tuner.md, which shows it
drawn.onnx   the drawn-crack detector, and photo.json, how it looks at a photo; upcracknet.onnx  UP-CrackNet's G
try-N.png    roads to try it on
"""

from __future__ import annotations

import gzip
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from onnx_file import drawn_model, generator_model

from upcrack_lite.data.reading import resize
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.detection import VARIANTS, above, compare, detect, enlarge, error_map, smooth, threshold_of
from upcrack_lite.drawn.detect import MARGIN, MULTIPLE, TILE, load_network
from upcrack_lite.errors import UserError
from upcrack_lite.generator import Generator
from upcrack_lite.images import COLORS, overlay, to_tensor, to_uint8
from upcrack_lite.io import write_image, write_json, write_text
from upcrack_lite.metrics import Confusion
from upcrack_lite.predict.model import Model, load_model
from upcrack_lite.predict.photos import NO_CONTRAST, level_of
from upcrack_lite.pretrained import load_generator, stored_run
from upcrack_lite.recipes import TABLE_SIZE, Preset, from_dict
from upcrack_lite.reproduction.audit_table import ALIASES, MISSING
from upcrack_lite.show.figures import images, use_style

ROADS: dict[str, dict[str, Any]] = {
    "asphalt, crack net": {"seed": [0, 1004], "surface": "asphalt", "crack_share": 0.04},
    "asphalt, thin crack": {"seed": 11, "surface": "asphalt", "crack_share": 0.01},
    "asphalt, paint": {"seed": 5, "surface": "asphalt", "confounders": 2.5},
    "concrete, shadow": {"seed": 21, "surface": "concrete", "crack_share": 0.03},
    "concrete, joint": {"seed": 33, "surface": "concrete", "crack_share": 0.09},
    "asphalt, no crack": {"seed": 8, "surface": "asphalt", "crack": False},
}
TRIES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "asphalt": ({"seed": 1, "surface": "asphalt"}, (420, 640)),
    "concrete": ({"seed": 41, "surface": "concrete"}, (640, 427)),
    "stains and shadows": ({"seed": 62, "confounders": 3.0}, (511, 639)),
}
"""Roads, and the height and width that are cut out of them: as odd as photos are."""

PIPELINE = {
    "test_statistics": "running",
    "test_dropout": False,
    "bilateral_d": 5,
    "bilateral_sigma_color": 75.0,
    "bilateral_sigma_space": 1.0,
}
"""What chapter 14 changes; its floor is below, 99 % of the pixels of other, crack-free roads do not exceed it."""

SETTINGS = {
    "variant": "error_variant",
    "filter": "map_filter",
    "d": "bilateral_d",
    "sigmaColor": "bilateral_sigma_color",
    "sigmaSpace": "bilateral_sigma_space",
    "rule": "threshold_rule",
    "floor": "threshold_floor",
}
"""The tuner's controls, and the names that chapter 14 and `upcrack detect --settings` have for their values."""

RULES = {"Otsu": ("otsu", 1.0), "1.5 × Otsu": ("otsu_factor", 1.5), "95 % below": ("percentile", 95.0)}


def record(
    photo: np.ndarray, truth: np.ndarray, generator: Generator, preset: Preset, drawn: Model
) -> dict[str, np.ndarray]:
    """All arrays of a road, uint8: photo, truth (0 or 1), restored, small (what G gets), and a map by each variant.

    photo: uint8 ``(256, 256, 3)``; truth: bool ``(256, 256)``. Maps are rounded to 8 bits as `smooth` does.
    """
    image = to_tensor(resize(photo, None, preset.size)[0])
    restored, _ = compare(generator, image, preset)
    maps = {name: enlarge(error_map(image, restored, name), truth.shape) for name in VARIANTS}
    maps["drawn"] = drawn.score_photo(photo, "tables")
    levels = {name: (255 * smooth(one, filter="none")[0, 0]).round() for name, one in maps.items()}
    arrays = {"photo": photo, "truth": truth.astype(np.uint8), "restored": to_uint8(restored)[0]}
    arrays["small"] = to_uint8(image)[0]
    return arrays | {name: one.to(torch.uint8).numpy() for name, one in levels.items()}


def with_pipeline(generator: Generator, preset: Preset) -> Preset:
    """The preset of chapter 14's "pipeline that works", with the floor that eight crack-free roads set."""
    changed = from_dict(preset.to_dict() | PIPELINE)
    quiet = synthetic_set(8, TABLE_SIZE, 1600, crack_free=1.0).images
    small = to_tensor(np.stack([resize(photo, None, preset.size)[0] for photo in quiet]))
    smoothed = detect(generator, small, changed, size=(TABLE_SIZE, TABLE_SIZE)).smoothed
    return from_dict(changed.to_dict() | {"threshold_floor": float(np.quantile(smoothed.numpy(), 0.99))})


def operating_points(
    arrays: dict[str, np.ndarray], generator: Generator, presets: dict[str, Preset], drawn: Any
) -> dict[str, dict[str, int]]:
    """Counts of pixels on a road by name: UP-CrackNet with presets, and `drawn`, that of the detector."""
    truth, image = arrays["truth"] > 0, to_tensor(resize(arrays["photo"], None, 2**generator.depth)[0])
    masks = {
        name: detect(generator, image, preset, size=truth.shape).crack_mask[0, 0].numpy()
        for name, preset in presets.items()
    }
    masks["drawn detector"] = arrays["drawn"] > level_of(drawn.threshold_value)
    return {name: asdict(Confusion.of(mask, truth)) for name, mask in masks.items()}


def still(arrays: dict[str, np.ndarray], preset: Preset, out: Path) -> None:
    """Draw what the sliders would show: two filters and three rules on UP-CrackNet's map of one road."""
    settings = preset.bilateral_d, preset.bilateral_sigma_color, preset.bilateral_sigma_space
    raw = torch.from_numpy(arrays[preset.error_variant])[None, None].float() / 255
    truth, panels, said = arrays["truth"] > 0, [], []
    for kind, smoothed in (("off", raw), ("bilateral", smooth(raw, *settings))):
        for title, (rule, value) in RULES.items():
            crack_mask = above(smoothed, threshold_of(smoothed, rule, value))[0, 0].numpy()
            f1 = Confusion.of(crack_mask, truth).f1
            panels.append((f"{title}, F1 {f1:.0f} %", overlay(arrays["photo"], crack_mask, truth)))
            said.append(f"filter {kind}, {title}: {f1:.0f} %")
    use_style()
    images(panels, ncols=3, key=True).savefig(out / "tuner.png", dpi=130)
    text = (
        "```{figure} _static/alive/tuner.png\n"
        f":alt: Six masks of one road by UP-CrackNet. F1: {'; '.join(said)}.\n\n"
        "What some settings do to one road. Above without filter, below with the bilateral filter.\n```\n"
    )
    write_text(out / "tuner.md", text)


def photo_files(out: Path) -> None:
    """Write the detector for photos, how it looks at them, and roads to try.

    Raises UserError where the stored detector filters its map or takes a threshold from it: the page does neither.
    """
    network, preset = load_network(stored_run("drawn"))
    if (preset.map_filter, preset.threshold_rule) != ("none", "fixed"):
        raise UserError(
            "the page for photos knows neither filter nor rule: make photo.js follow the stored preset"
        )
    (out / "drawn.onnx").write_bytes(drawn_model(network))
    for number, (road, (height, width)) in enumerate(TRIES.values()):
        write_image(out / f"try-{number}.png", synthetic_road(640, **road)[0][:height, :width])
    how = {name: getattr(preset, name) for name in ("octaves", "enlarge_below", "threshold_value")}
    how |= {"no_contrast": NO_CONTRAST, "tile": TILE, "margin": MARGIN, "multiple": MULTIPLE}
    write_json(out / "photo.json", how | {"color": COLORS["detected"], "roads": list(TRIES)})


def main(out: Path) -> None:
    """Write everything into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    photo_files(out)
    aliases = {metric: names.split() for metric, names in ALIASES.items()}
    write_json(out / "check.json", {"aliases": aliases, "missing": sorted(MISSING)})
    (generator, preset), drawn = load_generator(stored_run()), load_model("drawn")
    (out / "upcracknet.onnx").write_bytes(generator_model(generator))
    usual = {"paper's settings": preset, "chapter 14's": with_pipeline(generator, preset)}
    made = [record(*synthetic_road(TABLE_SIZE, **road), generator, preset, drawn) for road in ROADS.values()]
    for number, arrays in enumerate(made):
        packed = gzip.compress(b"".join(array.tobytes() for array in arrays.values()), mtime=0)
        (out / f"road-{number}.bin").write_bytes(packed)
    still(made[0], preset, out)
    presets = {"upcracknet": preset.to_dict(), "drawn": asdict(drawn.preset)}
    kept = ("error_variant", "map_filter", "bilateral_", "threshold_")
    roads = {
        "roads": list(ROADS),
        "variants": VARIANTS,
        "arrays": {name: list(array.shape) for name, array in made[0].items()},
        "settings": SETTINGS,
        "start": {
            name: {k: v for k, v in some.items() if k.startswith(kept)} for name, some in presets.items()
        },
        "points": [operating_points(arrays, generator, usual, drawn.preset) for arrays in made],
        "colors": COLORS,
        "heat": matplotlib.colormaps["magma"](range(256), bytes=True)[:, :3].tolist(),
    }
    write_json(out / "roads.json", roads)  # last: it tells Snakemake that all are there


if __name__ == "__main__":
    main(Path(sys.argv[1]))
