"""Folders of photos and masks: every layout, every kind of bad file, and the real sets where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from small_sets import make

from upcrack_lite.data.datasets import load
from upcrack_lite.data.layouts import Pair, first_set, layout_of, pairs, photos, unlabeled
from upcrack_lite.errors import UserError

RNG = np.random.default_rng(7)


def write_image(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)


def write_mask(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[10:14] = 255
    if path.suffix == ".mat":
        savemat(path, {"groundTruth": {"Segmentation": values // 255 + 1}})
    else:
        Image.fromarray(values).save(path)


PLAN = {
    "deepcrack": [("train_img", "train_lab", ".png"), ("test_img", "test_lab", ".png")],
    "cfd": [("image", "groundTruth", ".mat")],
    "crack500": [(f"{s}crop", f"{s}crop", ".png") for s in ("train", "val", "test")],
    "plain": [("image", "mask", ".png")],
}


def make_set(folder: Path, layout: str) -> Path:
    for image_dir, mask_dir, ending in PLAN[layout]:
        for name in ("001", "002"):
            write_image(folder / image_dir / f"{name}.jpg")
            write_mask(folder / mask_dir / f"{name}{ending}")
    return folder


@pytest.mark.parametrize("layout", PLAN)
def test_each_layout_is_recognized_and_read(tmp_path, layout):
    folder = make_set(tmp_path / layout, layout)
    assert layout_of(folder) == layout
    found = pairs(folder, split="test")
    assert [pair.name for pair in found] == ["001", "002"]
    roads = load(folder, "test", 16)
    assert roads.images.shape == (2, 16, 16, 3)
    assert roads.images.dtype == np.uint8
    assert roads.crack_masks.shape == (2, 16, 16)
    assert 0 < roads.crack_masks.mean() < 0.5
    assert (roads.name, roads.names, len(roads)) == (layout, ["001", "002"], 2)


def test_splits_are_kept_apart(tmp_path):
    folder = make_set(tmp_path, "deepcrack")
    assert pairs(folder, split="train")[0].image.parent.name == "train_img"
    assert pairs(folder, split="test")[0].mask.parent.name == "test_lab"
    with pytest.raises(
        UserError, match=r"unknown split of the layout deepcrack 'val'; choose one of train, test"
    ):
        pairs(folder, split="val")
    plain = make_set(tmp_path / "plain", "plain")
    assert pairs(plain, split="train") == pairs(plain, split="test")


def test_images_masks_folders_and_nested_crack500_archive(tmp_path):
    plain = make_set(tmp_path / "a", "plain")
    (plain / "image").rename(plain / "images")
    (plain / "mask").rename(plain / "masks")
    assert len(pairs(plain)) == 2
    nested = tmp_path / "b"
    for name in ("1", "2"):
        write_image(nested / "traincrop" / "traincrop" / f"{name}.jpg")
        write_mask(nested / "traincrop" / "traincrop" / f"{name}.png")
    assert len(pairs(nested, split="train")) == 2
    with pytest.raises(UserError, match=r"testcrop: there is no such folder"):
        pairs(nested, split="test")


def test_unknown_layouts_name_what_was_looked_for(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(UserError, match=r"train_img/ train_lab/.*groundTruth/.*traincrop/.*mask/"):
        pairs(tmp_path / "holiday")
    make_set(tmp_path / "deepcrack", "deepcrack")
    make_set(tmp_path / "cfd", "cfd")
    with pytest.raises(UserError, match=r"give one of the sets inside it: cfd, deepcrack \("):
        pairs(tmp_path)
    make_set(tmp_path / "both", "deepcrack")
    make_set(tmp_path / "both", "plain")
    with pytest.raises(UserError, match=r"fits the layouts deepcrack and plain"):
        pairs(tmp_path / "both")
    assert len(pairs(tmp_path / "both", layout="plain")) == 2
    for folder in (tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(UserError, match="no such folder"):
            pairs(folder)
    for bad in ({"layout": "coco"}, {"split": "dev"}):
        with pytest.raises(UserError, match="choose"):
            pairs(tmp_path / "cfd", **bad)


def test_all_unpaired_files_are_listed(tmp_path):
    folder = make_set(tmp_path, "plain")
    write_image(folder / "image" / "lonely.JPEG")
    write_mask(folder / "mask" / "orphan.png")
    write_image(folder / "image" / "001.png")  # beside 001.jpg
    (folder / "image" / "._001.jpg").write_bytes(b"desktop litter")
    with pytest.raises(UserError) as caught:
        pairs(folder)
    same = "has the same name as 001.jpg"
    for part in ("(3):", "lonely.JPEG: has no mask", "orphan.png: has no photo", same):
        assert part in str(caught.value)


def test_cfd_leaves_out_only_the_photos_that_were_never_labeled(tmp_path):
    folder = make_set(tmp_path, "cfd")
    for name in ("201", "208", "301", "329"):
        write_image(folder / "image" / f"{name}.jpg")
    assert [pair.name for pair in pairs(folder)] == ["001", "002"]
    write_image(folder / "image" / "003.jpg")  # a labeled photo whose label is gone
    with pytest.raises(UserError, match=r"003.jpg: has no mask"):
        pairs(folder)
    plain = make_set(tmp_path / "plain", "plain")
    write_image(plain / "image" / "201.jpg")
    with pytest.raises(UserError, match=r"201.jpg: has no mask"):
        pairs(plain)


def test_every_bad_file_of_a_set_is_listed(tmp_path):
    folder = make_set(tmp_path, "plain")
    for name in ("cut", "text", "turned"):
        write_image(folder / "image" / f"{name}.jpg", (80, 60))
        write_mask(folder / "mask" / f"{name}.png", (80, 60))
    whole = (folder / "mask" / "cut.png").read_bytes()
    (folder / "mask" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "image" / "text.jpg").write_text("not an image")
    write_mask(folder / "mask" / "turned.png", (60, 80))
    with pytest.raises(UserError) as caught:
        load(folder, "train", 16)
    turned = "turned.png: is 60×80, its photo turned.jpg 80×60 (one is turned"
    for part in ("(3):", "cut.png: is cut off", "text.jpg: is not an image", turned):
        assert part in str(caught.value)


def test_the_authors_files_are_undamaged_crops_and_a_labeled_test_set(tmp_path):
    make(tmp_path, "crack500_authors")
    assert layout_of(tmp_path) == "crack500_authors"
    for split, count in (("train", 3), ("val", 2)):
        assert [pair.mask for pair in pairs(tmp_path, split=split)] == [None] * count
    assert {pair.mask.parent.name for pair in pairs(tmp_path, split="test")} == {"label"}
    assert load(tmp_path, "train", 16).crack_masks is None
    assert load(tmp_path, "test", 16).crack_masks.any()


def test_photos_lists_images_only(tmp_path):
    for name in ("b.JPG", "a.png", "c.tiff"):
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in photos(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]
    assert unlabeled(tmp_path)[0] == Pair("a", tmp_path / "a.png", None)
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "1.heic").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no image in it \(it holds .heic files\)"):
        photos(tmp_path / "phone")


@pytest.mark.parametrize("bad", [{"limit": 0}, {"size": 0}, {"size": 20_000}], ids=str)
def test_bad_arguments_are_refused(tmp_path, bad):
    with pytest.raises(UserError, match=r"must be in \[1, "):
        load(make_set(tmp_path, "plain"), "train", **({"size": 8} | bad))


def test_first_set_prefers_deepcrack_and_skips_what_is_no_set(tmp_path):
    assert first_set("") is None
    (tmp_path / "afolder").mkdir()
    for folder, message in ((tmp_path / "nowhere", "no such folder"), (tmp_path, "holds no data set")):
        with pytest.raises(UserError, match=message):
            first_set(folder)
    for name in ("another/image", "another/mask"):
        (tmp_path / name).mkdir(parents=True)
    assert first_set(tmp_path).name == "another"
    (tmp_path / "deepcrack" / "train_img").mkdir(parents=True)
    assert first_set(str(tmp_path)).name == "deepcrack"
