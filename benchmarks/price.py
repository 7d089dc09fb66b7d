"""What a training step of every row costs at full scale, for the price list of the page "All 96 rows".

    python benchmarks/price.py --out results/price.json                  # this machine's processor, one thread
    python benchmarks/price.py --out results/price.json --device cuda    # its graphics card

Each row's arithmetic is counted too, so that a card that is not at hand can be reckoned. On a CPU the processor time
of one thread counts, so other work beside it matters little; on a graphics card the wall clock.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from lightning import Fabric
from torch.utils.flop_counter import FlopCounterMode

from upcrack_lite.baselines.recipes import MethodPreset
from upcrack_lite.baselines.registry import network
from upcrack_lite.baselines.trainer import Task
from upcrack_lite.io import write_json
from upcrack_lite.show.prices import ROWS, full
from upcrack_lite.training import Trainer


def cost(name: str, device: str, batch: int, steps: int) -> tuple[float, float]:
    """Seconds and operations an image, of a training step on random photos; a multiplication and an addition are two.

    The seconds are the median of some steps, after one that warms up and whose operations are counted.
    """
    values, rng = full(name, batch_size=batch), np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, values.size, values.size, 3), np.uint8)
    fabric, split = Fabric(accelerator=device, devices=1), (np.arange(batch), np.arange(0))
    if isinstance(values, MethodPreset):
        masks = rng.random(images.shape[:3]) < 0.05 if values.supervised else None
        task = Task(network(name).build(values.width), values, fabric, images, masks, split, 0)
    else:
        task = Trainer(values, fabric, 0, "random", images, split)
    with FlopCounterMode(display=False) as counted:
        task.step(next(iter(task.batches())))
    clock, taken = time.process_time if device == "cpu" else time.perf_counter, []
    for _ in range(steps):
        start = clock()
        task.step(next(iter(task.batches())))
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append((clock() - start) / batch)
    return statistics.median(taken), counted.get_total_flops() / batch


def _cpu() -> str:
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main(
    out: Annotated[Path, typer.Option(help="JSON file; the line of this machine is written anew.")],
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to time.")] = "cpu",
    batch: Annotated[int, typer.Option(help="Images a step.", min=2)] = 4,
    steps: Annotated[int, typer.Option(help="Steps to take the median of.", min=1)] = 3,
    row: Annotated[list[str] | None, typer.Option(help="A row; all without it.")] = None,
) -> None:
    """Time every row on this machine and count its operations."""
    torch.set_num_threads(1)
    machine = torch.cuda.get_device_name() if device == "cuda" else f"one thread of {_cpu()}"
    seconds, operations = {}, {}
    for name in row or ROWS:
        seconds[name], operations[name] = cost(name, device, batch, steps)
        typer.echo(f"{name}: {seconds[name]:.3f} s and {operations[name] / 1e9:.1f} GFLOP an image")
    known = json.loads(out.read_text("utf-8")) if out.is_file() else []
    new = {"machine": machine, "torch": torch.__version__, "batch": batch, "steps": steps}
    new |= {"seconds": seconds, "operations": operations}
    write_json(out, [*(one for one in known if one["machine"] != machine), new])


if __name__ == "__main__":
    typer.run(main)
