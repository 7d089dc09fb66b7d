"""Sets made from other sets: Crack500's training crops in two parts by photo, and CFD cut to patches."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from upcrack_lite.data import partition
from upcrack_lite.data.crops import photo_of
from upcrack_lite.data.layouts import pairs
from upcrack_lite.data.partition import (
    largest_overlap,
    make_cfd_patches,
    make_partition,
    patch_places,
)
from upcrack_lite.data.reading import read_image, read_mask
from upcrack_lite.errors import UserError

NUMBERS = {*range(1, 1756)} - {7}  # of the 1754 crops in `crack500_crops360`
GROUPS = [f"20160222_{number:06d}" for number in range(225)]


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def crops360(tmp_path) -> Path:
    """As many files as the real set, of a few bytes each, in as many groups; the number 7 is left out."""
    folder, lines = tmp_path / "crack500_crops360", ["file,recovered,group"]
    for name in ("image", "mask"):
        (folder / name).mkdir(parents=True)
    for number in NUMBERS:
        (folder / "image" / f"{number}.jpg").write_bytes(b"photo %d" % number)
        (folder / "mask" / f"{number}.png").write_bytes(b"mask %d" % number)
        lines.append(f"{number}.jpg,1,{GROUPS[number % len(GROUPS)]}")
    (folder / "recovered_names.csv").write_bytes("\r\n".join(lines).encode())
    return folder


def test_the_parts_share_no_photo_miss_no_crop_and_are_copied_byte_for_byte(crops360, tmp_path):
    groups, numbers = [], []
    for part, count in (("kept", 180), ("heldout", 45)):
        target = make_partition(crops360, part, tmp_path / part)
        rows = list(csv.DictReader((target / "index.csv").read_text(encoding="utf-8").splitlines()))
        assert [row["name"] for row in rows] == [pair.name for pair in pairs(target)]
        for row in rows:
            number = int(Path(row["source"]).stem)
            assert row["name"] == f"{row['group']}_{number:04d}"
            assert photo_of(row["name"]) == row["group"]
            for folder, ending in (("image", "jpg"), ("mask", "png")):
                data = (target / folder / f"{row['name']}.{ending}").read_bytes()
                assert data == (crops360 / folder / f"{number}.{ending}").read_bytes()
                assert hashlib.sha256(data).hexdigest() == row[f"{folder}_sha256"]
            numbers.append(number)
        groups += {row["group"] for row in rows}
        assert len(groups) == len(set(groups)) == (count if part == "kept" else 225)
    assert sorted(numbers) == sorted(NUMBERS)
    with pytest.raises(UserError, match="kept exists: give another name"):
        make_partition(crops360, "kept", tmp_path / "kept")


SHAPES = [(32, 48)] * 6 + [(48, 32)] * 2


@pytest.fixture
def cfd(tmp_path, monkeypatch) -> Path:
    """Six landscape and two portrait photos with a crack each, as CFD stores them, for 12 patches of 24 px."""
    monkeypatch.setattr(partition, "PATCHES", 12)
    monkeypatch.setattr(partition, "PATCH", 24)
    rng, folder = np.random.default_rng(2), tmp_path / "cfd"
    for name in ("image", "groundTruth"):
        (folder / name).mkdir(parents=True)
    for number, (height, width) in enumerate(SHAPES, 1):
        labels = np.ones((height, width), np.uint8)
        labels[:, number : number + 2] = 2
        savemat(folder / "groundTruth" / f"{number:03d}.mat", {"groundTruth": {"Segmentation": labels}})
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "image" / f"{number:03d}.jpg")
    return folder


def test_patches_are_parts_of_their_photos_without_loss(cfd, tmp_path):
    made = make_cfd_patches(cfd, tmp_path / "patches")
    assert content(made) == content(make_cfd_patches(cfd, tmp_path / "again"))
    assert str(tmp_path) not in str(content(made))
    rows = list(csv.DictReader((made / "index.csv").read_text(encoding="utf-8").splitlines()))
    assert sorted(row["name"] for row in rows) == [pair.name for pair in pairs(made)]
    assert all(row["name"] == f"{row['source']}_{row['x']}_{row['y']}" for row in rows)
    sources = {pair.name: pair for pair in pairs(cfd, "cfd", "test")}
    shares = []
    for pair in pairs(made, "plain", "test"):
        name, x, y = pair.name.split("_")
        part = np.s_[int(y) : int(y) + 24, int(x) : int(x) + 24]
        assert (read_image(pair.image) == read_image(sources[name].image)[part]).all()
        assert (read_mask(pair.mask) == read_mask(sources[name].mask)[part]).all()
        stored = cv2.imread(str(pair.mask), cv2.IMREAD_UNCHANGED)
        assert stored.shape == (24, 24)
        assert set(np.unique(stored)) <= {0, 255}
        shares.append(100 * read_mask(pair.mask).mean())
    facts = json.loads((made / "patches.json").read_text(encoding="utf-8"))
    assert facts["crack_percent"] == pytest.approx(np.mean(shares), abs=1e-4)
    assert facts["crack_percent_paper"] == 1.743
    assert facts["crack_percent_whole_photos"] == pytest.approx(100 * 2 * 288 / (8 * 32 * 48), abs=1e-4)
    assert (facts["photos"], facts["photos_with_two"]) == (8, 4)
    assert facts["parameters"] == {"count": 12, "size": 24, "seed": 0, "max_overlap": 0.4}


def test_every_photo_gives_a_patch_before_any_gives_two():
    shapes = [(320, 480)] * 100 + [(480, 320)] * 18
    for seed in range(10):
        places = patch_places(shapes, 200, 256, seed, 0.4)
        counts = Counter(map(len, places))
        assert counts == {1: 36, 2: 82}
        assert largest_overlap(places, 256) <= 0.4
        for (height, width), found in zip(shapes, places, strict=True):
            assert all(0 <= x <= width - 256 and 0 <= y <= height - 256 for x, y in found)
            if len(found) == 2:
                assert found[1][0] in (0, width - 256)
                assert found[1][1] in (0, height - 256)
                (x, y), (other_x, other_y) = found  # no other corner would overlap less
                assert abs(x - other_x) == max(x, width - 256 - x)
                assert abs(y - other_y) == max(y, height - 256 - y)
    assert patch_places(shapes, 200, 256, 0, 0.4) != patch_places(shapes, 200, 256, 1, 0.4)
    fewer = patch_places(shapes, 50, 256, 0, 0.4)
    assert Counter(map(len, fewer)) == {0: 68, 1: 50}
    assert max(map(len, patch_places(shapes, 236, 256, 0, 0.5))) == 2  # every photo has room for two


def test_too_few_patches_name_the_remedy():
    message = r"8 photos give only \d+ patches of 24×24.*17 asked.*raise max_overlap"
    with pytest.raises(UserError, match=message):
        patch_places(SHAPES, 17, 24, 0, 0.99)
    with pytest.raises(UserError, match=r"give only 8 patches"):
        patch_places(SHAPES, 9, 24, 0, 0.0)


@pytest.mark.mirror
@pytest.mark.parametrize(("part", "count", "share"), [("kept", 1421, 8.553), ("heldout", 333, 8.647)])
def test_the_real_parts(mirror, tmp_path, part, count, share):
    found = pairs(make_partition(mirror / "crack500_crops360", part, tmp_path / part))
    assert len(found) == count
    assert 100 * np.mean([read_mask(pair.mask).mean() for pair in found]) == pytest.approx(share, abs=0.001)


@pytest.mark.mirror
def test_the_real_patches(mirror, tmp_path):
    made = make_cfd_patches(mirror / "cfd", tmp_path / "cfd_patches")
    facts = json.loads((made / "patches.json").read_text(encoding="utf-8"))
    assert len(pairs(made)) == 200
    assert (facts["photos"], facts["photos_with_two"]) == (118, 82)
    assert facts["largest_overlap"] <= 0.4
    # More than in the paper's patches and in whole photos: the rows in the middle are in every patch.
    assert facts["crack_percent"] == pytest.approx(2.014, abs=0.001)
    assert facts["crack_percent_whole_photos"] == pytest.approx(1.623, abs=0.001)
