"""One graphics card against the CPU: same weights, same input, and every quantity of training and detection.

The CPU in float32 is the reference. Dropout is off, because its noise differs by device. A rehearsal on a CPU
compares it with itself without oneDNN: other programs for the same convolutions, so that the numbers do differ.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import needs
from part import SKIPPED, TINY, Part, missing_part, parser


def main() -> int:
    """Command line; the exit code is 1 if a quantity is out of its limit."""
    args = parser(__doc__).parse_args()
    with Part("compare", args.out) as part:
        if missing_part(part, needs.missing(needs.of_module(needs.TRAINING)), "GPU against CPU"):
            return part.code
        from quantities import LIMITS, MODES, REFERENCE, arithmetic, detected, differences, flat, measured

        from upcrack_lite.data.synthetic import synthetic_set
        from upcrack_lite.images import to_tensor
        from upcrack_lite.recipes import preset

        small = {"width": 8, "disc_width": 8, "lambda_style": 10.0} | {
            k: TINY[k] for k in TINY if "width" not in k
        }
        chosen = preset(
            "paper",
            "full" if args.device == "cuda" else "lite",
            **({} if args.device == "cuda" else small),
            dropout=0.0,
            batch_size=4,
        )
        part.facts["network"] = (
            f"{chosen.size} px, width {chosen.width}, batch {chosen.batch_size}, dropout 0, VGG with random weights"
        )
        roads = to_tensor(synthetic_set(chosen.batch_size, chosen.size, 0, crack_free=1.0).images)
        photos = to_tensor(synthetic_set(4, 128, 1).images)
        weights: dict[str, Any] = {}
        wanted = measured(REFERENCE, chosen, roads, weights) | {"detection": detected(REFERENCE, photos)}
        start = {n: flat(weights[n], wanted["weights"][n].numel(), chosen, n) for n in ("g", "d")}
        part.facts["table"], part.facts["why"] = [], {name: limit.why for name, limit in LIMITS.items()}
        for mode in MODES[args.device]:
            began = time.monotonic()
            with arithmetic(mode):
                got = measured(mode, chosen, roads, weights) | {"detection": detected(mode, photos)}
            took = time.monotonic() - began
            for name, (quantity, value, size) in differences(got, wanted, start, chosen).items():
                limit = getattr(LIMITS[quantity], mode.kind)
                good = value <= limit  # False for a NaN
                said = f"{value:.2g}, allowed {limit:g} (the CPU has {size:.4g})"
                part.judge(f"{mode.name}: {name}", good, said, seconds=took)
                took = 0.0
                part.facts["table"].append(
                    {"mode": mode.name, "quantity": name, "value": value, "limit": limit, "good": good}
                )
        if args.device == "cpu":
            part.add("GPU with TF32 off and on", SKIPPED, "a CPU has no TF32")
    return part.code


if __name__ == "__main__":
    sys.exit(main())
