"""Which files make a record's numbers, and a digest of them. Where one changes, a record is made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import upcrack_lite
from upcrack_lite.methods.kinds import COMPARED, CRACKNET, FAMILIES

CODE = (
    *("batches", "detection", "discriminator", "generator", "loop", "losses", "masks", "metrics", "model"),
    *("metrics_maps", "metrics_shapes", "photos", "presets", "scoring", "spread", "steps", "tensors"),
    *("training", "vgg", "weights"),
    *(
        "repro/cell_data",
        "repro/cells",
        "repro/detectors",
        "repro/evaluate",
        "repro/make_cell",
        "repro/training_data",
    ),
    *("roads/coverage", "roads/cracks", "roads/layouts", "roads/reading", "roads/surface", "roads/synthetic"),
)
"""The files that every method needs, UP-CrackNet's own among them, without their ending."""

COMPARED_CODE = (
    *("base", "choices", "courses", "encoders", "labels", "learning", "library", "prediction", "presets"),
    "unpooling",
)
"""What the compared methods need beside it, and the module of the method's own name."""

FAMILY_CODE = ("choosing", "darkness", "families", "labels", "variants")
"""What detectors without training need beside it."""


def code_of(method: str) -> tuple[str, ...]:
    """The files that make the numbers of a method; a change in another method's file changes nothing here."""
    own = {CRACKNET: ()} | dict.fromkeys(FAMILIES, FAMILY_CODE) | {n: (*COMPARED_CODE, n) for n in COMPARED}
    return (*CODE, *(f"methods/{name}" for name in own[method]))


def code_digest(method: str = CRACKNET) -> str:
    """SHA-256 over the files of a method."""
    root, total = Path(upcrack_lite.__file__).parent, hashlib.sha256()
    for name in code_of(method):
        total.update(f"{name}\0".encode() + (root / f"{name}.py").read_bytes())
    return total.hexdigest()
