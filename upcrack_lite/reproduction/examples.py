"""Photos of a test set for a figure: where they come from, what a run marks on them, and which of them to show.

Masks are compared as in the tables: at 256 × 256 px, one photo at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from upcrack_lite.baselines.registry import preset_from
from upcrack_lite.data.crops import is_crop_folder, read_crops
from upcrack_lite.data.layouts import Pair, read_pair
from upcrack_lite.data.reading import resize, resize_mask
from upcrack_lite.data.synthetic import synthetic_road
from upcrack_lite.detection import detect
from upcrack_lite.errors import UserError
from upcrack_lite.generator import restore
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.masks import apply
from upcrack_lite.metrics import Confusion
from upcrack_lite.predict.model import load_model
from upcrack_lite.pretrained import load_generator, stored_run
from upcrack_lite.recipes import DETECTION, TABLE_SIZE
from upcrack_lite.reproduction import records
from upcrack_lite.reproduction.photo_sets import photo_set
from upcrack_lite.runs import RunFolder
from upcrack_lite.training import draw_masks

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
ROADS = 60  # synthetic roads where no number is given
FIRST_SEED = 1400  # of the roads: far from those that the stored checkpoint was trained on

Method = Callable[[np.ndarray], np.ndarray]
"""A photo, uint8 `(H, W, 3)`, to a crack mask, bool `(256, 256)`."""


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos with labels that are read, or drawn, one at a time."""

    name: str  # of the set; "synthetic" for drawn roads
    names: tuple[str, ...]  # one a photo
    note: str = ""  # what a reader must know about the choice, as a sentence
    pairs: tuple[Pair, ...] = ()  # the files; empty for synthetic roads
    seed: int = 0  # of synthetic roads, as `surface`
    surface: str | None = None

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo uint8 `(H, W, 3)` at its own size, and crack mask bool `(256, 256)`.

        Raises UserError for a file that cannot be read.
        """
        if self.pairs:
            photo, crack_mask = read_pair(self.pairs[index])
        else:
            # Of one surface: other roads than those where the seed chooses the surface.
            seed = [self.seed, index] if self.surface is None else [self.seed, index, 1]
            photo, crack_mask = synthetic_road(TABLE_SIZE, seed, self.surface)
        return photo, resize_mask(crack_mask, TABLE_SIZE)


def find(
    wanted: Sequence[str],
    data_root: Path | str = "",
    count: int = 0,
    seed: int = 0,
    surface: str | None = None,
) -> Photos:
    """Find the first of the wanted test sets that is in `data_root`, or draw synthetic roads.

    wanted: names of test sets, the best one first. data_root: the folder of all sets; where it is empty or holds none
    of the wanted sets, roads are drawn, and in the second case the note says so. count: photos to take, the first by
    name; 0 takes a whole set, or 60 roads. seed, surface: of the roads; "asphalt", "concrete" or None for both.
    Raises UserError: no such folder, a negative count, or a set whose files are not as its manifest says.
    """
    if count < 0:
        raise UserError(f"count must be 0 (all photos) or more, got {count}")
    root, note = Path(data_root), ""
    if str(data_root):
        if not root.is_dir():
            raise UserError(f"{root}: no such folder of data sets; make it with `upcrack data fetch`")
        for name in wanted:
            if (root / name).is_dir():
                pairs = photo_set(name, root).pairs[: count or None]
                return Photos(name, tuple(pair.name for pair in pairs), pairs=pairs)
        note = (  # no path: what a page says should be true on every machine
            f"data_root holds no {' and no '.join(wanted)}, so these are synthetic roads. "
            f"`upcrack data fetch {wanted[0]}` gets the photos, or says how to."
        )
    first = FIRST_SEED + seed
    names = tuple(f"{surface or 'synthetic'}_{first}_{index:05d}" for index in range(count or ROADS))
    return Photos("synthetic", names, note, seed=first, surface=surface)


def open_run(run_folder: Path | str = "") -> RunFolder:
    """Open a trained run; an empty name opens the checkpoint that comes with the kit.

    Raises UserError as `RunFolder.open`.
    """
    return RunFolder.open(run_folder) if str(run_folder) else stored_run()


def trained_on(run: RunFolder) -> str:
    """Say in one sentence which roads a run was trained on."""
    name = run.manifest.get("data", {}).get("name", "unknown crops")
    if name == "synthetic":
        return "The generator was trained on synthetic roads only; it has never seen a real photo."
    return f"The generator was trained on the crops of {name}."


def method_of(run: RunFolder, seed: int = 0) -> Method:
    """A trained network as a method. seed: of UP-CrackNet's dropout noise."""
    model = load_model(run)
    return lambda photo: model.find(photo, "tables", seed).crack_mask


def shown(photo: np.ndarray) -> np.ndarray:
    """A photo stretched to `(256, 256, 3)`, as its mask is."""
    return resize(photo, None, TABLE_SIZE)[0]


def counted(photos: Photos, method: Method) -> list[Confusion]:
    """Count the pixels of every photo for a method."""
    both = (photos.read(index) for index in range(len(photos)))
    return [Confusion.of(method(photo), crack_mask) for photo, crack_mask in both]


def recorded(path: Path | str, photos: Photos, run: RunFolder, seed: int = 0) -> list[Confusion]:
    """Read the counts of the photos from the record of a run, in place of counting again.

    Raises UserError for no record, or one of another run (its checkpoint differs), of other values for detection,
    with another seed of the dropout noise, or without one of the photos.
    """
    record = records.load(path)
    if record.train.checkpoint_sha256 != run.weights_sha256():
        raise UserError(
            f"{path}: is the record of another run than {run.path}: name the run that it was made from"
        )
    if (made := record.protocol.dropout_seed) != seed:
        raise UserError(f"{path}: was made with seed {made}, not {seed}: set seed to it")
    tested, own = (preset_from(record.key.method, one) for one in (record.preset, run.manifest["preset"]))
    if differ := [name for name in DETECTION if getattr(tested, name) != getattr(own, name)]:
        raise UserError(
            f"{path}: was tested with another {', '.join(differ)} than {run.path}: name the plain record"
        )
    images = dict(zip((image.name for image in record.images), record.confusions, strict=True))
    if missing := [name for name in photos.names if name not in images]:
        raise UserError(
            f"{path}: has no counts for {len(missing)} of the {len(photos)} photos of {photos.name}, such as "
            f"{missing[0]}: it is the record of another test set ({record.key.test_set})"
        )
    return [images[name] for name in photos.names]


def at_quantiles(scores: Sequence[float], quantiles: Sequence[float] = QUANTILES) -> list[tuple[float, int]]:
    """Choose photos by rule: the ones at these quantiles of their scores, from the worst to the best.

    scores: one a photo; undefined ones (nan) are left out, equal ones stay in their order. The quantile q, 0 to 1,
    of n photos is the one of rank q (n - 1), rounded, half upwards.
    Returns pairs of a quantile and the place of its photo. A photo that stands for two quantiles is given once,
    for the lower one. Raises UserError when no score is defined.
    """
    values = np.asarray(scores, dtype=float)
    order = [int(i) for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    if not order:
        raise UserError("no photo has a score that is defined: there is nothing to choose from")
    chosen: dict[int, float] = {}
    for quantile in sorted(quantiles):
        # The small number guards products such as 0.7 * 5 = 3.4999999999999996.
        chosen.setdefault(order[int(quantile * (len(order) - 1) + 0.5 + 1e-9)], quantile)
    return [(quantile, index) for index, quantile in chosen.items()]


def undamaged_road(data_root: Path | str = "", seed: int = 0) -> np.ndarray:
    """A road without a crack, uint8 `(256, 256, 3)`: the first undamaged crop of DeepCrack in `data_root`.

    Where there is none, a synthetic one. Raises UserError for a damaged folder of crops.
    """
    folder = Path(data_root) / "deepcrack_undamaged"
    if str(data_root) and is_crop_folder(folder):
        return read_crops(folder, TABLE_SIZE).images[0]
    return synthetic_road(TABLE_SIZE, [FIRST_SEED + seed, 0], crack=False)[0]


def pipeline_pictures(
    run: RunFolder, road: np.ndarray, photo: np.ndarray, seed: int = 0
) -> dict[str, np.ndarray]:
    """What a run makes of a road without a crack in training and of a photo at test time, for Figure 1.

    road, photo: uint8 `(H, W, 3)`; both are stretched to the size of the run's generator.
    seed: of the mask and the dropout noise.
    Returns by name: "image", "masked", "restored", "photo", "restored photo", uint8 `(S, S, 3)`; "mask", bool
    `(S, S)`, False = hole; "error map" `(S, S)` and "smoothed" `(256, 256)`, float in [0, 1]; "crack mask", bool
    `(256, 256)`.
    """
    generator, preset = load_generator(run)
    image, test = (to_tensor(resize(one, None, preset.size)[0]) for one in (road, photo))  # (1, 3, S, S)
    draws = torch.Generator().manual_seed(seed)
    mask = draw_masks(1, preset, draws)
    masked = apply(image, mask, preset.hole_fill, draws)
    restored = restore(generator, masked, preset.test_statistics, preset.test_dropout, seed)
    detected = detect(generator, test, preset, seed, (TABLE_SIZE, TABLE_SIZE))
    photos = {"image": image, "masked": masked, "restored": restored}
    photos |= {"photo": test, "restored photo": detected.restored}
    return {name: to_uint8(tensor)[0] for name, tensor in photos.items()} | {
        "mask": mask[0, 0].numpy() > 0.5,
        "error map": detected.error_map[0, 0].numpy(),
        "smoothed": detected.smoothed[0, 0].numpy(),
        "crack mask": detected.crack_mask[0, 0].numpy(),
    }
