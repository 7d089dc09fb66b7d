"""The sets in one folder: which are there, what each is for, and their undamaged crops. Chapter: the data."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from upcrack_lite.data import manifest as manifests
from upcrack_lite.data.check import Finding, verify
from upcrack_lite.data.crops import (
    CropRule,
    is_crop_folder,
    photo_of,
    read_crops,
    read_description,
    undamaged_crops,
    write_crops,
)
from upcrack_lite.data.datasets import LARGEST, TrainingData, load
from upcrack_lite.data.folders import check_space
from upcrack_lite.data.layouts import LAYOUTS, Pair, fitting, pairs, unlabeled
from upcrack_lite.data.manifest import PROVENANCE
from upcrack_lite.data.sources import SOURCES, Source, accepted
from upcrack_lite.data.survey import Survey, survey
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable, load_json, read_csv
from upcrack_lite.recipes import check_value

LEAST_CROPS = 8
"""So few undamaged crops make a batch; `upcrack train` goes on with them where the photos have room for no more."""


def overview(root: Path) -> str:
    """One screen: which sets there are, which are in `root`, how to get the others, and their terms."""
    lines = ["Public road sets. They are for research, and each has terms of use.", ""]
    for name, src in SOURCES.items():
        folder = root / name
        is_here = folder.is_dir()
        errors = " (with errors)" if _provenance(folder).get("errors") else ""
        counts = ", ".join(f"{count} {part}".removesuffix(" all") for part, count in src.counts.items())
        where = f"here: {folder}{errors}" if is_here else "not here"
        lines += [f"{name:<18} {src.title}", f"{'':<18} {counts} photos, {src.disk_mb} MB on disk; {where}"]
        lines += [] if is_here else [f"{'':<18} {_how(src, root)}"]
    terms = [
        f"  {name}: {SOURCES[name].terms}" for name in ("deepcrack", "cfd", "crack500", "crack500_authors")
    ]
    return "\n".join(
        [
            *lines,
            *("", "Terms of use:", *terms, "  the other crack500 sets: as crack500; cfd_patches: as cfd", ""),
            "`build` instead of `fetch` also cuts the undamaged crops.",
            "--mirror DIR copies a set from a folder of yours. Synthetic roads need no download:",
            "  upcrack train --data synthetic --out runs/first",
        ]
    )


def _provenance(folder: Path) -> dict[str, Any]:
    """Return what `fetch` wrote about a set; nothing for a folder that it did not make."""
    try:
        return dict(load_json(folder / PROVENANCE))
    except (OSError, ValueError, TypeError):
        return {}


def _how(src: Source, root: Path) -> str:
    """Return the command that gets a set."""
    origin = SOURCES[src.made_from] if src.made_from and not (root / src.made_from).is_dir() else src
    command = f"upcrack data fetch {src.name}" + ("" if accepted(origin, root) else " --accept-terms")
    has_a_mirror_only = origin.layout == "plain" and not origin.made_from
    return f"{command} --mirror DIR" if has_a_mirror_only else command


def folder_of(name: str, root: Path) -> Path:
    """Return the folder of a set: `root/name` for a known set, or else the folder that is called `name`.

    Raises UserError: neither is there; for a known set the message says how to get it.
    """
    places = [root / name, Path(name)]
    for folder in places if name in SOURCES else reversed(places):
        if folder.is_dir():
            return folder
    if name in SOURCES:
        raise UserError(f"{name} is not in {root}: get it with `{_how(SOURCES[name], root)}`")
    raise UserError(f"{name}: no folder of this name, and no set; the sets are {', '.join(SOURCES)}")


def trains(name: str) -> bool:
    """Return True if undamaged crops are cut from this set."""
    return name not in SOURCES or SOURCES[name].crops > 0


def usual_count(name: str) -> int:
    """Return how many undamaged crops the paper trains on for this set (section IV-A); 300 for another one."""
    known = SOURCES.get(Path(name).resolve().name)
    return (known and known.crops) or 300


def _training_pairs(folder: Path, layout: str) -> list[Pair]:
    """The training photos of a folder. Raises UserError for a set to test on.

    Such a set is known by its layout, by what it was fetched as, or by its name.
    """
    chosen = pairs(folder, layout, "train")
    name = _provenance(folder).get("name", folder.resolve().name)
    if "cfd" in fitting(folder) or not (trains(name) or name == "crack500_authors"):
        raise UserError(f"{folder} is a set to test on: nothing is trained on test photos")
    return chosen


def train_command(crops: Path) -> str:
    """Return the command that trains on a folder, ready to be pasted."""
    return shlex.join(["upcrack", "train", "--data", str(crops), "--out", f"runs/{crops.resolve().name}"])


def places_of(folder: Path, names: list[str]) -> list[str]:
    """Return the place that each file of a set shows: crops of one place belong on one side of a split."""
    listed, known = folder / "recovered_names.csv", {}
    if listed.is_file():
        rows = read_csv(listed, {"file": str, "group": str}, "copy the set again")
        known = {Path(row["file"]).stem: row["group"] for row in rows}
    return [known.get(name, name if known else photo_of(name)) for name in names]


def cut_crops(name: str, root: Path, out: Path | None, rule: CropRule) -> tuple[Path, list[str]]:
    """Cut undamaged crops from a set's training photos and write them to a folder.

    name: a set in `root`, or the path of a folder with a training split. out: the folder to write; None takes
    `root/NAME_undamaged`. rule: which windows are cut, and how many.
    Returns the folder, and lines that say how many crops came from windows of which size.
    Raises UserError: a set to test on, too few crack-free windows, or a folder with other crops in the way.
    """
    folder = folder_of(name, root)
    known = folder.resolve().name
    target = out or root / f"{known}_undamaged"
    check_writable(target.parent)
    chosen = _training_pairs(folder, "auto")
    if known == "crack500_authors":
        raise UserError(f"{known} holds undamaged crops already: train with `{train_command(folder)}`")
    check_value("size", rule.size, f"[1, {LARGEST}]")
    check_space(root, rule.count * rule.size**2 * 3, f"{rule.count} crops of {rule.size} pixels")
    crops = undamaged_crops(chosen, rule)
    crops = replace(crops, groups=places_of(folder, [str(row["name"]) for row in crops.rows]))
    facts = {"set": known, "split": "train"} | asdict(rule) | _fetched(folder)
    del facts["count"]  # stands beside the facts
    write_crops(crops, target, facts)
    by_window = {side: sum(row["window"] == side for row in crops.rows) for side in rule.windows}
    counts = ", ".join(f"{number} of {side} px" for side, number in by_window.items() if number)
    lines = [
        f"{len(crops)} undamaged crops from {len({row['name'] for row in crops.rows})} of {len(chosen)} files, "
        f"which show {len(set(crops.groups))} places: {counts}",
        f"{crops.enlarged(rule.size)} of them are smaller than {rule.size} px and were enlarged",
    ]
    if known == "crack500_crops360":
        lines.append(
            "they include the held-out photos: before a test on crack500_heldout, take crack500_kept"
        )
    return target, lines


def _fetched(folder: Path) -> dict[str, str]:
    """Which files a set was fetched with, as a fact for what is made of it."""
    listed = manifests.digest_in(folder)
    return {"fetched_manifest_sha256": listed} if listed else {}


def undamaged(data: str, layout: str, rule: CropRule, given: Sequence[str] = ()) -> TrainingData:
    """Cut, read or draw the undamaged crops that `upcrack train --data` names.

    data: a folder of photos with masks, of photos without any crack (layout "photos"), or of crops that are cut
    already; or "synthetic". given: options of the rule that the user asked for; crops that are cut refuse them.
    Where the photos have room for fewer crops than the rule's, but `LEAST_CROPS`, these are taken, and the facts say
    how many were `asked` for. Raises UserError for fewer, an unknown layout, a folder that does not fit it, a test
    set, or a file that cannot be read.
    """
    folder = Path(data)
    if data == "synthetic":
        _check_drawn(given)
        roads = synthetic_set(rule.count, rule.size, rule.seed, crack_free=1.0)
        return TrainingData(roads.images, roads.names, {"name": data, "seed": rule.seed})
    check_value("layout", layout, ("auto", "photos", *LAYOUTS))
    is_cut = is_crop_folder(folder) or (folder.is_dir() and "crack500_authors" in fitting(folder))
    if given and is_cut:
        raise UserError(f"the crops in {data} are cut already: leave out --{', --'.join(given)}")
    facts: dict[str, Any] = {"name": folder.resolve().name}
    if layout == "auto" and is_crop_folder(folder):
        crops = read_crops(folder, rule.size)
        return TrainingData(crops.images, crops.groups, facts | {"crops": read_description(folder)})
    photos = unlabeled(folder) if layout == "photos" else _training_pairs(folder, layout)
    facts |= {"photos": len(photos)} | _fetched(folder)
    if layout != "photos" and photos[0].mask is None:  # undamaged crops as their authors cut them
        roads = load(folder, "train", rule.size, layout)
        return TrainingData(roads.images, places_of(folder, roads.names), facts)
    crops = undamaged_crops(photos, rule, LEAST_CROPS)
    places = places_of(folder, [str(row["name"]) for row in crops.rows])
    facts |= {"window": rule.windows[0], "margin": rule.margin}
    facts |= {"asked": rule.count} if len(crops) < rule.count else {}
    return TrainingData(crops.images, places, facts)


def _check_drawn(given: Sequence[str]) -> None:
    if cut := [name for name in given if name != "crops"]:
        raise UserError(f"synthetic roads are drawn, not cut from photos: leave out --{', --'.join(cut)}")


def labeled(data: str, layout: str, rule: CropRule, given: Sequence[str] = ()) -> TrainingData:
    """Read or draw the photos with crack masks that `upcrack train --data` names, stretched to `rule.size`.

    data: a set's folder, whose training split is read; or "synthetic", which draws `rule.count` roads. given: as in
    `undamaged`; photos are taken whole, so a folder refuses them. Raises UserError as `undamaged`, or for photos
    without masks.
    """
    folder = Path(data)
    if data == "synthetic":
        _check_drawn(given)
        roads = synthetic_set(rule.count, rule.size, rule.seed)
        return TrainingData(roads.images, roads.names, {"name": data, "seed": rule.seed}, roads.crack_masks)
    check_value("layout", layout, ("auto", "photos", *LAYOUTS))
    if layout == "photos" or is_crop_folder(folder) or _training_pairs(folder, layout)[0].mask is None:
        raise UserError(
            f"{folder}: this method learns from crack masks, and here are none: give a set's folder with masks"
        )
    if given:
        raise UserError(f"photos with crack masks are taken whole: leave out --{', --'.join(given)}")
    roads = load(folder, "train", rule.size, layout)
    facts = {"name": folder.resolve().name, "split": "train", "photos": len(roads)} | _fetched(folder)
    return TrainingData(roads.images, places_of(folder, roads.names), facts, roads.crack_masks)


def verified(name: str, root: Path) -> tuple[Survey, list[Finding], Source | None]:
    """Survey and check a set of the root by its name, or any other folder of photos with masks.

    Returns survey, findings and the known set, if it is one.
    Raises UserError for a folder that is not there or fits no layout.
    """
    folder = folder_of(name, root)
    folder = folder if folder.name else folder.resolve()  # "." has no name to show
    source = SOURCES.get(folder.resolve().name)
    seen = survey(folder, source.layout if source else "auto")
    return seen, verify(seen, source), source
