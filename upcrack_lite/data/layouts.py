"""Folders of photos with crack masks, as they come from their authors. Chapter: the data.

Five layouts are read (split names in brackets):

- `deepcrack`: `train_img/ train_lab/` [train] and `test_img/ test_lab/` [test];
- `cfd`: `image/*.jpg` and `groundTruth/*.mat`; a test set without a split: every split gives all
  labeled photos. The 37 photos 201-208 and 301-329 were never labeled and are left out;
- `crack500`: `traincrop/ valcrop/ testcrop/` [train, val, test], each with `*.jpg` and `*.png`;
- `crack500_authors`: the 256×256 files that the paper's authors keep in their repository:
  `dataset/crack500_train/{train,validation}/a` [train, val], undamaged crops without masks (`b` holds
  the same pictures again), and `dataset/crack500_test/test_folder_all/{a,label}` [test];
- `plain`: `image/` and `mask/` (or `images/` and `masks/`), no split: every split gives all.

A photo and its mask share the file name up to its ending. All bad files are listed, not the first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upcrack_lite.data.reading import IMAGE_TYPES, is_image, read_image, read_mask
from upcrack_lite.errors import UserError, raise_for
from upcrack_lite.recipes import check_value

SPLITS = ("train", "val", "test")
_AUTHORS = "dataset/crack500_train"
_AUTHORS_TEST = "dataset/crack500_test/test_folder_all"
LAYOUTS: dict[str, dict[str, tuple[str, str | None]]] = {
    "deepcrack": {"train": ("train_img", "train_lab"), "test": ("test_img", "test_lab")},
    "cfd": dict.fromkeys(SPLITS, ("image", "groundTruth")),
    "crack500": {split: (f"{split}crop", f"{split}crop") for split in SPLITS},
    "crack500_authors": {
        "train": (f"{_AUTHORS}/train/a", None),
        "val": (f"{_AUTHORS}/validation/a", None),
        "test": (f"{_AUTHORS_TEST}/a", f"{_AUTHORS_TEST}/label"),
    },
    "plain": dict.fromkeys(SPLITS, ("image", "mask")),
}
"""For each layout and split: the folder of the photos and that of the masks, None for undamaged photos."""

# What programs add to a photo's name: its ending, or a word such as _mask.
_ADDED = re.compile(
    r"(\.(jpe?g|png|bmp|tiff?)|[-_. ](masks?|pred(ict(ed|ions?))?s?|lab(el)?s?|gt|seg(mentation)?|prob|out(put)?))+$",
    re.IGNORECASE,
)
_PLAIN = (("image", "mask"), ("images", "masks"))
_CFD_UNLABELED = {f"{n:03d}" for n in (*range(201, 209), *range(301, 330))}
_LEVELS = 3  # how far down a set's folder is looked for


@dataclass(frozen=True)
class Pair:
    """A photo and its mask on disk; `mask` is None for a photo without a label."""

    name: str
    image: Path
    mask: Path | None = None


def name_of(path: Path) -> str:
    """What a photo and its mask share: the file's name without its ending, accents as macOS and Linux agree on."""
    return unicodedata.normalize("NFC", path.stem)


def near(name: str, others: Iterable[str]) -> str:
    """Name the one that is probably meant: the same name with a word more or less, or in other letters."""
    bare = _ADDED.sub("", name).casefold()
    alike = [other for other in others if _ADDED.sub("", other).casefold() == bare]
    return f"; {alike[0]} is near: give both one name" if alike else ""


def photos(folder: str | Path) -> list[Path]:
    """List the images of a folder (not of its subfolders), sorted by name; raises UserError where there is none."""
    files = sorted(path for path in _existing(folder).iterdir() if path.is_file())
    images = [path for path in files if is_image(path)]
    if not images:
        others = ", ".join(sorted({path.suffix for path in files} - {""}))
        hint = f" (it holds {others} files)" if others else ""
        raise UserError(f"{folder}: no image in it{hint}; read are {', '.join(IMAGE_TYPES)}")
    return images


def unlabeled(folder: str | Path) -> list[Pair]:
    """List the images of a folder as pairs without masks, such as photos of undamaged road; raises as `photos`."""
    return [Pair(name_of(path), path) for path in photos(folder)]


def layout_of(folder: str | Path) -> str:
    """Tell the layout of a set's folder from its subfolders.

    Raises UserError: no layout fits, or more than one does; the message lists what was looked for and, if the
    folder holds sets instead of being one, their names.
    """
    folder = _existing(folder)
    layouts = fitting(folder)
    if len(layouts) == 1:
        return layouts[0]
    if layouts:
        raise UserError(f"{folder}: fits the layouts {' and '.join(layouts)}; name one with layout=")
    parts = {name: dict.fromkeys(filter(None, sum(splits.values(), ()))) for name, splits in LAYOUTS.items()}
    looked_for = "; ".join(f"{name}: {' '.join(f'{part}/' for part in of)}" for name, of in parts.items())
    remedy = ""
    if sets := [child.name for child in _folders(folder) if fitting(child)]:
        remedy = f"; give one of the sets inside it: {', '.join(sets)}"
    elif any(is_image(path) for path in folder.iterdir()):
        remedy = "; if it holds photos of undamaged road, train with the layout 'photos'"
    raise UserError(f"{folder}: is no data set in a known layout{remedy} (looked for {looked_for})")


def find_set(folder: Path, layout: str) -> Path:
    """Return the folder that has a layout: this one, or the only one nearest below it, at most 3 levels deep.

    Raises UserError: there is none (the folders that are there are listed), or several on one level.
    """
    level = [_existing(folder)]
    for _ in range(_LEVELS + 1):
        sets = [path for path in level if layout in fitting(path)]
        if len(sets) > 1:
            names = ", ".join(map(str, sets))
            raise UserError(f"{folder}: holds several sets of the layout {layout}: give one of {names}")
        if sets:
            return sets[0]
        level = [child for path in level for child in _folders(path)]
    there = ", ".join(f"{path.name}/" for path in _folders(folder)[:10])
    raise UserError(f"no set of the layout {layout} in {folder.name}; it holds {there or 'no folder'}")


def first_set(data_root: str | Path) -> Path | None:
    """Find a data set in a folder of sets: DeepCrack where it is there, else the first by name.

    Returns None for an empty name, so that a chapter's `data_root = ""` means synthetic roads.
    Raises UserError: there is no such folder, or no data set in it.
    """
    if not str(data_root):
        return None
    sets = [child for child in _folders(_existing(data_root)) if len(fitting(child)) == 1]
    if not sets:
        raise UserError(f"{data_root}: holds no data set, such as deepcrack/ or cfd/")
    return min(sets, key=lambda child: (child.name != "deepcrack", child.name))


def pairs(folder: str | Path, layout: str = "auto", split: str = "train") -> list[Pair]:
    """List the photos of a set with their masks, sorted by name.

    folder: folder of one set. layout: `auto` or a name in `LAYOUTS`. split: `train`, `val` or `test`; `cfd` and
    `plain` have no split and give all for each.
    Raises UserError: unknown layout or split, a missing folder, photos without masks, masks without photos, or two
    files of one name. All such files are listed.
    """
    listed, problems = pair_up(folder, layout, split)
    raise_for(list(problems.values()), f"{folder}: photos and masks do not pair up")
    if not listed:
        raise UserError(f"{folder}: no photo with a mask in the split {split!r}")
    return listed


def pair_up(
    folder: str | Path, layout: str = "auto", split: str = "train"
) -> tuple[list[Pair], dict[Path, str]]:
    """Like `pairs`, but return the problems beside the pairs: for each file in question what is wrong."""
    folder = _existing(folder)
    check_value("layout", layout, ("auto", *LAYOUTS))
    layout = layout_of(folder) if layout == "auto" else layout
    check_value(f"split of the layout {layout}", split, tuple(LAYOUTS[layout]))
    image_dir, mask_dir = split_folders(folder, layout, split)
    image_types = (".jpg", ".jpeg") if image_dir == mask_dir else IMAGE_TYPES
    mask_types = {"cfd": (".mat",), "crack500": (".png",)}.get(layout, IMAGE_TYPES)
    problems: dict[Path, str] = {}
    images = _by_stem(image_dir, image_types, problems)
    if mask_dir is None:
        return [Pair(stem, path) for stem, path in sorted(images.items())], problems
    masks = _by_stem(mask_dir, mask_types, problems)
    known_unlabeled = _CFD_UNLABELED if layout == "cfd" else set()
    for own, others, lacking, where, types in (
        (images, masks, "mask", mask_dir, mask_types),
        (masks, images, "photo", image_dir, image_types),
    ):
        for stem in sorted(own.keys() - others.keys() - known_unlabeled):
            expected = f"expected {where / stem} with {' or '.join(types)}"
            problems[own[stem]] = f"{own[stem]}: has no {lacking}; {expected}{near(stem, others)}"
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())], problems


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a photo, uint8 `(H, W, 3)`, and its mask, bool `(H, W)` or None.

    Raises UserError: a file cannot be read, or the two differ in size; then a hint tells whether one is turned.
    """
    image = read_image(pair.image)
    crack_mask = None if pair.mask is None else read_mask(pair.mask)
    if crack_mask is not None and crack_mask.shape != image.shape[:2]:
        sizes = [f"{width}×{height}" for height, width in (crack_mask.shape, image.shape[:2])]
        is_turned = crack_mask.shape == image.shape[1::-1]
        hint = " (one is turned: the photo stands as its EXIF tag says)" if is_turned else ""
        raise UserError(f"{pair.mask}: is {sizes[0]}, its photo {pair.image.name} {sizes[1]}{hint}")
    return image, crack_mask


def fitting(folder: Path) -> list[str]:
    """List the layouts that a folder's subfolders fit."""
    there = {child.name for child in folder.iterdir() if child.is_dir()}
    fits = {
        "deepcrack": there & {"train_img", "test_img"},
        "cfd": {"image", "groundTruth"} <= there,
        "crack500": there & {"traincrop", "valcrop", "testcrop"},
        "crack500_authors": (folder / _AUTHORS).is_dir() or (folder / _AUTHORS_TEST).is_dir(),
        "plain": any(set(names) <= there for names in _PLAIN),
    }
    return [name for name, fit in fits.items() if fit]


def split_folders(folder: Path, layout: str, split: str) -> tuple[Path, Path | None]:
    """Return the folders of a split's photos and masks. Raises `UserError` if one is missing."""
    choices = _PLAIN if layout == "plain" else (LAYOUTS[layout][split],)
    names = next((pair for pair in choices if (folder / pair[0]).is_dir()), choices[0])
    image_dir, mask_dir = (folder / name if name else None for name in names)
    if layout == "crack500" and (image_dir / image_dir.name).is_dir():
        image_dir = mask_dir = image_dir / image_dir.name  # the archives unpack to traincrop/traincrop/
    missing = dict.fromkeys(path for path in (image_dir, mask_dir) if path and not path.is_dir())
    raise_for(
        [f"{path}: there is no such folder" for path in missing],
        f"{folder}: the split {split!r} of the layout {layout} is not there",
    )
    return image_dir, mask_dir


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: there is no such folder")
    return Path(folder)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."]


def _by_stem(folder: Path, types: tuple[str, ...], problems: dict[Path, str]) -> dict[str, Path]:
    """Map file names without ending to the files of these types; note two files of one name."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in types or path.name[0] == "." or not path.is_file():
            continue
        first = files.setdefault(name_of(path), path)
        if first is not path:
            problems[path] = f"{path}: has the same name as {first.name}; keep one"
    return files
