"""A program that is killed at each write, rename and removal in turn, and started again.

    python kills.py SCENARIO FOLDER [STEP]

STEP: take each STEP-th event only.

Each attempt is a forked child with an audit hook; a kill is `os._exit`, so nothing is cleaned up. At a kill while a
file is written the file is half there. The same call must then end as if nothing had happened.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import cv2

# A fork knows nothing of threads: a child would wait for them for ever. Torch is imported later, and reads this.
cv2.setNumThreads(0)
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

KILLED = 77
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
TIMES = {
    "started",
    "finished",
    "seconds",
    "train_seconds",
    "peak_memory_mib",
    "fetched",
    "scored",
    "accepted",
}
TIMES |= {"modified", "photo_modified", "environment", "environments", "code_sha256", "content_sha256"}


def train(folder: Path) -> None:
    """Two epochs of a network far too small."""
    from upcrack_lite.data.synthetic import synthetic_set
    from upcrack_lite.recipes import preset
    from upcrack_lite.reproduction.run import tiny_values
    from upcrack_lite.training import train

    crops = synthetic_set(4, 64, crack_free=1.0)
    chosen = preset(
        **tiny_values("upcracknet")
        | {"size": 32, "depth": 5, "load_size": 36, "mask_cells": (16, 8), "epochs": 2}
    )
    train(crops.images[:, ::2, ::2].copy(), chosen, folder / "run", progress=False)


def detect(folder: Path) -> None:
    """Two photos, by a training-free family."""
    from upcrack_lite.data.synthetic import synthetic_road
    from upcrack_lite.io import write_image
    from upcrack_lite.predict.model import load_model
    from upcrack_lite.predict.photos import detect_folder

    for seed in (0, 1):
        if not (photo := folder.parent / f"photos/{seed}.png").is_file():
            write_image(photo, synthetic_road(64, seed)[0])
    detect_folder(load_model("tf_global_darkness_otsu"), photo.parent, folder / "out")


def build(folder: Path) -> None:
    """A set from a mirror, and the undamaged crops of it."""
    from dataclasses import replace

    from small_sets import PLAN, make

    from upcrack_lite.data import manifest
    from upcrack_lite.data.catalog import cut_crops
    from upcrack_lite.data.crops import CropRule
    from upcrack_lite.data.fetch import Options, fetch
    from upcrack_lite.data.sources import SOURCES

    counts = {split: count for split, (_, _, count) in PLAN["deepcrack"].items()}
    SOURCES["deepcrack"] = replace(
        SOURCES["deepcrack"], counts=counts, shares={}, sizes=frozenset(), disk_mb=1
    )
    manifest.packaged = lambda name: None
    if not (mirror := folder.parent / "mirror").is_dir():
        make(mirror / "deepcrack", "deepcrack")
    fetch("deepcrack", folder / "data", Options(accept_terms=True, mirror=mirror))
    cut_crops("deepcrack", folder / "data", None, CropRule((24,), 4, 2, 24, 0))


def experiment(folder: Path) -> None:
    """A training-free baseline, trained and tested, over an earlier record."""
    from upcrack_lite.reproduction import photo_sets
    from upcrack_lite.reproduction.experiments import Experiment, RunOptions
    from upcrack_lite.reproduction.run import run_experiment

    photo_sets.SYNTHETIC_PHOTOS = 2
    one = Experiment("tf_global_darkness_otsu", train_set="synthetic", test_set="synthetic")
    where = (folder, folder / "runs", folder / "results")
    run_experiment(one, *where, RunOptions(allow_dirty=True), again=True, progress=False)


SCENARIOS = {"train": train, "detect": detect, "build": build, "experiment": experiment}


def kill_at(number: int, below: Path) -> None:
    """Kill this process at the n-th event below a folder."""
    seen, inside = 0, False

    def hook(event: str, args: tuple) -> None:
        nonlocal seen, inside
        if inside or event not in EVENTS or not isinstance(args[0], str | bytes | os.PathLike):
            return
        path = os.fsdecode(args[0])
        writes = event != "open" or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR))
        if not writes or not path.startswith(str(below)) or (event == "open" and Path(path).is_dir()):
            return
        seen += 1
        if seen == number:
            inside = True
            if event == "open":
                Path(path).write_bytes(b"half")
            os._exit(KILLED)

    sys.addaudithook(hook)


def attempt(scenario: str, folder: Path, number: int) -> int:
    """Run a scenario in a child, which is killed at an event unless `number` is 0; returns its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if number:
                kill_at(number, folder)
            SCENARIOS[scenario](folder)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def plain(values: object) -> object:
    """JSON values without times."""
    if isinstance(values, dict):
        return {name: plain(value) for name, value in values.items() if name not in TIMES}
    return [plain(value) for value in values] if isinstance(values, list) else values


def content(folder: Path) -> dict[str, object]:
    """What a folder holds: bytes, of JSON all but times, of CSV all but the column of seconds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes() if path.is_file() else b""
        if path.suffix == ".json":
            found[name] = plain(json.loads(data))
        elif path.name in ("log.csv", "summary.csv"):
            lines = [line.split(",") for line in data.decode().splitlines()]
            keep = [k for k, title in enumerate(lines[0]) if title not in TIMES]
            found[name] = [[line[k] for k in keep] for line in lines]
        elif path.is_file() and path.suffix != ".lock":  # a lock is held by a process, not by its file
            found[name] = data
    return found


def main(scenario: str, folder: Path, step: int) -> list[str]:
    """All attempts; returns what went wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    SCENARIOS[scenario](folder / "warm")  # once in this process, so that the children need not import
    assert attempt(scenario, folder / "whole", 0) == 0
    wanted, wrong, number = content(folder / "whole"), [], 1 - step
    while True:
        number += step
        at = folder / "cut"
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir()
        if scenario == "experiment":  # an earlier record must not be lost
            shutil.copytree(folder / "whole", at, dirs_exist_ok=True)
        status = attempt(scenario, at, number)
        if status == 0:
            return wrong if number > 10 else [*wrong, f"no more than {number} events"]
        if status != KILLED:
            wrong.append(f"{number}: ended with {status} before it was killed")
        if scenario == "experiment" and not any((at / "results").glob("*.json")):
            wrong.append(f"{number}: the earlier record is gone")
        if (status := attempt(scenario, at, 0)) != 0:
            wrong.append(f"{number}: the same command ends with {status}")
            continue
        found = content(at)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                wrong.append(f"{number}: {name} differs" if name in wanted else f"{number}: {name} was left")


if __name__ == "__main__":
    problems = main(sys.argv[1], Path(sys.argv[2]).absolute(), int([*sys.argv, 1][3]))
    print("\n".join(problems))
    sys.exit(bool(problems))
