"""Folders of photos and masks: every layout, every kind of bad file, and the real sets where they are."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from small_sets import make

from upcrack_lite.data import datasets
from upcrack_lite.data.datasets import load
from upcrack_lite.data.layouts import Pair, first_set, layout_of, pairs, photos, unlabeled
from upcrack_lite.errors import UserError

RNG = np.random.default_rng(7)


def write_image(path: Path, size: tuple[int, int] = (40, 30), **save) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path, **save)


def write_mask(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[10:14] = 255
    if path.suffix == ".mat":
        labels = np.where(values, 2, 1).astype(np.uint8)
        savemat(path, {"groundTruth": {"Segmentation": labels}})
    else:
        Image.fromarray(values).save(path)


def make_set(folder: Path, layout: str) -> Path:
    plan = {
        "deepcrack": [("train_img", "train_lab", ".png"), ("test_img", "test_lab", ".png")],
        "cfd": [("image", "groundTruth", ".mat")],
        "crack500": [(f"{s}crop", f"{s}crop", ".png") for s in ("train", "val", "test")],
        "plain": [("image", "mask", ".png")],
    }[layout]
    for image_dir, mask_dir, ending in plan:
        for name in ("001", "002"):
            write_image(folder / image_dir / f"{name}.jpg")
            write_mask(folder / mask_dir / f"{name}{ending}")
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])


@pytest.mark.parametrize("layout", ["deepcrack", "cfd", "crack500", "plain"])
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
    with pytest.raises(UserError, match=r"no split 'val'; choose train, test"):
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
    for folder, kind in ((tmp_path / "nowhere", "no such folder"), (Path(__file__), "is a file")):
        with pytest.raises(UserError, match=kind):
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
    message = str(caught.value)
    assert "(3):" in message
    assert "lonely.JPEG: has no mask" in message
    assert "orphan.png: has no photo" in message
    assert "has the same name as 001.jpg" in message
    for index in range(25):
        write_image(folder / "image" / f"x{index:02d}.png", (4, 4))
    with pytest.raises(UserError, match=r"\(28\):(.|\n)*and 8 more$"):
        pairs(folder)


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
    cut(folder / "mask" / "cut.png")
    (folder / "image" / "text.jpg").write_text("not an image")
    write_mask(folder / "mask" / "turned.png", (60, 80))
    with pytest.raises(UserError) as caught:
        load(folder, "train", 16)
    message = str(caught.value)
    turned = "turned.png: is 60×80, its photo turned.jpg 80×60 (one is turned"
    for part in ("(3):", "cut.png: is cut off", "text.jpg: is not an image", turned):
        assert part in message


def test_memory_mapped_sets_equal_and_are_used_again_until_a_file_changes(tmp_path, monkeypatch):
    folder, store = make_set(tmp_path / "set", "plain"), tmp_path / "store"
    changing = folder / "image" / "002.bmp"
    (folder / "image" / "002.jpg").unlink()
    write_image(changing)
    plain = load(folder, "train", 16)
    mapped = load(folder, "train", 16, memmap_dir=store)
    assert isinstance(mapped.images, np.memmap)
    assert (mapped.images == plain.images).all()
    assert (mapped.crack_masks == plain.crack_masks).all()
    (stored,) = store.iterdir()
    assert stored.name.startswith("set-train-16-area-")
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "read_pair", lambda pair: pytest.fail("read again"))
        assert (load(folder, "train", 16, memmap_dir=store).images == plain.images).all()
    before = changing.stat()
    write_image(changing)  # other pixels under the same name, in as many bytes
    os.utime(changing, ns=(before.st_mtime_ns + 1_000_000, before.st_mtime_ns + 1_000_000))
    assert changing.stat().st_size == before.st_size
    changed = load(folder, "train", 16, memmap_dir=store)
    assert (changed.images[0] == plain.images[0]).all()
    assert (changed.images[1] != plain.images[1]).any()
    limited = load(folder, "train", 16, limit=1, memmap_dir=store)
    assert limited.names == ["001"]


def test_rules_are_kept_apart_and_blocks_leave_no_seam(tmp_path, monkeypatch):
    folder, store = make_set(tmp_path / "set", "plain"), tmp_path / "store"
    monkeypatch.setattr(datasets, "_BLOCK", 1)
    for rule in ("area", "nearest"):
        plain = load(folder, "test", 16, rule=rule)
        mapped = load(folder, "test", 16, memmap_dir=store, rule=rule)
        assert (mapped.images == plain.images).all()
        assert (mapped.crack_masks == plain.crack_masks).all()
    assert sorted(p.name.split("-")[3] for p in store.iterdir()) == ["area", "nearest"]
    with pytest.raises(UserError, match="unknown rule of resizing 'cubic'"):
        load(folder, "test", 16, rule="cubic")


def test_the_authors_files_are_undamaged_crops_and_a_labeled_test_set(tmp_path):
    make(tmp_path, "crack500_authors")
    assert layout_of(tmp_path) == "crack500_authors"
    for split, count in (("train", 3), ("val", 2)):
        assert [pair.mask for pair in pairs(tmp_path, split=split)] == [None] * count
    assert {pair.mask.parent.name for pair in pairs(tmp_path, split="test")} == {"label"}
    plain = load(tmp_path, "train", 16)
    stored = load(tmp_path, "train", 16, memmap_dir=tmp_path / "store")
    assert stored.crack_masks is plain.crack_masks is None
    assert (stored.images == plain.images).all()
    assert load(tmp_path, "test", 16).crack_masks.any()


def test_several_readers_may_store_one_set_at_once(tmp_path):
    folder, store = make_set(tmp_path / "set", "plain"), tmp_path / "store"
    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(lambda _: load(folder, "train", 16, memmap_dir=store), range(4)))
    assert len({str(roads.images.filename) for roads in stored}) == 1
    assert (stored[0].images == load(folder, "train", 16).images).all()
    assert len(list(store.iterdir())) == 1


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
    with pytest.raises(UserError, match=r"at least 1|from 1 to 4096"):
        load(make_set(tmp_path, "plain"), "train", **({"size": 8} | bad))


def test_a_set_that_does_not_fit_on_the_disk_is_refused_before_it_is_written(tmp_path, monkeypatch):
    folder = make_set(tmp_path / "set", "plain")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(UserError, match="free"):
        load(folder, "train", 64, memmap_dir=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.mirror
def test_real_photos_and_official_samples_load(mirror):
    for split in ("train", "val", "test"):
        assert len(load(mirror / "crack500_official_samples", split, 64)) == 6
    roads = load(mirror / "deepcrack", "test", 256, limit=20)
    on_crack = roads.images[roads.crack_masks].mean()
    assert on_crack + 20 < roads.images[~roads.crack_masks].mean()  # cracks are dark: photo and mask align
    with pytest.raises(UserError, match=r"sets inside it: .*deepcrack"):
        pairs(mirror)


def test_first_set_prefers_deepcrack_and_skips_what_is_no_set(tmp_path):
    assert first_set("") is None
    with pytest.raises(UserError, match="no such folder"):
        first_set(tmp_path / "nowhere")
    (tmp_path / "afolder").mkdir()
    with pytest.raises(UserError, match="holds no data set"):
        first_set(tmp_path)
    for name in ("another/image", "another/mask"):
        (tmp_path / name).mkdir(parents=True)
    assert first_set(tmp_path).name == "another"
    for part in ("train_img", "train_lab", "test_img", "test_lab"):
        (tmp_path / "deepcrack" / part).mkdir(parents=True)
    assert first_set(str(tmp_path)).name == "deepcrack"
