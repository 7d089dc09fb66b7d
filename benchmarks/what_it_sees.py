"""Does UP-CrackNet see cracks, or darkness? One color of the holes at a time, on DeepCrack.

    python benchmarks/what_it_sees.py --data-root data --runs runs/sees --out results/what_it_sees.json

Networks of scale lite and recipe paper learn from DeepCrack's undamaged crops, as `upcrack cell` trains them, except
for the color of the holes, the adversarial term and 16-bit arithmetic. Each is tested on DeepCrack's test photos as
they are, inverted, and with every crack brightened inside its label. The same photos without their cracks do not
exist, so a brightened crack is a drawing: `brightened` says how. Two maps that learn nothing are tested beside them:
how far a pixel lies below the photo's median, and how far from it on either side.
Scores are those of the raw map, before filter and threshold, at 256 x 256 px, pooled over the set. The file grows by
a line for each network; what stands in it already is not done again, and chapter 17 shows it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer

from upcrack_lite.baselines.training_free import bounded, global_darkness, to_gray
from upcrack_lite.data.layouts import pairs, read_pair
from upcrack_lite.data.reading import resize, resize_mask
from upcrack_lite.io import write_json
from upcrack_lite.metrics import average_precision, histograms, ods
from upcrack_lite.predict.model import load_model
from upcrack_lite.recipes import TABLE_SIZE
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.run import train_experiment
from upcrack_lite.runs import RunFolder, environment

FILLS: dict[str, float | str] = {"black": -1.0, "mean": "mean", "white": 1.0, "random": "random"}
AWAY, SIGMA, BINS = 5, 16.0, 4096

Map = Callable[[np.ndarray], np.ndarray]
Photos = list[tuple[np.ndarray, np.ndarray]]


def brightened(photo: np.ndarray, crack_mask: np.ndarray) -> np.ndarray:
    """Reflect each pixel of a crack about the brightness of the road around it: what was darker becomes brighter.

    photo: uint8 ``(H, W, 3)``; crack_mask: bool ``(H, W)``. The brightness of the road is a Gaussian mean over what
    lies at least 3 px from the label. Values are cut off at 0 and 255.
    """
    road = ~cv2.dilate(crack_mask.astype(np.uint8), np.ones((AWAY, AWAY), np.uint8)).astype(bool)
    weight = cv2.GaussianBlur(road.astype(np.float32), (0, 0), SIGMA)[..., None]  # (H, W, 1)
    around = cv2.GaussianBlur(np.where(road[..., None], photo, 0).astype(np.float32), (0, 0), SIGMA)
    around = around / np.maximum(weight, 1e-6)
    reflected = np.clip(2 * around - photo, 0, 255).round().astype(np.uint8)
    return np.where(crack_mask[..., None], reflected, photo)


VERSIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "as they are": lambda photo, crack_mask: photo,
    "inverted": lambda photo, crack_mask: 255 - photo,
    "brightened": brightened,
}


def darkness(photo: np.ndarray) -> np.ndarray:
    """How far a pixel lies below the photo's median, in interquartile ranges: float ``(256, 256)``."""
    return global_darkness(to_gray(resize(photo, None, TABLE_SIZE)[0]))


UNTRAINED: dict[str, Map] = {
    "darkness": lambda photo: bounded(darkness(photo)),
    "distance from the median": lambda photo: bounded(np.abs(darkness(photo))),
}
"""Maps in [0, 1] that learn nothing."""


def network_map(run: RunFolder, seed: int) -> Map:
    """From a photo, uint8 ``(H, W, 3)``, to the raw error map of a run, ``(256, 256)``, by the tables' protocol."""
    model = load_model(run, "cpu")
    return lambda photo: model.score_photo(photo, "tables", seed)[0, 0].numpy()


def scores(find: Map, photos: Photos) -> dict[str, dict[str, float]]:
    """For each version of the photos the average precision and the best F1 of one threshold, in percent."""
    found = {}
    for name, version in VERSIONS.items():
        counts = np.zeros((2, BINS), np.int64)
        for photo, crack_mask in photos:
            label = resize_mask(crack_mask, TABLE_SIZE)
            counts += histograms(find(version(photo, crack_mask)), label, BINS)[0]
        best, threshold = ods(counts)
        found[name] = {"ap": average_precision(counts), "f1": best, "threshold": threshold}
    return found


def train(
    fill: str, adversarial: bool, seed: int, data_root: Path, runs: Path, steps: int | None
) -> RunFolder:
    """Train with a color of the holes; a run that is finished is left as it is."""
    chosen: dict[str, Any] = {"hole_fill": FILLS[fill]} | ({} if adversarial else {"lambda_adv": 0.0})
    experiment = Experiment(overrides=tuple(chosen.items()), seed=seed)
    options = RunOptions(device="cpu", precision="bf16-mixed", max_steps=steps, allow_dirty=True)
    return train_experiment(experiment, data_root, runs, options, progress=False)


def main(
    data_root: Annotated[Path, typer.Option(help="Folder with deepcrack and deepcrack_undamaged.")],
    runs: Annotated[Path, typer.Option(help="Folder for the trainings.")],
    out: Annotated[Path, typer.Option(help="JSON file that grows.")],
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0.")] = 3,
    fill: Annotated[list[str] | None, typer.Option(help="A color of the holes; all without it.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Stop each training early, to try this file.")] = None,
    limit: Annotated[int | None, typer.Option(help="Test on so many photos, to try this file.")] = None,
) -> None:
    """Train and test what the file lacks: with the adversarial term first, seed by seed."""
    torch.set_num_threads(1)
    if wrong := [name for name in fill or [] if name not in FILLS]:
        raise typer.BadParameter(f"unknown color {', '.join(wrong)}; choose from: {', '.join(FILLS)}")
    lines = json.loads(out.read_text()) if out.is_file() else []
    done = {(line["detector"], line["adversarial"], line["seed"]) for line in lines}
    photos = [read_pair(pair) for pair in pairs(data_root / "deepcrack", "auto", "test")[:limit]]
    wanted = [(name, None, None) for name in UNTRAINED]
    wanted += itertools.product(fill or FILLS, (True, False), range(seeds))
    for name, adversarial, seed in sorted(wanted, key=lambda one: (one[1] is False, one[2] or 0)):
        if (name, adversarial, seed) in done:
            continue
        if (find := UNTRAINED.get(name)) is None:
            find = network_map(train(name, adversarial, seed, data_root, runs, max_steps), seed)
        found = scores(find, photos)
        line = {"detector": name, "adversarial": adversarial, "seed": seed, "photos": len(photos)}
        lines.append(line | {"commit": environment()["commit"], "scores": found})
        write_json(out, lines)
        typer.echo(f"{name}, adversarial {adversarial}, seed {seed}: {found}")


if __name__ == "__main__":
    typer.run(main)
