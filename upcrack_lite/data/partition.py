"""Sets made from other sets: Crack500's training crops in two parts, and CFD cut to patches. Chapter: the data.

`crack500_crops360` holds only crops of Crack500's training split. They are divided by photo into
`crack500_kept`, to train on, and `crack500_heldout`, to test on, for those who lack the official test crops. No
photo is in both parts, but photos taken within seconds can show the same road: 25 of the 333 held-out crops do so.

The paper tests on 200 patches of 256×256 pixels from CFD and does not say how they were cut. The rule here:
every photo gives one patch, and photos chosen at random give a second one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from upcrack_lite.data.crops import overlap
from upcrack_lite.data.folders import whole_folder
from upcrack_lite.data.layouts import pairs, read_pair
from upcrack_lite.errors import UserError
from upcrack_lite.io import read_csv, write_csv, write_image, write_json

PARTS = ("kept", "heldout")

PAPER_SHARE = 1.743
"""Crack pixels in the paper's patches of CFD, in percent."""

PATCHES, PATCH, SEED, MAX_OVERLAP = 200, 256, 0, 0.4
"""Patches of CFD: how many, their side in pixels, the seed, the largest share that a second one may cover."""

_FORMAT = 1  # of `patches.json`; raised when the rule or the files change


def draw_partition(groups: Iterable[str], share: float = 0.8, seed: int = 0) -> dict[str, str]:
    """Divide groups at random: the first `share` of a seeded permutation is kept, the rest held out.

    Returns group -> "kept" or "heldout", sorted by group. Repeated groups count once.
    """
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    kept = {names[index] for index in order[: round(share * len(names))]}
    return {name: PARTS[0] if name in kept else PARTS[1] for name in names}


def make_partition(crops360: str | Path, part: str, target: str | Path) -> Path:
    """Copy one part of `crack500_crops360` to a set of the plain layout, `image/` and `mask/`.

    The files are copied byte for byte under the names GROUP_NNNN, such as `20160222_081011_0013.jpg` for
    `13.jpg`, from which `crops.photo_of` finds the group. `index.csv` lists them with their SHA-256.

    crops360: folder of the set, with `image/`, `mask/` and `recovered_names.csv`. part: "kept" or "heldout".
    target: folder to make, which appears when it is complete and is returned.
    Raises UserError: a `target` that exists, or a file that cannot be copied.
    """
    source, target = Path(crops360), Path(target)
    with whole_folder(target) as aside:
        names = read_csv(source / "recovered_names.csv", {"file": str, "group": str}, "copy the set again")
        groups = {row["file"]: row["group"] for row in names}
        parts = draw_partition(groups.values())
        rows = []
        for name, group in groups.items():
            if parts[group] == part:
                stem = Path(name).stem
                row = {"name": f"{group}_{int(stem):04d}", "source": name, "group": group}
                for kind, old, ending in (("image", name, "jpg"), ("mask", f"{stem}.png", "png")):
                    new = aside / kind / f"{row['name']}.{ending}"
                    new.parent.mkdir(exist_ok=True)
                    shutil.copyfile(source / kind / old, new)
                    row[f"{kind}_sha256"] = _sha256(new)
                rows.append(row)
        write_csv(aside / "index.csv", sorted(rows, key=lambda row: row["name"]))
    return target


def make_cfd_patches(cfd: str | Path, target: str | Path) -> Path:
    """Cut the labeled photos of CFD into patches, and write them as a set of the plain layout.

    Every photo gives one patch at a seeded random place. A seeded choice of photos gives a second one, in the
    corner of the photo that overlaps the first one least, unless that is by more than `MAX_OVERLAP`. In a photo of
    480×320 pixels two patches of 256 pixels overlap by 9.4 % to 49.2 % of their area.

    The folder holds `image/NAME_x_y.png` and `mask/NAME_x_y.png` (0 and 255), `index.csv`, and `patches.json`
    with the parameters, the largest overlap, and the crack fraction beside the paper's. The same call gives the
    same bytes.

    cfd: folder of the set. target: folder to make, which appears when it is complete and is returned.
    Raises UserError: too few photos, one that cannot be read, or a `target` that exists.
    """
    target = Path(target)
    photos = {pair.name: read_pair(pair) for pair in pairs(cfd, "cfd", "test")}
    masks = [mask for _, mask in photos.values()]
    places = patch_places([mask.shape for mask in masks], PATCHES, PATCH, SEED, MAX_OVERLAP)
    with whole_folder(target) as aside:
        rows, shares = [], []
        for (name, both), corners in zip(photos.items(), places, strict=True):
            for x, y in corners:
                image, mask = (pixels[y : y + PATCH, x : x + PATCH] for pixels in both)
                shares.append(100 * float(mask.mean()))
                row = {"name": f"{name}_{x}_{y}", "source": name, "x": x, "y": y}
                row["crack_percent"] = f"{shares[-1]:.4f}"
                for kind, pixels in (("image", image), ("mask", mask.astype(np.uint8) * 255)):
                    path = aside / kind / f"{row['name']}.png"
                    write_image(path, pixels)
                    row[f"{kind}_sha256"] = _sha256(path)
                rows.append(row)
        write_csv(aside / "index.csv", rows)
        facts = {
            "format": _FORMAT,
            "parameters": {"count": PATCHES, "size": PATCH, "seed": SEED, "max_overlap": MAX_OVERLAP},
            "photos": sum(map(bool, places)),
            "photos_with_two": sum(len(corners) == 2 for corners in places),
            "largest_overlap": round(largest_overlap(places, PATCH), 4),
            "crack_percent": round(float(np.mean(shares)), 4),
            "crack_percent_paper": PAPER_SHARE,
            "crack_percent_whole_photos": round(100 * float(np.concatenate(masks, axis=None).mean()), 4),
        }
        write_json(aside / "patches.json", facts)
    return target


def patch_places(
    shapes: list[tuple[int, int]], count: int, size: int, seed: int, max_overlap: float
) -> list[list[tuple[int, int]]]:
    """Choose the patches of each photo as a list of none to two (x, y), by the rule of `make_cfd_patches`.

    shapes: (height, width) of each photo, no smaller than `size`.
    Raises UserError: the photos do not give `count` patches.
    """
    rng = np.random.default_rng(seed)
    places: list[list[tuple[int, int]]] = [
        [(int(rng.integers(width - size + 1)), int(rng.integers(height - size + 1)))]
        for height, width in shapes
    ]
    order = rng.permutation(len(shapes))
    for index in order[count:]:  # only if there are more photos than patches
        places[index] = []
    missing = max(0, count - len(shapes))
    for index in order if missing else ():
        height, width = shapes[index]
        corners = [(x, y) for x in (0, width - size) for y in (0, height - size)]
        common = [int(overlap(*corner, size, (*places[index][0], size))) for corner in corners]
        if missing and min(common) <= max_overlap * size**2:
            places[index].append(corners[int(np.argmin(common))])
            missing -= 1
    if missing:
        raise UserError(
            f"{len(shapes)} photos give only {count - missing} patches of {size}×{size} pixels that overlap by at "
            f"most {max_overlap:.0%}, {count} asked for: ask for fewer or smaller ones, or raise max_overlap"
        )
    return places


def largest_overlap(places: list[list[tuple[int, int]]], size: int) -> float:
    """Return the largest share of a patch that another one of its photo covers, in [0, 1]."""
    doubled = [corners for corners in places if len(corners) == 2]
    common = [int(overlap(*first, size, (*second, size))) for first, second in doubled]
    return max(common, default=0) / size**2


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
