"""Time training steps on one process and on two, taking turns.

    python benchmarks/processes.py [--turns 5] [--steps 10] [--scale lite] [--device cpu]

Both work on the same batches. On a CPU one process has all threads (OMP_NUM_THREADS), and two have half of them
each, but at least one. A ratio above 1 says that two are faster. What other programs do hits both, turn by turn, but
not always alike: look at the spread of the ratios, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import lightning
import torch

from upcrack_lite.batches import epoch
from upcrack_lite.launch import launch
from upcrack_lite.presets import preset
from upcrack_lite.roads.synthetic import synthetic_set
from upcrack_lite.steps import Trainer


def measure(fabric: lightning.Fabric, scale: str, steps: int, out: Path) -> None:
    """Time the steps, after two that do not count, and write the seconds of each, by rank 0."""
    chosen = preset("paper", scale, lambda_style=0.0)
    images = synthetic_set(chosen.batch_size, chosen.size, seed=0, crack_free=1.0).images
    trainer, seconds = Trainer(chosen, fabric, seed=0), []
    for _ in range(steps + 2):
        start = time.perf_counter()
        (batch,) = epoch(
            images, chosen, trainer.draws, fabric.device, None, fabric.world_size, fabric.global_rank
        )
        trainer.step(batch)["mae"].item()  # the number itself: a GPU has finished then
        seconds.append(time.perf_counter() - start)
    if fabric.is_global_zero:
        out.write_text(json.dumps(seconds[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="how often both are measured")
    parser.add_argument("--steps", type=int, default=10, help="steps in a turn")
    parser.add_argument("--scale", default="lite", choices=("lite", "full"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(
        f"{options.scale} scale, {options.device}, batch {preset('paper', options.scale).batch_size}, "
        f"{threads} thread(s) for one process, {max(1, threads // 2)} for each of two, {os.cpu_count()} core(s), "
        f"load {os.getloadavg()[0]:.1f}"
    )
    ratios, medians = [], {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seconds.json"
        for turn in range(options.turns):
            for processes in (1, 2):
                launch(measure, processes, options.device, "32-true", options.scale, options.steps, out)
                medians[processes].append(statistics.median(json.loads(out.read_text())))
            ratios.append(medians[1][-1] / medians[2][-1])
            print(
                f"turn {turn + 1}: {medians[1][-1]:.3f} s and {medians[2][-1]:.3f} s a step, {ratios[-1]:.2f}"
            )
    one, two = (statistics.median(medians[processes]) for processes in (1, 2))
    print(f"medians: one process {one:.3f} s, two {two:.3f} s a step")
    print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
