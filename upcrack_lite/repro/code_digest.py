"""Which files make a record's numbers, and a digest of them. Where one changes, a record is made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import upcrack_lite

CODE = (
    *(
        "batches",
        "detection",
        "discriminator",
        "generator",
        "loop",
        "losses",
        "masks",
        "metrics",
        "metrics_maps",
    ),
    *("metrics_shapes", "photos", "presets", "scoring", "spread", "steps", "tensors", "training", "vgg"),
    *("repro/cell_data", "repro/cells", "repro/evaluate"),
    *("roads/coverage", "roads/cracks", "roads/layouts", "roads/reading", "roads/surface", "roads/synthetic"),
)
"""The files, without their ending. A test follows the imports and compares."""


def code_digest() -> str:
    """SHA-256 over the files in `CODE`."""
    root, total = Path(upcrack_lite.__file__).parent, hashlib.sha256()
    for name in CODE:
        total.update(f"{name}\0".encode() + (root / f"{name}.py").read_bytes())
    return total.hexdigest()
