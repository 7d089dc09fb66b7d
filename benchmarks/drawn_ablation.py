"""What matters in the drawn-crack detector: one value is changed at a time, everything else stays.

    python benchmarks/drawn_ablation.py --data-root data --runs runs --out results/drawn_ablation.json

Networks of scale lite learn from synthetic roads alone, as `upcrack cell` trains them, whose runs are used. Each is
tested on unseen synthetic roads and on undamaged crops of DeepCrack, and then on every fourth test photo of DeepCrack
and CFD at its own size.
The file holds pooled counts; what stands in it already is not done again, and chapter 18 shows it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import second_channel
import torch
import typer

from upcrack_lite.baselines.registry import DRAWN
from upcrack_lite.data.crops import read_crops
from upcrack_lite.data.layouts import pairs, read_pair
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.drawn.detect import load_network, score_map
from upcrack_lite.io import write_json
from upcrack_lite.metrics import Confusion
from upcrack_lite.reproduction.experiments import Experiment, RunOptions
from upcrack_lite.reproduction.run import train_experiment
from upcrack_lite.runs import RunFolder, environment
from upcrack_lite.show.drawn import BASE

SIZE, ROADS, EVERY = 256, 60, 4
LOOK_ALIKES = ("stones", "stains", "pits", "shadows", "paint", "veins", "grooves")
TRAINED: dict[str, dict[str, Any]] = {
    BASE: {},
    "no look-alikes": dict.fromkeys(LOOK_ALIKES, 0.0),
    "no stones": {"stones": 0.0},
    "hairlines as they are": {"full_from": 1.0},
    "no shadows": {"shadows": 0.0},
    "no stains": {"stains": 0.0},
    "no pits": {"pits": 0.0},
    "no lines that are no cracks": dict.fromkeys(("paint", "veins", "grooves"), 0.0),
    "label at half the coverage": {"label_level": 0.5},
    "no whole roads": {"whole": 0.0, "given": 0.9},
}
"""Name of a change to values of the training."""

TESTED: dict[str, dict[str, Any]] = {
    "own size alone": {"octaves": 1, "enlarge_below": 0},
    "own size and 1/2": {"octaves": 2, "enlarge_below": 0},
    "own size, 1/2, 1/4": {"octaves": 3, "enlarge_below": 0},
}
"""Name of a change to values of the detection; the network is the one that is as it is."""

SECOND = "UP-CrackNet's error beside"
"""A change of the network: `second_channel` says which."""

Photos = list[tuple[np.ndarray, np.ndarray]]
Detector = Callable[[np.ndarray], np.ndarray]


def photos(data_root: Path) -> dict[str, Photos]:
    """Photos and crack masks by the name of the test; of undamaged crops the masks are empty."""
    roads = synthetic_set(ROADS, SIZE, 555)
    crops = read_crops(data_root / "deepcrack_undamaged", SIZE).images[::6]
    return {
        "synthetic": list(zip(roads.images, roads.crack_masks, strict=True)),
        "undamaged": [(crop, np.zeros(crop.shape[:2], bool)) for crop in crops],
    } | {
        name: [read_pair(pair) for pair in pairs(data_root / name, "auto", "test")[::EVERY]]
        for name in ("deepcrack", "cfd")
    }


def train(change: dict[str, Any], seed: int, runs: Path) -> RunFolder:
    """Train with a change of the recipe; a run that is finished is left as it is."""
    experiment = Experiment(DRAWN, "paper", "lite", tuple(change.items()), *("synthetic",) * 2, seed)
    options = RunOptions(device="cpu", precision="bf16-mixed")
    return train_experiment(experiment, "", runs, options, progress=False)


def detector(run: RunFolder, change: dict[str, Any]) -> Detector:
    """From a photo, uint8 ``(H, W, 3)``, to the probability of crack, with a change of the detection."""
    network, preset = load_network(run)
    return partial(score_map, network, replace(preset, **change))


def test(find: Detector, tests: dict[str, Photos]) -> dict[str, list[int]]:
    """Pooled tp, fp, fn, tn for each test."""
    counts = {}
    for name, some in tests.items():
        total = sum((Confusion.of(find(photo) > 0.5, truth) for photo, truth in some), Confusion())
        counts[name] = [total.tp, total.fp, total.fn, total.tn]
    return counts


def main(
    data_root: Annotated[Path, typer.Option(help="Folder with deepcrack, deepcrack_undamaged and cfd.")],
    runs: Annotated[Path, typer.Option(help="Folder for the trainings.")],
    out: Annotated[Path, typer.Option(help="JSON file that grows.")],
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0.")] = 3,
    change: Annotated[list[str] | None, typer.Option(help="A change by its name; all without it.")] = None,
) -> None:
    """Train and test what the file lacks."""
    torch.set_num_threads(1)
    known = [*TRAINED, *TESTED, SECOND]
    if wrong := [name for name in change or [] if name not in known]:
        raise typer.BadParameter(f"unknown change {', '.join(wrong)}; choose from: {'; '.join(known)}")
    lines = json.loads(out.read_text()) if out.is_file() else []
    done = {(line["change"], line["seed"]) for line in lines}
    tests = photos(data_root)
    for seed, name in itertools.product(range(seeds), change or known):
        if (name, seed) in done:
            continue
        if name == SECOND:
            find = second_channel.detector(second_channel.train(seed, runs / f"second-channel-s{seed}"))
        else:
            find = detector(train(TRAINED.get(name, {}), seed, runs), TESTED.get(name, {}))
        counts = test(find, tests)
        line = {"change": name, "seed": seed, "commit": environment()["commit"]["id"], "counts": counts}
        lines.append(line)
        write_json(out, lines)
        typer.echo(f"{name}, seed {seed}: {counts}")


if __name__ == "__main__":
    typer.run(main)
