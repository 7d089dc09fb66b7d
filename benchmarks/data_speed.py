"""How long the steps from a folder to crops take, and how much memory: at the set's size and blown up.

    python benchmarks/data_speed.py FOLDER --times 10 --work DIR

Each step runs in a process of its own, so that its peak memory is its own. A blown-up set holds each pair
several times, rolled by a random amount, so that no two photos are equal. FOLDER is one data set with
masks; without it 60 synthetic roads are drawn. DIR needs room for the copies; it is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from upcrack_lite.roads.crops import undamaged_crops
from upcrack_lite.roads.datasets import load, pairs, read_pair
from upcrack_lite.roads.survey import survey
from upcrack_lite.roads.synthetic import synthetic_set
from upcrack_lite.roads.verify import verify


def write(image: np.ndarray, mask: np.ndarray, folder: Path, name: str) -> None:
    """Write a pair in the layout `plain`."""
    cv2.imwrite(str(folder / "image" / f"{name}.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "mask" / f"{name}.png"), mask.astype(np.uint8) * 255)


def blown_up(source: Path | None, target: Path, times: int) -> Path:
    """Write each pair of a set `times` times, rolled."""
    for part in ("image", "mask"):
        (target / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    if source is None:
        roads = synthetic_set(60, 256, 0)
        found = [(name, (roads.images[i], roads.crack_masks[i])) for i, name in enumerate(roads.names)]
    else:
        found = ((pair.name, read_pair(pair)) for pair in pairs(source, split="train"))
    for name, (image, mask) in found:
        for copy in range(times):
            shift = rng.integers(0, image.shape[:2]) if copy else (0, 0)
            write(np.roll(image, shift, (0, 1)), np.roll(mask, shift, (0, 1)), target, f"{name}_{copy}")
    return target


def check(folder: Path, work: Path) -> int:
    return len(verify(survey(folder)))


def crop(folder: Path, work: Path) -> int:
    return len(undamaged_crops(pairs(folder), (256, 192, 160, 128), count=50, size=256))


def prepare(folder: Path, work: Path) -> int:
    return len(load(folder, "test", 256, memmap_dir=work / f"prepared-{folder.name}"))


def in_memory(folder: Path, work: Path) -> int:
    return len(load(folder, "test", 256))


STEPS = (check, crop, prepare, in_memory)


def measure(step, folder: Path, work: Path, results: multiprocessing.Queue) -> None:
    """Run one step and report its seconds and the peak memory of its process in MiB."""
    start = time.perf_counter()
    step(folder, work)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    results.put((time.perf_counter() - start, peak))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=options.work))
    fresh = multiprocessing.get_context("spawn")
    rows = {}
    try:
        for times in (1, options.times):
            folder = blown_up(options.folder, work / f"times-{times}", times)
            for step in STEPS:
                results = fresh.Queue()
                process = fresh.Process(target=measure, args=(step, folder, work, results))
                process.start()
                seconds, peak = results.get()
                process.join()
                pairs_ = len(list((folder / "image").iterdir()))
                rows[f"{step.__name__} x{times}"] = {"seconds": round(seconds, 2), "peak_mib": round(peak)}
                print(f"{step.__name__:<10}{pairs_:>7} pairs {seconds:8.2f} s {peak:8.0f} MiB", flush=True)
    finally:
        shutil.rmtree(work)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
