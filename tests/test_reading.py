"""Pictures of too many pixels: refused with the limit, before they fill the memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from upcrack_lite.data.reading import image_size, read_image, read_mask
from upcrack_lite.data.survey import survey
from upcrack_lite.errors import UserError


def large(path: Path) -> Path:
    """Write a picture of 16000×12000 pixels in 23 kB."""
    Image.new("1", (16000, 12000)).save(path)
    assert path.stat().st_size < 30_000
    return path


@pytest.mark.parametrize("read", [read_image, read_mask, image_size])
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, read):
    path = large(tmp_path / "a.png")
    message = r"a\.png: has more than the 179 million pixels that are read; cut it into tiles or shrink it"
    with pytest.raises(UserError, match=message):
        read(path)


@pytest.mark.parametrize("ending", ["jpg", "bmp", "tif"])
def test_the_limit_holds_for_every_kind_of_file(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), np.full((60, 80, 3), 7, np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 80 // 2)
    with pytest.warns(Image.DecompressionBombWarning):
        assert read_image(path).shape == (60, 80, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 80 // 2 - 1)
    for read in (read_image, read_mask, image_size):
        with pytest.raises(UserError, match="million pixels"):
            read(path)


def test_a_survey_of_one_goes_on(tmp_path):
    for part in ("image", "mask"):
        (tmp_path / part).mkdir()
        for name in ("a", "b"):
            Image.new("L", (8, 6)).save(tmp_path / part / f"{name}.png")
    large(tmp_path / "mask" / "a.png")
    bad, good = survey(tmp_path).photos
    assert bad.problem.startswith("mask/a.png: has more than the 179 million pixels")
    assert good.problem is None
