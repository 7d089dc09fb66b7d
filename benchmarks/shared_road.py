"""Which test photos of DeepCrack show road that its training photos show too, found by matching local features.

    python benchmarks/shared_road.py data/deepcrack

The perceptual hash of `upcrack data verify` finds a picture that is there twice, and not two crops of one photo that
are shifted against each other. Here SIFT features of each test photo are matched with those of all training photos;
RANSAC then asks whether one shift, turn and change of scale explains at least `LEAST` of the matches. Some minutes of
one core. Writes results/shared_road.json. Look at each pair: the method proposes, the eye decides.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import typer

from upcrack_lite.data.layouts import pairs
from upcrack_lite.data.reading import read_image
from upcrack_lite.io import write_json

FEATURES = 150  # of each photo, the strongest, at half its size
NEAR = 0.45  # distance of two descriptors (RootSIFT) below which they are a match
LEAST = 6  # matches that agree
PIXELS = 4.0  # so near, in pixels of the half-size photo
SCALES = (0.5, 2.0)  # a change of scale beyond these is no crop of the same photo


class Features(NamedTuple):
    """Places ``(N, 2)`` and descriptors ``(N, 128)``, float32."""

    places: np.ndarray
    descriptors: np.ndarray


def features(image: np.ndarray) -> Features:
    """RootSIFT features of a photo, uint8 ``(H, W, 3)``."""
    gray = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
    )
    points, found = cv2.SIFT_create(nfeatures=FEATURES).detectAndCompute(gray, None)
    if found is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    root = np.sqrt(found / (found.sum(axis=1, keepdims=True) + 1e-7))
    return Features(np.float32([point.pt for point in points]), root.astype(np.float32))


def shared(tests: dict[str, Features], training: dict[str, Features]) -> list[dict[str, str | int]]:
    """Pairs that show the same road, most agreeing matches first: names, and how many matches agree."""
    owner = np.repeat([*training], [len(one.places) for one in training.values()])
    places = np.concatenate([one.places for one in training.values()])
    matcher = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64})
    matcher.add([np.concatenate([one.descriptors for one in training.values()])])
    matcher.train()
    cv2.setRNGSeed(0)  # of RANSAC
    listed = []
    for name, one in tests.items():
        votes: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for match in matcher.match(one.descriptors) if len(one.places) else ():
            if match.distance < NEAR:
                votes[owner[match.trainIdx]].append((match.queryIdx, match.trainIdx))
        for other, pairs_of in votes.items():
            if len(pairs_of) < LEAST:
                continue
            own, there = np.array(pairs_of).T
            move, agree = cv2.estimateAffinePartial2D(
                one.places[own], places[there], ransacReprojThreshold=PIXELS
            )
            if move is None or agree.sum() < LEAST:
                continue
            if SCALES[0] < np.hypot(move[0, 0], move[1, 0]) < SCALES[1]:
                listed.append({"test": name, "training": str(other), "matches": int(agree.sum())})
    return sorted(listed, key=lambda pair: -pair["matches"])


def main(
    folder: Annotated[Path, typer.Argument(help="DeepCrack, as `upcrack data fetch` makes it.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("results/shared_road.json"),
) -> None:
    """Which test photos of DeepCrack show road that its training photos show too."""
    tests, training = (
        {pair.name: features(read_image(pair.image)) for pair in pairs(folder, "auto", split)}
        for split in ("test", "train")
    )
    found = shared(tests, training)
    write_json(out, {"set": folder.resolve().name, "pairs": found})
    for pair in found:
        print(pair["test"], pair["training"], pair["matches"])
    print(f"{len({pair['test'] for pair in found})} of {len(tests)} test photos, in {len(found)} pairs")


if __name__ == "__main__":
    typer.run(main)
