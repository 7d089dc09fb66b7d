"""How long the steps from a folder to crops take, and how much memory: at the set's size and blown up.

    python benchmarks/data_speed.py FOLDER --times 10 --work DIR

Each step runs in a process of its own, so that its peak memory is its own. A blown-up set holds each pair
several times, rolled by a random amount, so that no two photos are equal. FOLDER is one data set with
masks; without it 100 synthetic roads are drawn. The copies lie in a new folder in DIR, which is removed at
the end, also after an error; whether there is room for them is asked first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from upcrack_lite.data.check import verify
from upcrack_lite.data.crops import CropRule, undamaged_crops
from upcrack_lite.data.datasets import load
from upcrack_lite.data.folders import check_space
from upcrack_lite.data.layouts import pairs, read_pair
from upcrack_lite.data.survey import survey
from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.errors import UserError

_DRAWN = 100  # synthetic roads; 60 do not have room for 50 undamaged crops


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
        roads = synthetic_set(_DRAWN, 256, 0)
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
    return len(undamaged_crops(pairs(folder), CropRule((256, 192, 160, 128), 50, size=256)))


def prepare(folder: Path, work: Path) -> int:
    return len(load(folder, "test", 256, memmap_dir=work / f"prepared-{folder.name}"))


def in_memory(folder: Path, work: Path) -> int:
    return len(load(folder, "test", 256))


STEPS = (check, crop, prepare, in_memory)


def measure(step, folder: Path, work: Path, results) -> None:
    """Run one step and report its seconds and the peak memory of its process in MiB."""
    start = time.perf_counter()
    step(folder, work)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    results.put((time.perf_counter() - start, peak))


def in_own_process(step, folder: Path, work: Path) -> tuple[float, float]:
    """Run one step in a process of its own; return its seconds and the peak memory of that process in MiB.

    Raises RuntimeError if the step fails; its own traceback is on standard error then.
    """
    fresh = multiprocessing.get_context("spawn")
    results = fresh.SimpleQueue()
    process = fresh.Process(target=measure, args=(step, folder, work, results))
    process.start()
    try:
        process.join()
    finally:
        process.kill()  # after Ctrl-C here; it has ended otherwise
    if process.exitcode != 0 or results.empty():
        raise RuntimeError(f"the step {step.__name__} failed on {folder} (exit code {process.exitcode})")
    return results.get()


def needed_bytes(source: Path | None, times: int) -> int:
    """Estimate the bytes that the copies and the prepared arrays of both sizes take, rather too high."""
    shapes = (
        [read_pair(pair)[1].shape for pair in pairs(source, split="train")]
        if source
        else [(256, 256)] * _DRAWN
    )
    pixels = sum(height * width for height, width in shapes)
    # A JPEG of noise takes 2 bytes a pixel, its mask less than 1; arrays are 256×256 of 4 bytes.
    return (1 + times) * (3 * pixels + 4 * 256 * 256 * len(shapes))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    place = options.work or Path(tempfile.gettempdir())
    try:
        check_space(place, needed_bytes(options.folder, options.times), "the copies of the set")
    except UserError as error:
        sys.exit(str(error))
    place.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="data-speed-", dir=place))
    rows = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies go then too
    try:
        for times in dict.fromkeys((1, options.times)):
            folder = blown_up(options.folder, work / f"times-{times}", times)
            for step in STEPS:
                seconds, peak = in_own_process(step, folder, work)
                pairs_ = len(list((folder / "image").iterdir()))
                rows[f"{step.__name__} x{times}"] = {"seconds": round(seconds, 2), "peak_mib": round(peak)}
                print(f"{step.__name__:<10}{pairs_:>7} pairs {seconds:8.2f} s {peak:8.0f} MiB", flush=True)
    except RuntimeError as error:
        sys.exit(str(error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
