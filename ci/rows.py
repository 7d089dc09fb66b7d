"""One row of each table on synthetic roads: what `upcrack cell --table N --row R` does, a few steps long.

The same is made on the CPU, and the two are compared as far as that is possible: dropout is 0, because its noise
differs by device, and TF32 is off. A rehearsal on a CPU takes a tiny network and compares with oneDNN switched
off. Fewer roads than usual are drawn. Nothing of this is a result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import needs
from part import ROOT, TINY, Part, missing_part, parser

STEPS = 2
ROADS = {"cuda": (24, 8), "cpu": (8, 3)}  # undamaged to train on, with cracks to test on
BATCH = 4

LIMITS = {
    "loss": (2e-3, "relative, mean of the steps; the second follows weights that Adam moved by signs"),
    "mean error": (0.5, "gray levels of 255, mean over photos and pixels, after weights that differ so"),
    "threshold": (3 / 255, "mean over photos, on [0, 1]; Otsu's cut may move by some gray levels"),
    "F1": (3.0, "points; the network has learned nothing yet, so its error map is noise about the cut"),
}


def experiment_of(number: int, tiny: bool) -> Any:
    """The experiment of a table's row: the full method's, its seed the table's number so that no two are one.

    Tables V and VII take the released recipe.
    """
    from upcrack_lite.reproduction.experiments import Selection, experiments

    row = {1: "mae+ssim+msgms+style+adv", 2: "multi_scale_square"}.get(number, "upcracknet")
    settings: dict[str, Any] = {
        "dropout": 0.0,
        "test_dropout": False,
        "batch_size": BATCH,
        "validate_every": 1,
    }
    if tiny:
        settings |= TINY
    recipe = "released" if number in (5, 7) else "paper"
    scale = "lite" if tiny else "full"
    selection = Selection(number, recipe, scale, "synthetic", "synthetic", (row,), (number,))
    return experiments([selection], settings)[0]


def make(
    numbers: list[int], folder: Path, device: str, tiny: bool, onednn: bool, roads: tuple[int, int]
) -> None:
    """Train, test and record in `folder`; a failure is noted in its file and does not stop the rest."""
    import torch

    from upcrack_lite.reproduction import photo_sets
    from upcrack_lite.reproduction.experiments import RunOptions
    from upcrack_lite.reproduction.run import run_experiment

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    photo_sets.SYNTHETIC_CROPS, photo_sets.SYNTHETIC_PHOTOS = roads  # a try, and the record says how many
    for number in numbers:
        file = folder / f"table_{number}.json"
        try:
            experiment = experiment_of(number, tiny)
            with contextlib.nullcontext() if onednn else torch.backends.mkldnn.flags(enabled=False):
                path = run_experiment(
                    experiment,
                    folder,
                    folder / "runs",
                    folder / "records",
                    RunOptions(device, vgg_weights="random", max_steps=STEPS, allow_dirty=True),
                    progress=False,
                )
            run = next((folder / "runs").glob(f"*-s{number}-*steps"))
            got = summary(path) | {"log": log_of(run / "log.csv"), "command": experiment.command()}
            shutil.rmtree(run)  # the record and the numbers are kept
        except Exception as error:
            traceback.print_exc()
            got = {"error": f"{type(error).__name__}: {error}"}
        file.write_text(json.dumps(got), encoding="utf-8")


def summary(path: Path) -> dict[str, Any]:
    """The numbers of a record that are compared."""
    import numpy as np

    from upcrack_lite.metrics import Confusion, pooled
    from upcrack_lite.reproduction import record_files

    said, maps = record_files.read(path)
    images = said["images"]
    counts = maps["raw"].pooled.sum(axis=0).astype(float)  # pixels at each gray level
    return {
        "record": path.name,
        "content": said["test"]["content_sha256"],
        "crops": said["train"]["crops_sha256"],
        "crack": [image["tp"] + image["fn"] for image in images],
        "mean error": float((counts * np.arange(256)).sum() / counts.sum()),
        "threshold": float(np.mean([image["threshold"] for image in images])),
        "F1": float(pooled([Confusion(*(one[n] for n in ("tp", "fp", "fn", "tn"))) for one in images]).f1),
        "seconds": said["train"]["seconds"],
        "device": said["environment"]["evaluation"]["used_device"],
    }


def log_of(path: Path) -> dict[str, float]:
    """The last row of a run's log, without times and counters."""
    import csv

    with path.open(newline="", encoding="utf-8") as lines:
        row = list(csv.DictReader(lines))[-1]
    return {k: float(v) for k, v in row.items() if v and k not in ("epoch", "steps", "seconds", "lr_g")}


def compared(got: dict[str, Any], wanted: dict[str, Any]) -> tuple[bool, list[str]]:
    """Are two summaries the same within `LIMITS`? And what was found, in words."""
    import numpy as np

    said, good = [], True
    for name in ("content", "crops", "crack"):
        if got[name] != wanted[name]:
            good = False
            said.append(f"{name} differs, so the two have seen other roads")
    if got["log"].keys() != wanted["log"].keys():
        return False, [*said, f"losses {sorted(got['log'])} and {sorted(wanted['log'])}"]
    far = float(np.max([abs(got["log"][k] - v) / max(abs(v), 1e-12) for k, v in wanted["log"].items()]))
    away = {"loss": far} | {k: abs(got[k] - wanted[k]) for k in ("mean error", "threshold", "F1")}
    for name, value in away.items():
        fits = value <= LIMITS[name][0]  # False for a NaN
        if name == "F1" and got[name] != got[name] and wanted[name] != wanted[name]:
            fits = True  # undefined on both: nothing was called crack
        good = good and fits
        said.append(f"{name} {value:.2g} apart ({'' if fits else 'MORE than '}{LIMITS[name][0]:.2g})")
    return good, said


def main() -> int:
    """Command line; the exit code is 1 if a row failed or differs."""
    made = parser(__doc__)
    made.add_argument("--tables", default="1,2,3,4,5,6,7,8")
    made.add_argument("--make", type=Path, help=argparse.SUPPRESS)  # what a child process does
    made.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--roads", default="", help=argparse.SUPPRESS)
    args = made.parse_args()
    numbers = [int(word) for word in args.tables.split(",")]
    roads = tuple(int(word) for word in args.roads.split(",")) if args.roads else ROADS[args.device]
    if args.make:
        make(numbers, args.make, args.device, args.tiny, not args.plain, roads)
        return 0
    with Part("rows", args.out) as part:
        if missing_part(part, needs.missing(needs.of_module(needs.SCORING)), "a row of each table"):
            return part.code
        tiny = args.device == "cpu"
        places = {"here": args.out / "rows" / args.device, "there": args.out / "rows" / "reference"}
        children = [
            _child(args, places["here"], args.device, tiny, plain=tiny, roads=roads),
            _child(args, places["there"], "cpu", tiny, plain=False, roads=roads),
        ]
        codes = [child.wait() for child in children]
        part.facts["limits"] = {name: f"{limit:.2g}: {why}" for name, (limit, why) in LIMITS.items()}
        for number in numbers:
            both = [_read(folder / f"table_{number}.json") for folder in places.values()]
            wrong = [
                f"{where}: {got['error']}" for where, got in zip(places, both, strict=True) if "error" in got
            ]
            name = f"Table {number}"
            if wrong:
                part.judge(name, False, f"{'; '.join(wrong)} (exit codes {codes})")
                continue
            got, wanted = both
            good, said = compared(got, wanted)
            part.judge(
                name,
                good,
                f"{got['command']} for {STEPS} steps on {got['device']}: {'; '.join(said)}",
                seconds=got["seconds"] + wanted["seconds"],
            )
    return part.code


def _child(
    args: argparse.Namespace, folder: Path, device: str, tiny: bool, plain: bool, roads: tuple[int, ...]
) -> subprocess.Popen:
    """Start a process that makes all experiments on one device, in a folder that it finds empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = [sys.executable, str(ROOT / "ci/rows.py"), "--out", str(args.out), "--device", device]
    words += ["--tables", args.tables, "--make", str(folder), "--roads", ",".join(map(str, roads))]
    words += (["--tiny"] if tiny else []) + (["--plain"] if plain else [])
    return subprocess.Popen(words, env=os.environ | {"PYTHONUNBUFFERED": "1"})


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"error": "it was not made"}


if __name__ == "__main__":
    sys.exit(main())
