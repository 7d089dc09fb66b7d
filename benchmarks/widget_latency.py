"""How long the widgets take to answer one move of each control, in milliseconds (median of many).

    python benchmarks/widget_latency.py

A change should take less than 150 ms on two cores. Transport and the browser come on top. The processor time, over
all threads, is printed beside the wall clock: on a busy machine only it says what the widget needs.
"""

from __future__ import annotations

import statistics
import time

import torch

from upcrack_lite.data.synthetic import synthetic_set
from upcrack_lite.detection import VARIANTS, error_map
from upcrack_lite.images import to_tensor
from upcrack_lite.show.widgets import MaskExplorer, PostProcessingTuner

MOVES = 15


def measure(control: object, values: list) -> tuple[float, float]:
    """Set the values in turn, MOVES times in all; return the medians of wall clock and processor time in ms."""
    wall, processor = [], []
    for move in range(MOVES):
        value = values[move % len(values)]
        if control.value == value:
            value = values[(move + 1) % len(values)]
        start = time.perf_counter(), time.process_time()
        control.value = value
        wall.append(1000 * (time.perf_counter() - start[0]))
        processor.append(1000 * (time.process_time() - start[1]))
    return statistics.median(wall), statistics.median(processor)


def main() -> None:
    print(f"{torch.get_num_threads()} threads; {MOVES} moves each; median wall clock / processor time, ms")
    for size in (128, 256, 512):
        roads = synthetic_set(3, size, seed=0)
        image = to_tensor(roads.images)
        restored = torch.nn.functional.avg_pool2d(image, 9, 1, 4, count_include_pad=False)
        errors = {variant: error_map(image, restored, variant) for variant in VARIANTS}
        tuner = PostProcessingTuner(roads.images, errors, roads.crack_masks)
        explorer = MaskExplorer(roads.images[0])
        moves = {
            "photo": (tuner.image, [1, 2, 0]),
            "error map": (tuner.variant, ["gray", "released", "absolute"]),
            "d up to 25": (tuner.d, [5, 15, 25]),
            "σ color": (tuner.sigma_color, [50.0, 100.0, 150.0]),
            "σ space": (tuner.sigma_space, [5.0, 10.0, 15.0]),
            "rule": (tuner.rule, ["otsu_factor", "fixed", "percentile"]),
            "value": (tuner.values["percentile"], [90.0, 95.0, 98.0]),
            "floor": (tuner.floor, [0.05, 0.1, 0.0]),
            "least area": (tuner.area, [0.1, 0.5, 0.0]),
            "d = 34, 35 (the largest)": (tuner.d, [34, 35]),
            "masks: family": (explorer.family, ["striped", "jumbled", "multi_scale_square"]),
            "masks: draw": (explorer.seed, [1, 2, 3]),
            "masks: fill": (explorer.fill, [0.0, 1.0, -1.0]),
        }
        print(f"\n{size} x {size} px")
        for name, (control, values) in moves.items():
            if name == "value":
                tuner.rule.value = "percentile"
            wall, processor = measure(control, values)
            print(f"  {name:26} {wall:6.1f} / {processor:6.1f}")


if __name__ == "__main__":
    main()
