"""Training on two graphics cards against training on one: the same batches, so the same losses but for rounding.

Skipped where there are fewer than two. A rehearsal on a CPU takes two processes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import needs
from part import SKIPPED, TINY, Part, missing_part, parser

LIMIT = 1e-3  # relative; sums in another order, after steps in which Adam follows signs
STEPS = 3


def main() -> int:
    """Command line; the exit code is 1 if the losses differ."""
    args = parser(__doc__).parse_args()
    with Part("several", args.out) as part:
        if missing_part(part, needs.missing(needs.of_module(needs.TRAINING)), "two devices"):
            return part.code
        import torch

        from upcrack_lite.presets import preset
        from upcrack_lite.roads.synthetic import synthetic_set
        from upcrack_lite.training import train

        if args.device == "cuda" and torch.cuda.device_count() < 2:
            part.add("two devices", SKIPPED, f"there is {torch.cuda.device_count()} graphics card")
            return part.code
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        values = dict(TINY) if args.device == "cpu" else {}
        chosen = preset(
            "paper",
            "lite",
            **values | {"dropout": 0.0, "batch_size": 4, "validation_share": 0.0, "epochs": 1},
        )
        roads = synthetic_set(4 * STEPS, chosen.size, 0, crack_free=1.0).images
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            for devices in (1, 2):
                run = train(
                    roads,
                    chosen,
                    Path(folder) / str(devices),
                    device=args.device,
                    devices=devices,
                    progress=False,
                )
                rows.append(run.log()[-1])
        names = [name for name in rows[0] if name not in ("epoch", "steps", "seconds", "lr_g")]
        far = {name: abs(rows[1][name] - rows[0][name]) / max(abs(rows[0][name]), 1e-12) for name in names}
        worst = max(far, key=far.__getitem__)
        said = f"{len(far)} losses, mean of {STEPS} steps; the worst is {worst}, {far[worst]:.2g} apart (relative)"
        part.judge("two devices", far[worst] <= LIMIT, f"{said}, allowed {LIMIT:g}")
    return part.code


if __name__ == "__main__":
    sys.exit(main())
