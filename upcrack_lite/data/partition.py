"""Crack500's training crops in two halves that share no photo, for those who lack the official test crops.

`crack500_crops360` holds only crops of Crack500's training split. They are divided by photo into
`crack500_kept`, to train on, and `crack500_heldout`, to test on. Results on these are never called results on
`crack500`: the official test crops are other photos. Chapter: the data.

No photo is in both parts, but photos that follow each other within seconds can show the same road. Matching of
image features (SIFT, at least 15 points that agree on one similarity) finds a piece of road that is also in a
kept crop in 25 of the 333 held-out crops, from 9 of the 45 held-out photos.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from upcrack_lite.data.aside import whole_folder
from upcrack_lite.data.layouts import raise_for
from upcrack_lite.data.patches import make_cfd_patches
from upcrack_lite.errors import UserError
from upcrack_lite.io import write_csv

__all__ = [
    "PARTS",
    "crack500_groups",
    "crack500_partition",
    "draw_partition",
    "make_cfd_patches",
    "make_partition",
    "write_partition",
]

PARTS = ("kept", "heldout")
CROPS360 = 1754
"""How many crops `crack500_crops360` holds: `image/1.jpg` and so on, with gaps, each with a mask."""

PARTITION = Path(__file__).resolve().parents[1] / "assets" / "crack500_partition.csv"
"""The part of each group, as `draw_partition` gives it for the set's 225 groups."""

_NAMES = "recovered_names.csv"
_CROP = re.compile(r"[1-9]\d{0,3}\.jpg")


def draw_partition(groups: Iterable[str], share: float = 0.8, seed: int = 0) -> dict[str, str]:
    """Divide groups at random: the first `share` of a seeded permutation is kept, the rest held out.

    Returns group -> "kept" or "heldout", sorted by group. Repeated groups count once.
    """
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    kept = {names[index] for index in order[: round(share * len(names))]}
    return {name: PARTS[0] if name in kept else PARTS[1] for name in names}


def crack500_partition(crops360: str | Path) -> dict[str, str]:
    """Map each file name of `crack500_crops360/image`, such as `13.jpg`, to "kept" or "heldout".

    All crops of one group, which show the same stretch of road, have the same part.

    Raises:
        UserError: `recovered_names.csv` is missing or malformed, or its groups are not those of the
            list that comes with the kit.
    """
    parts = _committed()
    return {file: parts[group] for file, group in crack500_groups(crops360).items()}


def crack500_groups(crops360: str | Path) -> dict[str, str]:
    """Map each file name of `crack500_crops360/image` to its group, by number.

    Raises:
        UserError: as in `crack500_partition`.
    """
    path = Path(crops360) / _NAMES
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; it tells which crops show the same road") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy it again") from None
    if not rows or not {"file", "group"} <= rows[0].keys():
        raise UserError(f"{path}: needs the columns file and group; copy it again")
    groups = {row["file"]: row["group"] for row in rows}
    problems = [f"{name}: is no name of a crop" for name in groups if not _CROP.fullmatch(name or "")]
    if len(groups) < len(rows):
        problems.append(f"{len(rows) - len(groups)} files have more than one line")
    if len(groups) != CROPS360:
        problems.append(f"{len(groups)} crops are listed, not {CROPS360}")
    found, known = {group or "(none)" for group in groups.values()}, _committed().keys()
    problems += [f"{group}: is an unknown group" for group in sorted(found - known)]
    problems += [f"{group}: is a group without a crop" for group in sorted(known - found)]
    raise_for(problems, f"{path}: is not the list of crack500_crops360; copy it again")
    return dict(sorted(groups.items(), key=lambda item: int(Path(item[0]).stem)))


def make_partition(crops360: str | Path, part: str, target: str | Path) -> Path:
    """Copy one part of `crack500_crops360` to a set of the plain layout, `image/` and `mask/`.

    The files are copied byte for byte under the names GROUP_NNNN, such as `20160222_081011_0013.jpg` for
    `13.jpg`, from which `crops.photo_of` finds the group. `index.csv` lists them with their SHA-256. A folder
    `target` that holds the same files is left alone. The folder appears when it is complete.

    Args:
        crops360: folder of the set, with `image/`, `mask/` and `recovered_names.csv`.
        part: "kept" or "heldout".
        target: folder to make.

    Returns:
        `target`.

    Raises:
        UserError: unknown part, missing files (all are listed), a `target` with other content, or as in
            `crack500_partition`.
    """
    if part not in PARTS:
        raise UserError(f"unknown part {part!r}; choose {', '.join(PARTS)}")
    source, target = Path(crops360), Path(target)
    groups, parts = crack500_groups(source), _committed()
    files = {name: (source / "image" / name, source / "mask" / f"{Path(name).stem}.png") for name in groups}
    missing = [
        f"{path}: there is no such file" for pair in files.values() for path in pair if not path.is_file()
    ]
    raise_for(missing, f"{source}: the set is not complete; copy it again")
    with whole_folder(target) as aside:
        rows = []
        for folder in ("image", "mask"):
            (aside / folder).mkdir()
        for name, group in groups.items():
            if parts[group] != part:
                continue
            new = f"{group}_{int(Path(name).stem):04d}"
            image, mask = files[name]
            rows.append(
                {
                    "name": new,
                    "source": name,
                    "group": group,
                    "image_sha256": _copy(image, aside / "image" / f"{new}.jpg"),
                    "mask_sha256": _copy(mask, aside / "mask" / f"{new}.png"),
                }
            )
        write_csv(aside / "index.csv", sorted(rows, key=lambda row: row["name"]))
    return target


def write_partition(groups: Iterable[str], path: Path = PARTITION) -> None:
    """Write the list that comes with the kit: columns group and part."""
    write_csv(path, [{"group": group, "part": part} for group, part in draw_partition(groups).items()])


def _committed() -> dict[str, str]:
    """Read the list that comes with the kit."""
    with PARTITION.open(newline="", encoding="utf-8") as file:
        return {row["group"]: row["part"] for row in csv.DictReader(file)}


def _copy(source: Path, target: Path) -> str:
    """Copy a file's bytes and return their SHA-256."""
    data = source.read_bytes()
    target.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
