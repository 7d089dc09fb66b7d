"""Small sets of synthetic roads in the layouts of the public ones, for the tests of fetching."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from upcrack_lite.data.synthetic import synthetic_road

PLAN = {
    "cfd": {"all": ("image", "groundTruth", 3)},
    "deepcrack": {"train": ("train_img", "train_lab", 3), "test": ("test_img", "test_lab", 2)},
    "crack500": {s: (f"{s}crop", f"{s}crop", 2) for s in ("train", "val", "test")},
    "crack500_authors": {
        "train": ("dataset/crack500_train/train/a", None, 3),
        "val": ("dataset/crack500_train/validation/a", None, 2),
        "test": ("dataset/crack500_test/test_folder_all/a", "dataset/crack500_test/test_folder_all/label", 2),
    },
}


def make(folder: Path, name: str) -> Path:
    """A small set in the layout of a public one. No two photos are alike."""
    seed = 0
    for split, (image_dir, mask_dir, count) in PLAN[name].items():
        for index in range(count):
            seed += 1
            road, crack = synthetic_road(96, seed=seed, crack=mask_dir is not None)
            for where in filter(None, (image_dir, mask_dir)):
                (folder / where).mkdir(parents=True, exist_ok=True)
            ending = "png" if name == "crack500_authors" else "jpg"
            Image.fromarray(road).save(folder / image_dir / f"{split}_{index}.{ending}")
            if name == "cfd":
                labels = {"groundTruth": {"Segmentation": crack.astype(np.uint8) + 1}}
                savemat(folder / mask_dir / f"{split}_{index}.mat", labels)
            elif mask_dir:
                Image.fromarray(crack.astype(np.uint8) * 255).save(folder / mask_dir / f"{split}_{index}.png")
    return folder


def zip_of(folder: Path, archive: Path, below: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{below}{path.relative_to(folder).as_posix()}")
    return archive
