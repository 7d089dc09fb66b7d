"""Time synthetic roads by size and number of threads.

    python benchmarks/synthetic_speed.py [--images 200]

The aim is a thousand 256 px images in under a minute on two cores.
"""

from __future__ import annotations

import argparse
import time

import cv2

from upcrack_lite.data.synthetic import synthetic_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="images per measurement")
    images = parser.parse_args().images
    cv2.setNumThreads(1)  # so that `workers` alone says how many cores are used
    print("size  workers  ms an image  thousand images  core-ms an image")
    for size in (128, 256, 512):
        for workers in (1, 2):
            count = images if size < 512 else max(1, images // 4)
            synthetic_set(2, size=size)  # first calls load libraries
            start, busy = time.perf_counter(), time.process_time()
            synthetic_set(count, size=size, seed=1, workers=workers)
            each = (time.perf_counter() - start) / count
            core = (time.process_time() - busy) / count  # unlike wall time, other programs hardly change it
            print(f"{size:4d}  {workers:7d}  {each * 1e3:11.1f}  {each * 1e3:13.1f} s  {core * 1e3:16.1f}")


if __name__ == "__main__":
    main()
