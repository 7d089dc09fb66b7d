"""Which predicted mask belongs to which hand-made mask: what `upcrack score` settles before it counts.

Predictions are the OUT of `upcrack detect` (its masks/ and, where they are there, its maps/), or any folder of masks
that another program wrote. Both sides pair by file name without the ending.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from upcrack_lite.data.layouts import name_of, near
from upcrack_lite.data.reading import IMAGE_TYPES, read_image, read_mask
from upcrack_lite.errors import UserError
from upcrack_lite.predict.photos import read_detection

MASK_TYPES = (*IMAGE_TYPES, ".mat")

_FEW_LEVELS = 16  # class numbers and what else is refused have as many, probabilities and JPEG more


@dataclass
class Prediction:
    """A predicted mask on disk, with the map it was made from and its photo where they are known."""

    name: str
    mask: Path
    score_map: Path | None = None
    photo: Path | None = None


@dataclass(frozen=True)
class Predictions:
    """All predictions of a folder.

    Attributes:
        listed: one a photo.
        size: side of the square that `upcrack detect` stretched its results to; None for each photo's own size.
        model: name of the model that detected, of a run its folder; None for the masks of another program.
        failed: for each photo that `upcrack detect` could not read, what was wrong with it.
    """

    listed: list[Prediction]
    size: int | None = None
    model: str | None = None
    failed: list[str] = field(default_factory=list)


@dataclass
class Pairs:
    """Predictions with their masks; `unpaired`: what has no partner and why; `spare`: masks that nobody asked for."""

    listed: list[tuple[Prediction, Path]] = field(default_factory=list)
    unpaired: list[str] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)


def read_predictions(folder: Path | str, photos: Path | str | None = None) -> Predictions:
    """List the predictions of a folder. photos: where the photos lie; else where `upcrack detect` found them.

    Raises UserError for no such folder, one without predictions, or a detection that is not finished.
    """
    folder = _folder(folder, "predictions")
    if (folder / "detection.json").is_file():
        facts, maps, listed = read_detection(folder), folder / "maps", []
        for row in facts["photos"]:
            file = f"{row['name']}.png"
            paths = folder / "masks" / file, maps / file if maps.is_dir() else None, Path(row["photo"])
            listed.append(Prediction(unicodedata.normalize("NFC", row["name"]), *paths))
        given = Predictions(listed, facts["size"], Path(facts["model"]).name, facts["failed"])
    else:
        files, doubled = _by_name(folder, IMAGE_TYPES, png=True)
        if doubled or not files:
            what = next(
                iter(doubled.values()), f"no detection and no predicted mask ({', '.join(IMAGE_TYPES)})"
            )
            raise UserError(f"{folder}: holds {what}; one predicted mask a photo is needed")
        given = Predictions([Prediction(name, path) for name, path in files.items()])
    if photos is not None:
        known = _by_name(_folder(photos, "photos"), IMAGE_TYPES, png=False)[0]
        if not known.keys() & {one.name for one in given.listed}:
            raise UserError(f"{photos}: holds no photo of the names that the predictions have")
        for one in given.listed:
            one.photo = known.get(one.name, one.photo)
    return given


def pair(predictions: Predictions, masks: Path | str) -> Pairs:
    """Find each prediction's mask by name.

    A mask without a prediction is unpaired where another program predicted, for its photo may have failed there. Of
    `upcrack detect` it is known which photos it was asked for: other masks are spare.
    Raises UserError for no such folder, one without masks, or a detection given as the masks.
    """
    masks = _folder(masks, "masks")
    if (masks / "detection.json").is_file():
        raise UserError(f"{masks} holds a detection: give the predictions first, then the hand-made masks")
    files, doubled = _by_name(masks, MASK_TYPES, png=True)
    if not files and not doubled:
        raise UserError(f"{masks}: holds no mask; read are {', '.join(MASK_TYPES)}")
    pairs = Pairs(unpaired=[f"{each} in {masks}" for each in doubled.values()])
    pairs.unpaired += [f"{each} (`upcrack detect` could not read it)" for each in predictions.failed]
    named = {one.name: one for one in predictions.listed}
    for name, one in named.items():
        if name in files:
            pairs.listed.append((one, files[name]))
        elif name not in doubled:
            pairs.unpaired.append(f"{name}: no mask of this name in {masks}{near(name, files)}")
    asked = named.keys() | {name_of(Path(each.split(": ")[0])) for each in predictions.failed}
    spare = [name for name in files if name not in asked]
    if predictions.model is None:
        pairs.unpaired += [f"{name}: a mask without a prediction{near(name, named)}" for name in spare]
    else:
        pairs.spare = spare
    return pairs


def read_predicted(path: Path) -> tuple[np.ndarray, bool]:
    """Read a predicted mask, bool ``(H, W)``, True = crack, and tell whether it was soft.

    A gray file of more than 16 levels holds probabilities or soft edges: crack is above 127 of 255. Any other is read
    as `read_mask` reads a hand-made one. Raises UserError for a file that cannot be read so.
    """
    pixels = read_image(path)
    gray = pixels[..., 0]
    if (pixels == gray[..., None]).all() and len(np.unique(gray)) > _FEW_LEVELS:
        return gray > 127, True
    return read_mask(path), False


def _folder(path: Path | str, of: str) -> Path:
    """The path of a folder. Raises UserError where it is none."""
    path = Path(path)
    if not path.is_dir():
        what = "is a file: give the folder" if path.exists() else "there is no such folder"
        raise UserError(f"{path}: {what} of {of}")
    return path


def _by_name(folder: Path, types: Iterable[str], png: bool) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of these types by name, and for each name that several share what to say of it.

    png: which is meant where a PNG and a JPEG lie side by side, as Crack500's authors publish masks and photos.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in types and path.is_file() and not path.name.startswith("."):
            found.setdefault(name_of(path), []).append(path)
    files, doubled = {}, {}
    for name, paths in found.items():
        endings = {path.suffix.lower() for path in paths}
        if len(paths) == 2 and ".png" in endings and endings & {".jpg", ".jpeg"}:
            paths = [path for path in paths if (path.suffix.lower() == ".png") == png]
        if len(paths) == 1:
            files[name] = paths[0]
        else:
            named = ", ".join(path.name for path in paths)
            doubled[name] = f"{name}: {len(paths)} files of this name ({named})"
    return files, doubled
