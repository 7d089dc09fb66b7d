"""A survey holds the right facts about good files, and holds the bad ones too instead of stopping there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from small_sets import road, write_pair

from upcrack_lite.data.survey import survey


def write(path: Path, pixels: np.ndarray, **save) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **save)
    return path


def add(folder: Path, name: str, image_dir: str = "image", mask_dir: str = "mask") -> None:
    pair = road(sum(name.encode()), (60, 40))
    write_pair(folder / image_dir / f"{name}.jpg", folder / mask_dir / f"{name}.png", *pair)


def cut(path: Path, share: float = 0.6) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_the_facts_of_a_pair(tmp_path):
    add(tmp_path, "a")
    found = survey(tmp_path)
    (photo,) = found.photos
    mask = road(ord("a"), (60, 40))[1]
    assert (found.layout, photo.part, photo.name, photo.problem) == ("plain", "all", "a", None)
    assert (photo.image, photo.mask) == ("image/a.jpg", "mask/a.png")
    assert photo.image_size == photo.mask_size == (60, 40)
    assert photo.crack_share == pytest.approx(100 * (mask > 0).mean())
    assert (photo.gray_share, photo.above_one_share) == (0, None)
    assert [file.path for file in found.files] == ["image/a.jpg", "mask/a.png"]
    for file in found.files:
        data = (tmp_path / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (file.width, file.height) == (60, 40)
    assert [file.crack_share for file in found.files] == [None, round(photo.crack_share, 4)]
    assert (found.unpaired, found.missing_parts) == ({}, [])


def test_cfd_labels_3_and_4_and_photos_that_were_never_labeled(tmp_path):
    pixels = np.full((10, 10, 3), 150, np.uint8)
    labels = np.ones((10, 10), np.uint8)
    labels[0, :2], labels[1, :3], labels[2, :5] = 2, 4, 3
    write(tmp_path / "image" / "001.jpg", pixels)
    write(tmp_path / "image" / "201.jpg", pixels[:, :8])
    (tmp_path / "groundTruth").mkdir()
    savemat(tmp_path / "groundTruth" / "001.mat", {"groundTruth": {"Segmentation": labels}})
    found = survey(tmp_path)
    (photo,) = found.photos
    assert (photo.part, photo.name) == ("all", "001")
    assert photo.crack_share == pytest.approx(5)
    assert photo.above_one_share == pytest.approx(10)
    assert photo.gray_share == 0
    assert [(file.path, file.width, file.crack_share) for file in found.files] == [
        ("groundTruth/001.mat", 10, pytest.approx(5)),
        ("image/001.jpg", 10, None),
        ("image/201.jpg", 8, None),
    ]
    assert found.unpaired == {}


def test_bad_files_become_facts_and_the_good_ones_stay(tmp_path):
    for name in ("good", "cut", "photomask", "size", "both"):
        add(tmp_path, name)
    cut(tmp_path / "image" / "cut.jpg")
    gray = np.indices((40, 60)).sum(axis=0) * 2
    write(tmp_path / "mask" / "photomask.png", gray.astype(np.uint8))
    write(tmp_path / "mask" / "size.png", road(0, (59, 40))[1])
    cut(tmp_path / "image" / "both.jpg")
    cut(tmp_path / "mask" / "both.png")
    found = {photo.name: photo for photo in survey(tmp_path).photos}
    assert len(found) == 5
    assert found["good"].problem is None
    assert "image/cut.jpg: is cut off" in found["cut"].problem
    assert (found["cut"].image_size, found["cut"].hashes, found["cut"].contrast) == (None, (), ())
    assert found["cut"].mask_size == (60, 40)
    assert found["cut"].crack_share > 0  # the mask is fine
    bad = found["photomask"]
    assert "is a photo and no mask of black and white" in bad.problem
    assert (bad.image_size, bad.mask_size) == ((60, 40), None)
    assert (bad.crack_share, bad.gray_share, bad.contrast) == (None, None, ())
    assert len(bad.hashes) == 8
    assert "both.jpg: is cut off" in found["both"].problem
    assert "both.png: is cut off" in found["both"].problem
    # Readable, so no problem of reading; the sizes tell.
    assert (found["size"].problem, found["size"].mask_size) == (None, (59, 40))
    assert np.isnan(found["size"].contrast).all()


def test_messages_name_paths_below_the_set_and_nothing_else(tmp_path, monkeypatch):
    for split in ("train", "test"):
        for name in ("a", "lonely"):
            add(tmp_path, name, f"{split}crop", f"{split}crop")
        cut(tmp_path / f"{split}crop" / "a.jpg")
        (tmp_path / f"{split}crop" / "lonely.png").unlink()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crop").symlink_to(tmp_path)  # its name is the end of the folders' names in it
    for folder in (tmp_path, Path("crop"), Path()):
        found = survey(folder)
        assert [photo.problem[:27] for photo in found.photos] == [
            "traincrop/a.jpg: is cut off",
            "testcrop/a.jpg: is cut off ",
        ]
        assert sorted(found.unpaired) == ["testcrop/lonely.jpg", "traincrop/lonely.jpg"]
        assert len(found.files) == 6  # also the ones without a partner
        message = found.unpaired["traincrop/lonely.jpg"]
        assert message.startswith("traincrop/lonely.jpg: has no mask; expected traincrop/lonely")


def test_a_file_that_the_system_refuses_is_a_fact_too(tmp_path, monkeypatch):
    add(tmp_path, "a")
    read_bytes = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path.name == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    found = survey(tmp_path)
    assert "cannot be read (Permission denied)" in found.photos[0].problem
    assert (found.files[0].bytes, found.files[0].sha256) == (0, "")
    assert found.files[1].sha256
