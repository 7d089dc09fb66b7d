"""What the tables cost at full scale: times a training step of every row, and prints the price list of the book.

    python benchmarks/price.py                            # the list, from benchmarks/price.json
    python benchmarks/price.py --measure --device cuda    # times this machine first, and adds it to the file

A price is seconds an image × images × epochs. It is an upper limit: a training that stops early costs less. On a CPU
the processor time of one thread counts, so other work beside it matters little; on a graphics card the wall clock.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from lightning import Fabric

from upcrack_lite.baselines.recipes import MethodPreset
from upcrack_lite.baselines.registry import COMPARED, CRACKNET, AnyPreset, network, preset_of
from upcrack_lite.baselines.trainer import Task
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.experiments import CHOICES, PAIRS
from upcrack_lite.reproduction.verdicts import SEEDS
from upcrack_lite.show.table_words import TITLES
from upcrack_lite.training import Trainer

PLAIN = "upcracknet without style"  # as six of the nine rows of Table I
FILE = Path(__file__).with_name("price.json")
PHOTOS = {"deepcrack": 300, "crack500": 1896}  # crops or photos to train on, as the paper says
ROWS = (*COMPARED, CRACKNET, PLAIN)
NAMED = TITLES | {PLAIN: "UP-CrackNet without the style loss"}


def full(name: str, **changes: int) -> AnyPreset:
    """The values of a row at full scale."""
    if name == PLAIN:
        return preset_of(CRACKNET, "paper", "full", lambda_style=0.0, **changes)
    return preset_of(name, "paper", "full", **changes)


def seconds_an_image(name: str, device: str, batch: int, steps: int) -> float:
    """The median of some training steps at full scale on random photos, after one to warm up."""
    values, rng = full(name, batch_size=batch), np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, values.size, values.size, 3), np.uint8)
    fabric, split = Fabric(accelerator=device, devices=1), (np.arange(batch), np.arange(0))
    if isinstance(values, MethodPreset):
        masks = rng.random(images.shape[:3]) < 0.05 if values.supervised else None
        task = Task(network(name).build(values.width), values, fabric, images, masks, split, 0)
    else:
        task = Trainer(values, fabric, 0, "random", images, split)
    clock, taken = time.process_time if device == "cpu" else time.perf_counter, []
    for _ in range(1 + steps):
        start = clock()
        task.step(next(iter(task.batches())))
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append((clock() - start) / batch)
    return statistics.median(taken[1:])


def measure(device: str, batch: int, steps: int) -> dict:
    """Every row on this machine."""
    torch.set_num_threads(1)
    machine = torch.cuda.get_device_name() if device == "cuda" else f"one thread of {_cpu()}"
    seconds = {}
    for name in ROWS:
        seconds[name] = round(seconds_an_image(name, device, batch, steps), 5)
        print(f"{name}: {seconds[name]:.3f} s an image", flush=True)
    return {
        "torch": torch.__version__,
        "batch": batch,
        "steps": steps,
        "machine": machine,
        "seconds": seconds,
    }


def hours(seconds: dict[str, float], name: str, train_set: str) -> float:
    """One training of a row on a set, at most."""
    values = full(name)
    images = PHOTOS[train_set] * (1 - values.validation_share) * values.epochs
    return seconds[name] * images / 3600


def choices_hours(seconds: dict[str, float], number: int) -> float:
    """All rows of a table that compares choices, `SEEDS` trainings each."""
    rows = [PLAIN if values.get("lambda_style") == 0 else CRACKNET for values in CHOICES[number].values()]
    return SEEDS * sum(hours(seconds, name, PAIRS[number][0]) for name in rows)


def price_list(one: dict, per_hour: float = 0.0) -> str:
    """The price list of one machine, as Markdown; in hours, or in money where an hour has a price."""
    seconds, unit, factor = one["seconds"], "cost" if per_hour else "hours", per_hour or 1.0
    lines = [
        f"| {unit} on {one['machine']} | seconds an image | DeepCrack | Crack500 |",
        "| --- | --: | --: | --: |",
    ]

    def line(title: str, each: str, values: list[float | None]) -> None:
        shown = [factor * value if value is not None else None for value in values]
        texts = ["" if one is None else f"{one:,.0f}" if one >= 100 else f"{one:.3g}" for one in shown]
        lines.append(f"| {title} | {each} | {' | '.join(texts)} |")

    for name in ROWS:
        line(NAMED[name], f"{seconds[name]:.3g}", [hours(seconds, name, one_set) for one_set in PHOTOS])
    every = [SEEDS * sum(hours(seconds, name, one_set) for name in ROWS[:-1]) for one_set in PHOTOS]
    line(f"Tables IV, VII, VIII; III, V, VI: {len(ROWS) - 1} rows, {SEEDS} seeds", "", every)
    for number in CHOICES:
        title = f"Table {published.TABLES[number].roman}: {len(CHOICES[number])} rows, {SEEDS} seeds"
        line(title, "", [None, choices_hours(seconds, number)])
    return "\n".join(lines)


def _cpu() -> str:
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="time this machine and add it to price.json")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="images a step")
    parser.add_argument("--steps", type=int, default=5, help="steps to take the median of")
    parser.add_argument("--per-hour", type=float, default=0.0, help="what an hour costs, to print costs")
    args = parser.parse_args()
    known = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
    if args.measure:
        new = measure(args.device, args.batch, args.steps)
        known = [*(one for one in known if one["machine"] != new["machine"]), new]
        FILE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print("\n\n".join(price_list(one, args.per_hour) for one in known))


if __name__ == "__main__":
    main()
