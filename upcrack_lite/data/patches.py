"""CFD photos cut to square patches, in the number and size of the paper's test set. Chapter: the data.

The paper tests on 200 patches of 256×256 pixels from CFD and does not say how they were cut. The rule here:
every photo gives one patch, and photos chosen at random give a second one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from upcrack_lite.data.aside import whole_folder
from upcrack_lite.data.layouts import Pair, pairs, raise_for, read_pair
from upcrack_lite.data.windows import Place, overlap
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_csv, write_image, write_json

PAPER_SHARE = 1.743
"""Crack pixels in the paper's patches of CFD, in percent."""

_FORMAT = 1  # raised when the rule or the files change


def make_cfd_patches(
    cfd: str | Path,
    target: str | Path,
    count: int = 200,
    size: int = 256,
    seed: int = 0,
    max_overlap: float = 0.4,
) -> Path:
    """Cut the labeled photos of CFD into patches, and write them as a set of the plain layout.

    Every photo gives one patch at a seeded random place. A seeded choice of photos gives a second one, in the
    corner of the photo that overlaps the first one least. A photo is passed over as long as that is more than
    `max_overlap`. In a photo of 480×320 pixels two patches of 256 pixels always overlap: by 9.4 % of their
    area if both lie in opposite corners, by 49.2 % if the first lies in the middle.

    The folder holds `image/NAME_x_y.png` and `mask/NAME_x_y.png` (0 and 255), `index.csv`, and `patches.json`
    with the parameters, the largest overlap, and the crack share beside the paper's. The same call gives the
    same bytes; a folder `target` that holds them is left alone. The folder appears when it is complete.

    Args:
        cfd: folder of the set, with `image/` and `groundTruth/`.
        target: folder to make.
        count: how many patches, at most two a photo. Fewer than photos: a seeded choice of photos.
        size: side of a patch in pixels.
        seed: seed of places and choices.
        max_overlap: the largest share of a patch that a second one of the same photo may cover.

    Returns:
        `target`.

    Raises:
        UserError: too few photos, photos smaller than a patch, files that cannot be read (all are listed),
            a `target` with other content, or a bad argument.
    """
    if count < 1 or size < 1:
        raise UserError(f"count and size must be at least 1, not {count} and {size}")
    if not 0 <= max_overlap < 1:
        raise UserError(f"max_overlap is a share of a patch: at least 0 and below 1, not {max_overlap}")
    target = Path(target)
    photos = _read(pairs(cfd, "cfd", "test"), size)
    shapes = [mask.shape for _, mask in photos.values()]
    places = patch_places(shapes, count, size, seed, max_overlap)
    with whole_folder(target) as aside:
        rows = []
        for (name, (image, mask)), found in zip(photos.items(), places, strict=True):
            for x, y in found:
                part = np.s_[y : y + size, x : x + size]
                new, white = f"{name}_{x}_{y}", mask[part].astype(np.uint8) * 255
                write_image(aside / "image" / f"{new}.png", image[part])
                write_image(aside / "mask" / f"{new}.png", white)
                row = {"name": new, "source": name, "x": x, "y": y}
                row["crack_percent"] = f"{100 * mask[part].mean():.4f}"
                for folder in ("image", "mask"):
                    data = (aside / folder / f"{new}.png").read_bytes()
                    row[f"{folder}_sha256"] = hashlib.sha256(data).hexdigest()
                rows.append(row)
        write_csv(aside / "index.csv", rows)
        shares = patch_shares([mask for _, mask in photos.values()], places, size)
        facts = {
            "format": _FORMAT,
            "parameters": {"count": count, "size": size, "seed": seed, "max_overlap": max_overlap},
            "photos": sum(map(bool, places)),
            "photos_with_two": sum(len(found) == 2 for found in places),
            "largest_overlap": round(largest_overlap(places, size), 4),
            "crack_percent": round(100 * float(np.mean(shares)), 4),
            "crack_percent_paper": PAPER_SHARE,
            "crack_percent_whole_photos": round(_percent([mask for _, mask in photos.values()]), 4),
        }
        write_json(aside / "patches.json", facts)
    return target


def patch_places(
    shapes: list[tuple[int, int]], count: int, size: int, seed: int, max_overlap: float
) -> list[list[tuple[int, int]]]:
    """Choose the patches of each photo as a list of none to two (x, y), by the rule of `make_cfd_patches`.

    shapes: (height, width) of each photo, no smaller than `size`.

    Raises:
        UserError: the photos do not give `count` patches.
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
        corner, common = _farthest((*places[index][0], size), height, width)
        if common <= max_overlap * size**2 and missing:
            places[index].append(corner)
            missing -= 1
    if missing:
        raise UserError(
            f"{len(shapes)} photos give only {count - missing} patches of {size}×{size} pixels that overlap by at "
            f"most {max_overlap:.0%}, {count} asked for: ask for fewer or smaller ones, or raise max_overlap"
        )
    return places


def patch_shares(masks: list[np.ndarray], places: list[list[tuple[int, int]]], size: int) -> list[float]:
    """Return the share of crack pixels of each patch, in [0, 1]."""
    return [
        float(mask[y : y + size, x : x + size].mean())
        for mask, found in zip(masks, places, strict=True)
        for x, y in found
    ]


def largest_overlap(places: list[list[tuple[int, int]]], size: int) -> float:
    """Return the largest share of a patch that another one of its photo covers, in [0, 1]."""
    doubled = [found for found in places if len(found) == 2]
    common = [int(overlap(*found[0], size, (*found[1], size))) for found in doubled]
    return max(common, default=0) / size**2


def _farthest(first: Place, height: int, width: int) -> tuple[tuple[int, int], int]:
    """Return the corner place that overlaps the first patch least, and that overlap in pixels."""
    size = first[2]
    corners = [(x, y) for x in (0, width - size) for y in (0, height - size)]
    common = [int(overlap(*corner, size, first)) for corner in corners]
    least = int(np.argmin(common))
    return corners[least], common[least]


def _read(found: list[Pair], size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read all photos with masks by name; list every one that cannot be used."""
    photos, problems = {}, []
    for pair in found:
        try:
            image, mask = read_pair(pair)
            if min(mask.shape) < size:
                raise UserError(f"{pair.image}: is smaller than a patch of {size}×{size} pixels")
            photos[pair.name] = image, mask
        except UserError as error:
            problems.append(str(error))
    raise_for(problems, "no patches can be cut, these files cannot be used")
    return photos


def _percent(masks: list[np.ndarray]) -> float:
    """Return the crack pixels of all masks together, in percent."""
    return 100 * sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks)
