"""Small sets of synthetic roads in the layouts of the public ones, and single roads, for the tests of the data."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
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


SIZE = (120, 80)


def road(seed: int, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A photo with patches of its own, so that no two look alike, and a dark crack; and its mask, 0 and 255."""
    rng = np.random.default_rng(seed)
    width, height = size
    patches = cv2.resize(rng.uniform(110, 210, (5, 7)), size, interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((height, width), np.uint8)
    left, middle, right = rng.integers(5, height // 2, 3)
    line = np.array([[0, left], [width // 3, middle], [width - 1, height - right]], np.int32)
    cv2.polylines(mask, [line], False, 255, 3)
    gray = np.where(mask, 25, patches + rng.normal(0, 6, patches.shape))
    return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), mask


def write_pair(image_path: Path, mask_path: Path, image: np.ndarray, mask: np.ndarray) -> None:
    for path, pixels in ((image_path, image), (mask_path, mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=95)
