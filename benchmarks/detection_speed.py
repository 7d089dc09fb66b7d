"""How long a folder takes from photos to numbers: the authors' three programs, and the kit's two commands.

    python benchmarks/detection_speed.py --out benchmarks/detection_speed.json

The three programs are written anew for timing, with PNG files between them: one restores photo after photo and writes
the error as a gray picture; one reads it as three channels, smooths it with a bilateral filter in several processes,
and writes the mask; one reads masks and labels again and counts. The kit's are `upcrack detect` and `upcrack score`.
Both use the same weights and the choices of recipe `released`; every program is a process that starts from nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from PIL import Image

from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.io import write_json
from upcrack_lite.pretrained import load_generator

SIDE = 256
COMMANDS = ("detect", "score")


def stretched(values: np.ndarray) -> np.ndarray:
    """To [0, 1] by its own minimum and maximum."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else np.zeros_like(values)


def restore(photos: Path, errors: Path, run: Path) -> None:
    """Program 1: photos in, error maps out; G stays in training mode, one photo at a time."""
    g, _ = load_generator(run)
    g.train()
    for path in sorted(photos.iterdir()):
        photo = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)), np.float32)
        photo = (stretched(photo) * 255).astype(np.uint8)
        tensor = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            restored = g(tensor)[0].permute(1, 2, 0).numpy()
        grays = [
            stretched(cv2.cvtColor(np.ascontiguousarray(x, np.float32), cv2.COLOR_RGB2GRAY))
            for x in (photo, restored)
        ]
        error = stretched(np.abs(grays[0] - grays[1]))
        Image.fromarray((error * 255).astype(np.uint8)).save(errors / f"{path.stem}.png")


def segment(pair: tuple[Path, Path]) -> None:
    """Program 2, one map: read as three channels, filter, to gray, Otsu, write the mask."""
    smoothed = cv2.bilateralFilter(cv2.imread(str(pair[0]), cv2.IMREAD_COLOR), 25, 450, 15)
    gray = cv2.cvtColor(smoothed, cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(pair[1]), cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1])


def segment_all(errors: Path, masks: Path) -> None:
    """Program 2: all maps, in as many processes as there are cores."""
    with Pool(os.cpu_count()) as pool:
        pool.map(segment, [(path, masks / path.name) for path in sorted(errors.iterdir())])


def count(masks: Path, labels: Path) -> None:
    """Program 3: read masks and labels, resize, sum the confusion matrix."""
    total = np.zeros((2, 2), np.int64)
    for path in sorted(masks.iterdir()):
        found, truth = (
            np.asarray(Image.open(one).convert("L").resize((SIDE, SIDE)), np.float32) > 127
            for one in (path, labels / path.name)
        )
        np.add.at(total, (truth.astype(int).ravel(), found.astype(int).ravel()), 1)
    typer.echo(str(total.tolist()))


PROGRAMS = {"restore": restore, "segment": segment_all, "count": count}


def prepare(folder: Path, photos: int) -> None:
    """Photos with labels, and a run at full scale that was trained for one step."""
    roads = synthetic_set(photos, 384, 7)
    for kind, arrays in (("photos", roads.images), ("labels", roads.crack_masks)):
        (folder / kind).mkdir()
        for index, array in enumerate(arrays):
            values = array if array.dtype == np.uint8 else array.astype(np.uint8) * 255
            Image.fromarray(values).save(folder / kind / f"{index:04d}.png")
    words = ["train", "--data", "synthetic", "--crops", 20, "--recipe", "released", "--scale", "full"]
    words += ["--max-steps", 1, "--set", "lambda_style=0", "--set", "batch_size=2", "--device", "cpu"]
    upcrack(*words, "--out", folder / "run")


def upcrack(*words: object) -> None:
    """Run the kit's command as a user does."""
    run("-m", "upcrack_lite.cli", *words)


def run(*words: object) -> None:
    """Run Python; raises CalledProcessError with what it said."""
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True)


def chain(folder: Path, out: Path) -> dict[str, float]:
    """Seconds of each of the three programs."""
    for name in ("errors", "masks"):
        (out / name).mkdir(parents=True)
    given = {
        "restore": (folder / "photos", out / "errors", folder / "run"),
        "segment": (out / "errors", out / "masks"),
        "count": (out / "masks", folder / "labels"),
    }
    return {
        name: timed(lambda words=words, name=name: run(__file__, "--program", name, *words))
        for name, words in given.items()
    }


def commands(folder: Path, out: Path) -> dict[str, float]:
    """Seconds of each of the kit's commands."""
    detect = ["detect", folder / "photos", out, "--model", folder / "run", "--protocol", "tables"]
    detect += ["--size", SIDE, "--overlay", "none", "--no-report"]
    given = {"detect": detect, "score": ["score", out, folder / "labels"]}
    return {name: timed(lambda name=name: upcrack(*given[name])) for name in COMMANDS}


def timed(work) -> float:
    """Wall clock of a call, s."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(
    paths: Annotated[list[Path] | None, typer.Argument(help="With --program: its folders.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    photos: Annotated[int, typer.Option(help="Photos of a folder.")] = 100,
    rounds: Annotated[int, typer.Option(help="Times both are run, in turn.")] = 3,
    program: Annotated[str, typer.Option(help="Run one of the three programs.")] = "",
) -> None:
    """Time both chains and print a table; other work on the machine spoils it."""
    if program:
        PROGRAMS[program](*(paths or []))
        return
    taken: dict[str, list[dict[str, float]]] = {"three programs": [], "kit": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, photos)
        for index in range(rounds):
            taken["three programs"].append(chain(folder, folder / f"chain{index}"))
            taken["kit"].append(commands(folder, folder / f"kit{index}"))
    lines = {
        name: {part: round(statistics.median(one[part] for one in some), 2) for part in some[0]}
        | {"all": round(statistics.median(sum(one.values()) for one in some), 2)}
        for name, some in taken.items()
    }
    typer.echo(json.dumps(lines, indent=1))
    if out is not None:
        facts = {"photos": photos, "rounds": rounds, "cores": os.cpu_count(), "torch": torch.__version__}
        write_json(out, facts | {"seconds": lines})


if __name__ == "__main__":
    typer.run(main)
