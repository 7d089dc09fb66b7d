"""Which files make a record's numbers, and a digest of them; how a commit is named.

Where one of the files changes, a record is made again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import upcrack_lite
from upcrack_lite.methods.kinds import CRACKNET, FAMILIES

COMMIT = r"[0-9a-f]{7,40}"
"""What a commit is named by, as a regular expression."""

CODE = (
    *(
        "batches",
        "detection",
        "loop",
        "losses",
        "masks",
        "metrics",
        "metrics_maps",
        "metrics_shapes",
        "model",
    ),
    *("photos", "presets", "scoring", "tensors", "training", "weights", "methods/kinds"),
    *("repro/cell_data", "repro/cells", "repro/detectors", "repro/evaluate", "repro/make_cell"),
    "repro/training_data",
    *("roads/coverage", "roads/cracks", "roads/layouts", "roads/reading", "roads/surface", "roads/synthetic"),
)
"""The files that every method needs, without their ending."""

CRACKNET_CODE = ("discriminator", "generator", "spread", "steps", "vgg")
"""What UP-CrackNet needs beside them."""

COMPARED_CODE = (
    *("base", "choices", "courses", "encoders", "labels", "learning", "library", "prediction", "presets"),
    "unpooling",
)
"""What the compared methods need beside them, and the module of the method's own name."""

FAMILY_CODE = ("choosing", "darkness", "families", "labels", "variants")
"""What detectors without training need beside them."""


def code_of(method: str) -> tuple[str, ...]:
    """The files that make the numbers of a method; a change in another method's file changes nothing here."""
    if method == CRACKNET:
        return (*CODE, *CRACKNET_CODE)
    own = FAMILY_CODE if method in FAMILIES else (*COMPARED_CODE, method)
    return (*CODE, *(f"methods/{name}" for name in own))


def code_digest(method: str = CRACKNET) -> str:
    """SHA-256 over the files of a method."""
    root, total = Path(upcrack_lite.__file__).parent, hashlib.sha256()
    for name in code_of(method):
        total.update(f"{name}\0".encode() + (root / f"{name}.py").read_bytes())
    return total.hexdigest()
