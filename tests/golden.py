"""What the kit computes from fixed inputs: the values that `golden.json` holds and `test_golden.py` compares.

    python tests/golden.py --write     after a change that is meant to move numbers (see upcrack_lite/versions.py)

Each case gives values of three kinds. `exact`: integers and rounded numbers that are the same on every machine.
`near`: floating-point results that other machines give within 1e-4. `here`: digests and counts that are the same only
where the arithmetic is, which `fingerprint` says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from upcrack_lite import masks
from upcrack_lite.baselines import training_free
from upcrack_lite.baselines.recipes import FamilyPreset
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, FAMILIES, learns_from_masks, preset_of
from upcrack_lite.baselines.trainer import train_method
from upcrack_lite.baselines.training_free import find, segment_all, select_variant
from upcrack_lite.data.crops import CropRule, free_places, undamaged_crops
from upcrack_lite.data.layouts import Pair
from upcrack_lite.data.partition import draw_partition, patch_places
from upcrack_lite.data.reading import loss_by_resizing, read_mask, resize, resize_mask
from upcrack_lite.data.synthetic import synthetic_road, synthetic_set
from upcrack_lite.detection import VARIANTS, compare, smooth, smooth_and_threshold, threshold_of
from upcrack_lite.generator import Generator
from upcrack_lite.images import to_tensor, to_uint8
from upcrack_lite.metrics import (
    METRICS,
    auroc,
    average_precision,
    bootstrap_interval,
    histograms,
    ods,
    ois,
    per_image,
    pooled,
)
from upcrack_lite.predict.model import load_model
from upcrack_lite.predict.scoring import count_photo
from upcrack_lite.pretrained import stored_run
from upcrack_lite.recipes import RECIPES, SCALES, preset
from upcrack_lite.reproduction.photo_sets import SYNTHETIC_VERSION
from upcrack_lite.reproduction.record_files import MapCounts
from upcrack_lite.reproduction.run import NetworkDetector
from upcrack_lite.runs import RunFolder, weights_hash
from upcrack_lite.thin_shapes import cldice, tolerance_counts, tolerance_f1
from upcrack_lite.training import make_batch, train
from upcrack_lite.versions import testing_version, training_version

FILE = Path(__file__).with_name("golden.json")
SIDE = 64
SIDES = ((16, 0), (16, 3), (9, 4))  # of windows, with margins
TINY = {"size": SIDE, "depth": 6, "width": 4, "disc_width": 4, "load_size": 72, "mask_cells": (32, 16, 8)}
LEARN = {"epochs": 3, "batch_size": 4, "validate_every": 1}

Values = dict[str, dict[str, Any]]
CASES: dict[str, Callable[[], Values]] = {}


def case(function: Callable[..., Values], *words: Any) -> None:
    """Register a case under its function's name and words."""
    name = " ".join([function.__name__.strip("_").replace("_", " "), *map(str, words)])
    CASES[name] = lambda: function(*words)


def digest(values: Any) -> str:
    """A short digest of an array, or of plain values."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    if not isinstance(values, np.ndarray):
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    head = f"{values.dtype} {values.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def rounded(value: Any) -> Any:
    """Numbers with nine significant digits; the rest as it is."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, np.ndarray):
        return rounded(value.tolist())
    return float(f"{value:.9g}") if isinstance(value, float) else value


@cache
def fingerprint() -> dict[str, Any]:
    """What the last bits depend on: versions, kind of CPU, threads, and a probe of the arithmetic without the kit.

    The probe sees what versions do not: kernels that are chosen by the size of a cache, for instance.
    """
    draws = torch.Generator().manual_seed(0)
    total = hashlib.sha256()
    for size, channels in ((64, 3), (32, 8), (16, 32), (8, 64), (128, 16)):
        x = torch.randn(4, channels, size, size, generator=draws).requires_grad_()
        for kernel, stride, move in ((4, 2, 1), (3, 1, 1), (1, 1, 0)):
            weight = torch.randn(16, channels, kernel, kernel, generator=draws).requires_grad_()
            y = functional.conv2d(x, weight, stride=stride, padding=move)
            back = functional.conv_transpose2d(y, weight, stride=stride, padding=move)
            functional.batch_norm(back, None, None, training=True).tanh().square().mean().backward()
            total.update(y.detach().numpy().tobytes() + weight.grad.numpy().tobytes())
        flat = x.detach().flatten(2)
        total.update((flat @ flat.transpose(1, 2)).numpy().tobytes() + x.grad.numpy().tobytes())
        gray = x.detach()[0, 0].numpy()
        total.update(cv2.GaussianBlur(gray, (0, 0), 2.0).tobytes() + np.exp(np.sin(gray)).tobytes())
        total.update(cv2.bilateralFilter((gray * 40).clip(0, 255).astype(np.uint8), 25, 150, 15).tobytes())
    return {
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "scikit-image": skimage.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "probe": total.hexdigest()[:16],
    }


# --- Inputs that no machine can draw otherwise ---------------------------------------------------------------


@cache
def _noise(count: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Smooth noise with dark lines, uint8 ``(count, height, width, 3)``, made by whole numbers alone."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(60, 200, (count, height // 8 + 1, width // 8 + 1, 3)).repeat(8, 1).repeat(8, 2)
    images = (coarse[:, :height, :width] + rng.integers(-20, 20, (count, height, width, 3))).astype(np.uint8)
    for index, crack_mask in enumerate(_lines(count, height, width)):
        images[index][crack_mask] //= 3
    return images


@cache
def _lines(count: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Slanted lines of two to five pixels, bool ``(count, height, width)``."""
    y, x = np.mgrid[:height, :width]
    return np.stack(
        [abs((3 + i) * y - (5 + 2 * i) * x + 40 * i) % (97 + 8 * i) < 12 + 3 * i for i in range(count)]
    )


@cache
def _pseudo_weights() -> Path:
    """A file of VGG-16 with small fixed weights, which keep the size of their input from layer to layer."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    network = torchvision.models.vgg16(weights=None).features
    rng, state = np.random.default_rng(11), {}
    for name, tensor in network.state_dict().items():
        fan = tensor[0].numel() if tensor.ndim == 4 else 1
        draw = rng.integers(-1000, 1001, tuple(tensor.shape)).astype(np.float32) / 1000
        scale = (6 / fan) ** 0.5 if tensor.ndim == 4 else 0.05
        state[f"features.{name}"] = torch.from_numpy(draw * np.float32(scale)).half()
    save_file(state, folder / "vgg16.safetensors")
    return folder / "vgg16.safetensors"


# --- Training ------------------------------------------------------------------------------------------------


def _learned(run: RunFolder, version: int) -> Values:
    """Log and weights of a run. The first epoch is near on every machine; later ones follow signs of gradients."""
    log = run.log()
    first = {name: value for name, value in log[0].items() if name not in ("seconds", "epoch", "steps")}
    rates = [[value for name, value in row.items() if name.startswith("lr")] for row in log]
    weights = run.load_weights()
    keys = ("epochs_done", "steps_done", "best_epoch", "crops_trained", "crops_validated")
    said = {name: run.manifest[name] for name in keys} | {"version": version, "tensors": len(weights)}
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in log]
    return {
        "exact": said | {"rates": rounded(rates)},
        "near": first,
        "here": {"weights": weights_hash(weights)[:16], "log": digest(rows)},
    }


def training_UP_CrackNet(recipe: str, *settings: Any) -> Values:
    """Three epochs of a tiny network, with all five losses where no setting says otherwise."""
    values = {**TINY, **LEARN, "lambda_style": 10.0, "style_network": "vgg16", "patience": 0}
    values |= dict(zip(settings[::2], settings[1::2], strict=True))
    chosen = preset(recipe, "lite", **values)
    weights = str(_pseudo_weights()) if chosen.lambda_style else None
    with tempfile.TemporaryDirectory() as folder:
        groups = [f"photo {i // 2}" for i in range(16)]
        where = {"device": "cpu", "progress": False, "vgg_weights": weights}
        run = train(_noise(16), chosen, Path(folder) / "run", groups=groups, seed=3, **where)
        return _learned(run, training_version(CRACKNET))


case(training_UP_CrackNet, "paper", "validation_share", 0.375)
case(training_UP_CrackNet, "released", "validation_share", 0.375)
case(training_UP_CrackNet, "paper", "lambda_style", 0.0, "mask_family", "striped", "beta1", 0.9)
case(
    training_UP_CrackNet,
    "released",
    "lambda_style",
    0.0,
    "mask_family",
    "jumbled",
    "patience",
    1,
    "lr_decay",
    0.5,
)
case(training_UP_CrackNet, "paper", "lambda_style", 0.0, "lambda_adv", 0.0, "hole_fill", 0.5, "flip", False)


def training_and_map(method: str) -> Values:
    """Three epochs of a narrow network, and what it then makes of two photos."""
    chosen = preset_of(method, "paper", "lite", size=SIDE, width=0.125, **LEARN, validation_share=0.2)
    crack_masks = _lines(8) if learns_from_masks(method) else None
    with tempfile.TemporaryDirectory() as folder:
        where = {"device": "cpu", "progress": False}
        place = Path(folder) / "run"
        run = train_method(_noise(8), chosen, place, crack_masks=crack_masks, seed=3, **where)
        found = _learned(run, training_version(method))
        model = load_model(run)
        maps = model.score_map(to_tensor(_noise(8)[:2]), 5)
        smoothed, cuts = model.smooth_and_threshold(maps)
    found["exact"]["testing version"] = testing_version(method)
    found["here"] |= {
        "map": digest(maps),
        "smoothed": digest(to_uint8(smoothed)),
        "cuts": rounded(cuts.tolist()),
    }
    return found


for _method in COMPARED:
    case(training_and_map, _method)


def choice_without_training(method: str) -> Values:
    """Counts of every variant of a family on two roads, the one chosen, and its map of a third."""
    roads = [synthetic_road(256, [31, index]) for index in range(3)]
    chosen = FamilyPreset.make(method, "lite")
    with tempfile.TemporaryDirectory() as folder:
        photos, crack_masks = (np.stack(part) for part in zip(*roads[:2], strict=True))
        run = select_variant(photos, chosen, Path(folder) / "run", crack_masks=crack_masks, progress=False)
        kept = run.load_weights()
    variant = chosen.variants[int(kept["chosen"])]
    found = find(roads[2][0], variant)
    total = per_image(found.crack_mask, roads[2][1])[0]
    return {
        "exact": {
            "version": [training_version(method), testing_version(method)],
            "variants": len(kept["counts"]),
        },
        "near": {"mean": float(found.score_map.mean()), "deviation": float(found.score_map.std())},
        "here": {
            "counts": digest(kept["counts"]),
            "chosen": variant.name,
            "map": digest(found.score_map),
            "smoothed": digest((found.smoothed * 255).round().astype(np.uint8)),
            "confusion": [total.tp, total.fp, total.fn, total.tn],
            "threshold": rounded(found.threshold),
        },
    }


for _method in FAMILIES:
    case(choice_without_training, _method)


# --- Parts ---------------------------------------------------------------------------------------------------


def masks_and_batches() -> Values:
    """Masks of every family, and what augmentation makes of one batch in both orders."""
    exact: dict[str, Any] = {}
    for family in ("multi_scale_square", "striped", "jumbled"):
        draws = torch.Generator().manual_seed(5)
        cells = (32, 16, 8) if family == "multi_scale_square" else None
        exact[family] = digest(masks.draw(family, 12, SIDE, draws, cells))
    near, here = {}, {}
    for before in (False, True):
        chosen = preset("paper", "lite", **TINY, mask_before_resize=before)
        batch = make_batch(to_tensor(_noise(6)), chosen, torch.Generator().manual_seed(5))
        for name in ("image", "masked", "mask"):
            tensor = getattr(batch, name)
            near[f"{name} {before}"], here[f"{name} {before}"] = tensor.std().item(), digest(tensor)
    return {"exact": exact, "near": near, "here": here}


def generator_at_test() -> Values:
    """What the stored network makes of roads, with each choice of the test set otherwise."""
    generator_run = stored_run()
    roads = synthetic_set(2, 128, 77)
    image = to_tensor(roads.images)
    near, here = {}, {}
    base = load_model(generator_run).preset
    for name, value in (
        ("error_variant", base.error_variant),
        *(("error_variant", variant) for variant in VARIANTS if variant != base.error_variant),
        ("input_stretch", not base.input_stretch),
        ("test_statistics", "running"),
        ("test_dropout", False),
    ):
        model = load_model(generator_run, settings={name: value})
        maps = torch.cat([model.score_map(one[None], 9) for one in image])
        smoothed, cuts = model.smooth_and_threshold(maps)
        counts = pooled(per_image(smoothed > cuts.view(-1, 1, 1, 1), roads.crack_masks[:, None]))
        where = f"{name} {value}"
        near |= {f"{where}: mean": maps.mean().item(), f"{where}: smoothed": smoothed.mean().item()}
        here[where] = [digest(to_uint8(maps)), digest(to_uint8(smoothed)), *rounded(cuts.tolist())]
        here[where] += [counts.tp, counts.fp, counts.fn, counts.tn]
    photo = synthetic_road(180, [77, 5])[0]
    windows = load_model(generator_run, settings={"test_dropout": False}, window=96).score_photo(photo)
    near["windows"], here["windows"] = windows.mean().item(), digest(to_uint8(windows))
    tables = NetworkDetector(load_model(generator_run), 9).find(photo, None)  # the tables' way: 256 px
    near["tables"] = float(tables.score_map.mean())
    here["tables"] = [digest((tables.smoothed * 255).round().astype(np.uint8)), rounded(tables.threshold)]
    fresh = Generator(4, 6, 0.5)
    exact = {
        "version": testing_version(CRACKNET),
        "parameters": sum(one.numel() for one in fresh.parameters()),
    }
    restored, _ = compare(
        fresh.eval(), to_tensor(_noise(2)), preset("paper", "lite", **TINY, test_dropout=False)
    )
    exact["range"] = bool(restored.abs().max() <= 1)
    return {"exact": exact, "near": near, "here": here}


def filters_and_thresholds() -> Values:
    """Bilateral and Gaussian filter, and every rule of the threshold, on a map of whole gray levels."""
    levels = (_noise(2)[..., 0] // 2).astype(np.float32) / 255
    errors = torch.from_numpy(levels)[:, None]
    exact, near, here = {}, {}, {}
    for filter in ("bilateral", "gaussian", "none"):
        smoothed = smooth(errors, 25, 150.0, 15.0, filter)
        near[filter], here[filter] = smoothed.std().item(), digest(to_uint8(smoothed))
    for d, color, space in ((9, 150.0, 15.0), (23, 150.0, 15.0), (25, 40.0, 15.0), (25, 150.0, 6.0)):
        here[f"bilateral {d} {color} {space}"] = digest(to_uint8(smooth(errors, d, color, space)))
    for rule, value in (("otsu", 1.0), ("otsu_factor", 1.3), ("fixed", 0.3), ("percentile", 93.0)):
        exact[rule] = rounded(threshold_of(errors, rule, value).tolist())
    exact["floor"] = rounded(threshold_of(errors, "otsu", floor=0.45).tolist())
    smoothed, cuts = smooth_and_threshold(errors, preset("paper", "lite"))
    here["together"] = [digest(to_uint8(smoothed)), *rounded(cuts.tolist())]
    return {"exact": exact, "near": near, "here": here}


def maps_without_training() -> Values:
    """Each map at two smoothings, and what every variant of one family marks."""
    gray = training_free.to_gray(_noise(1, 96, 128)[0])
    near, here = {}, {}
    for name, function in training_free.MAPS.items():
        for sigma in (0.0, 1.5):
            found = function(gray, sigma)
            near[f"{name} {sigma}"], here[f"{name} {sigma}"] = float(np.abs(found).mean()), digest(found)
    marked = segment_all(_noise(1, 96, 128)[0], FamilyPreset.make("tf_local_darkness", "lite").variants)
    here["marked"] = [int(one.sum()) for one in marked]
    return {"exact": {"families": sorted(FAMILIES)}, "near": near, "here": here}


def values_of_every_method() -> Values:
    """All values that the methods are trained and tested with: a number moved here moves results."""
    found = {}
    for recipe in RECIPES:
        for scale in SCALES:
            found[f"{recipe} {scale}"] = preset(recipe, scale).to_dict()
    for method in (*COMPARED, *FAMILIES):
        for scale in ("full", "lite"):
            found[f"{method} {scale}"] = preset_of(method, "paper", scale).to_dict()
    return {"exact": rounded(found), "near": {}, "here": {}}


def metrics_of_masks_and_maps() -> Values:
    """Every score, of masks and maps that whole numbers make."""
    rng = np.random.default_rng(3)
    truth = _lines(5, 48, 64)
    guess = np.roll(truth, 2, axis=2) & (rng.integers(0, 10, truth.shape) > 1) | (
        rng.integers(0, 40, truth.shape) == 0
    )
    guess[3], truth = False, truth.copy()
    truth[4] = False
    levels = rng.integers(0, 180, truth.shape) + 60 * truth
    maps = (levels / 256).astype(np.float32)
    counts, hist = per_image(guess, truth), histograms(maps, truth)
    grouped = MapCounts.of(hist)
    near = tolerance_counts(guess, truth, 2)
    rows = [count_photo(*one).row for one in zip("abcde", guess, truth, maps, strict=True)]
    total = pooled(counts)
    exact = {
        "counts": [[one.tp, one.fp, one.fn, one.tn] for one in counts],
        "pooled": total.to_dict() | {"crack_share": total.prevalence},
        "intervals": {name: bootstrap_interval(counts, name) for name in METRICS},
        "maps": {"ods": ods(hist), "ois": ois(hist), "ap": average_precision(hist), "auroc": auroc(hist)},
        "grouped": {"ois": grouped.ois(), "groups": digest(grouped.groups), "best": digest(grouped.best)},
        "tolerance": [near.tolist(), tolerance_f1(near), tolerance_counts(guess, truth, 3).tolist()],
        "cldice": [None if np.isnan(one) else float(one) for one in cldice(guess, truth)],
        "histograms": digest(hist),
        "rows": digest(json.loads(json.dumps(rounded(rows)))),
    }
    return {"exact": rounded(exact), "near": {}, "here": {}}


def sizes_and_labels() -> Values:
    """Photos and masks stretched by both rules, and label files read, at the very edge of what is crack."""
    exact, here = {}, {}
    for height, width, size in ((96, 144, 64), (96, 144, 40), (50, 40, 96), (64, 64, 64)):
        photo, crack_mask = _noise(1, height, width)[0], _lines(1, height, width)[0]
        for rule in ("area", "nearest"):
            small, label = resize(photo, crack_mask, size, rule)
            where = here if rule == "area" and size != height else exact  # averages may round otherwise
            where[f"photo {height}x{width} to {size}, {rule}"] = digest(small)
            exact[f"mask {height}x{width} to {size}, {rule}"] = digest(label)
    half = np.zeros((8, 8), bool)
    half[:, ::2] = True  # bilinear between 0 and 255: 128 of 255 everywhere
    exact["half"] = int(resize_mask(half, 4).sum())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "label.png"
        ramp = np.where(np.arange(4096) % 3, 0, 255).astype(np.uint8).reshape(64, 64)
        ramp[0, :60] = np.arange(98, 158)  # few grays, on both sides of the limit
        cv2.imwrite(str(path), ramp)
        exact["label of 8 bits"] = int(read_mask(path).sum())
        cv2.imwrite(str(path), ramp.astype(np.uint16) * 257)
        exact["label of 16 bits"] = int(read_mask(path).sum())
        cv2.imwrite(str(path), np.dstack([ramp, ramp // 2, ramp // 3]))
        exact["label in color"] = int(read_mask(path).sum())
        from scipy.io import savemat

        kinds = np.tile(np.arange(6, dtype=np.uint8), (4, 2))
        savemat(Path(folder) / "001.mat", {"groundTruth": {"Segmentation": kinds}})
        exact["label of CFD"] = read_mask(Path(folder) / "001.mat").astype(int).tolist()
    lost = loss_by_resizing(list(_lines(4, 120, 160)), 48)
    exact["lost"] = rounded({name: getattr(lost, name) for name in lost.__dataclass_fields__})
    exact["bytes"] = digest(to_uint8(to_tensor(_noise(2))))
    return {"exact": exact, "near": {"tensor": to_tensor(_noise(2)).mean().item()}, "here": here}


def crops_and_patches() -> Values:
    """Undamaged crops of four photos at their own size, places of patches, and a partition by group."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = []
        for index, (photo, crack_mask) in enumerate(
            zip(_noise(4, 160, 200), _lines(4, 160, 200), strict=True)
        ):
            crack_mask = crack_mask & (np.arange(200) > 90)  # the left of a photo is free
            image, mask = Path(folder) / f"{index}.png", Path(folder) / f"{index}_mask.png"
            cv2.imwrite(str(image), photo)
            cv2.imwrite(str(mask), crack_mask.astype(np.uint8) * 255)
            pairs.append(Pair(str(index), image, mask))
        exact = {}
        rules = {"(48, 32)": CropRule((48, 32), 8, 3, 48, 2), "32": CropRule((32,), 8, 3, 32, 2, stride=4)}
        for windows, rule in rules.items():
            cut = undamaged_crops(pairs, rule)
            rows = [[row["name"], row["x"], row["y"], row["window"]] for row in cut.rows]
            unresized = (row["window"] == rule.size for row in cut.rows)
            whole = [image for image, keep in zip(cut.images, unresized, strict=True) if keep]
            exact[f"crops {windows}"] = [rows, cut.groups, digest(np.stack(whole))]
        dots = np.random.default_rng(4).integers(0, 300, (60, 80)) == 0  # many windows hold one pixel or none
        exact["free places"] = [
            [side, margin, digest(free_places(dots, side, margin))] for side, margin in SIDES
        ]
        usual = undamaged_crops(pairs, CropRule((40,), 6))
        exact["crops as usual"] = [[row["x"], row["y"]] for row in usual.rows]
    exact["patches"] = patch_places([(320, 480)] * 6, 9, 256, 0, 0.4)
    exact["partition"] = draw_partition([f"group {i}" for i in range(12)], seed=0)
    return {"exact": json.loads(json.dumps(exact)), "near": {}, "here": {}}


def synthetic_roads() -> Values:
    """Drawn roads of both surfaces: their means, and digests of photo and label."""
    near, here = {}, {}
    for surface in ("asphalt", "concrete"):
        for crack in (True, False):
            photo, crack_mask = synthetic_road(128, [5, 1], surface, crack=crack)
            name = f"{surface} {crack}"
            near[name], here[name] = float(photo.mean()), [digest(photo), digest(crack_mask)]
    many = synthetic_set(3, 64, 9, crack_free=0.5)
    here["set"] = [digest(many.images), digest(many.crack_masks)]
    return {"exact": {"version": SYNTHETIC_VERSION}, "near": near, "here": here}


for _function in (
    masks_and_batches,
    generator_at_test,
    filters_and_thresholds,
    maps_without_training,
    values_of_every_method,
    metrics_of_masks_and_maps,
    sizes_and_labels,
    crops_and_patches,
    synthetic_roads,
):
    case(_function)


def made(name: str) -> Values:
    """The values of one case, on one thread and as JSON gives them back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return json.loads(json.dumps(CASES[name]()))
    finally:
        torch.set_num_threads(threads)


def main() -> None:
    """Write `golden.json`, or say which cases differ from it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    now = {"fingerprint": fingerprint(), "cases": {name: made(name) for name in CASES}}
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"cases": {}}
    for name in sorted(now["cases"].keys() | before["cases"].keys()):
        if now["cases"].get(name) != before["cases"].get(name):
            print(f"differs: {name}")
    if args.write:
        FILE.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
