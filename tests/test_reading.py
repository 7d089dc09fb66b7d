"""One photo or one mask: every kind of file, every kind of damage, and what resizing leaves of thin cracks."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.io import savemat

from upcrack_lite.data.reading import loss_by_resizing, read_image, read_mask, resize
from upcrack_lite.errors import Note, UserError

RNG = np.random.default_rng(7)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_cut_off_files_are_refused_at_every_length(tmp_path, ending, share):
    path = tmp_path / f"a.{ending}"
    noise(120, 90).save(path)
    assert read_image(path).shape == (90, 120, 3)
    cut(path, share)
    with pytest.raises(UserError, match=r"cut off|not an image"):
        read_image(path)


def test_jpeg_end_is_found_behind_a_preview_and_before_a_trailer(tmp_path):
    preview = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(preview, "JPEG")
    payload = b"Exif\x00\x00" + preview.getvalue()  # a segment that holds an end marker of its own
    buffer = io.BytesIO()
    noise(64, 64).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
    whole = data[:2] + segment + data[2:]
    path = tmp_path / "phone.jpg"
    path.write_bytes(whole + b"\x00" * 500 + b"vendor data")
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(whole[: len(whole) // 2] + b"\x00" * 5000)  # what a broken download leaves
    with pytest.raises(UserError, match="cut off"):
        read_image(path)


def test_images_of_every_kind(tmp_path):
    colors = np.zeros((6, 9, 3), np.uint8)
    colors[..., 0], colors[..., 2] = 200, 30  # red above blue: RGB order shows
    gray = np.arange(54, dtype=np.uint8).reshape(6, 9)
    rgba = np.dstack([colors, np.zeros((6, 9), np.uint8)])
    Image.fromarray(colors).save(tmp_path / "RGB.PNG")
    Image.fromarray(gray).save(tmp_path / "gray.bmp")
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(rgba).save(tmp_path / "rgba.tif")
    Image.fromarray(rgba).quantize(8).save(tmp_path / "palette.png")
    Image.fromarray(gray > 20).save(tmp_path / "bits.tif", compression="group4")
    for ending in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"deep.{ending}"), colors[..., ::-1].astype(np.uint16) * 257)
    for name, expected in {
        **dict.fromkeys(("RGB.PNG", "rgba.png", "rgba.tif", "deep.png", "deep.tif"), colors),
        "gray.bmp": gray[..., None],
        "bits.tif": np.where(gray > 20, 255, 0)[..., None],
        "palette.png": np.asarray(Image.open(tmp_path / "palette.png").convert("RGBA"))[..., :3],
    }.items():
        assert (read_image(tmp_path / name) == expected).all(), name
    Image.fromarray(colors).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - colors).max() < 8
    cv2.imwrite(str(tmp_path / "12.png"), gray.astype(np.uint16) * 60)
    with pytest.warns(Note, match=r"stay below 4096 of 65535, so they are read as nearly black"):
        read_image(tmp_path / "12.png")


def test_images_that_are_not_read_are_named(tmp_path):
    gray = np.arange(54, dtype=np.uint8).reshape(6, 9)
    Image.fromarray(np.dstack([gray] * 3), "LAB").save(tmp_path / "lab.tif")
    cv2.imwrite(str(tmp_path / "one.tif"), gray.astype(np.float32) / 255)
    cv2.imwrite(str(tmp_path / "three.tif"), np.dstack([gray] * 3).astype(np.float32) / 255)
    no_bytes = "(has float32 values|is not an image that can be read)"
    for name, words in {
        "lab": "has Lab",
        "one": no_bytes,
        "three": no_bytes,
        "gone": "there is no such",
    }.items():
        with pytest.raises(UserError, match=rf"{name}\.tif: {words}"):
            read_image(tmp_path / f"{name}.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_as_their_exif_tag_says(tmp_path, orientation):
    picture = noise(30, 20)
    exif = picture.getexif()
    exif[0x0112] = orientation
    for ending in ("png", "tif"):
        path = tmp_path / f"a.{ending}"
        picture.save(path, exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
        assert (read_image(path) == expected).all()
        opacity = picture.convert("L").point(lambda value: 255 * (value > 99))
        Image.merge("LA", [picture.convert("L"), opacity]).convert("RGBA").save(path, exif=exif)
        in_memory = io.BytesIO(path.read_bytes())  # Pillow 13 turns a TIFF twice that it maps from disk
        turned = np.asarray(ImageOps.exif_transpose(Image.open(in_memory).convert("RGBA")))
        assert (read_image(path) == turned[..., :3]).all()
        Image.merge("LA", [opacity.point(lambda value: 0), opacity]).convert("RGBA").save(path, exif=exif)
        assert (read_mask(path) == (turned[..., 3] > 0)).all()
    path = tmp_path / "a.jpg"
    picture.save(path, exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
    assert np.abs(read_image(path) - expected).mean() < 1


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "tif"])
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), np.full((60, 80, 3), 7, np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 80 // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).shape == (60, 80, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60 * 80 // 2 - 1)
    for read in (read_image, read_mask):
        with pytest.raises(
            UserError, match=r"more than the 0 million pixels that are read; cut it into tiles"
        ):
            read(path)


def test_cfd_labels_2_and_4_are_crack(tmp_path):
    labels = np.array([[1, 2, 3], [4, 1, 2]], np.uint8)
    savemat(tmp_path / "a.mat", {"groundTruth": {"Segmentation": labels, "Boundaries": labels}})
    assert read_mask(tmp_path / "a.mat").tolist() == [[False, True, False], [True, False, True]]
    savemat(tmp_path / "other.mat", {"labels": labels})
    (tmp_path / "text.mat").write_text("not a label")
    savemat(tmp_path / "cut.mat", {"groundTruth": {"Segmentation": RNG.integers(1, 5, (90, 90), np.uint8)}})
    cut(tmp_path / "cut.mat", 0.4)
    for name in ("other", "text", "cut"):
        with pytest.raises(UserError, match=f"{name}.mat: is no CFD label"):
            read_mask(tmp_path / f"{name}.mat")
    with pytest.raises(UserError, match="no such file"):
        read_mask(tmp_path / "gone.mat")


def test_resize_averages_photos_and_keeps_mask_and_photo_aligned():
    checker = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    small, none = resize(np.dstack([checker] * 3).astype(np.uint8), None, 16)
    assert none is None
    assert np.abs(small.astype(int) - 127).max() <= 1
    mask = np.zeros((60, 100), bool)
    mask[:, 50:] = True
    image = np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255
    for size in (20, 128):
        stretched, stretched_mask = resize(image, mask, size)
        assert stretched.shape == (size, size, 3)
        assert ((stretched[..., 0] > 127) == stretched_mask).all()
    same, _ = resize(image[:60, :60], None, 60)
    assert (same == image[:60, :60]).all()
    with pytest.raises(UserError, match="mask is 60×60 but the photo is 100×60"):
        resize(image, mask[:, :60], 16)
    with pytest.raises(UserError, match="size must be in"):
        resize(image, mask, 0)


def line(width: int, side: int = 256) -> np.ndarray:
    """A vertical crack through the middle."""
    mask = np.zeros((side, side), bool)
    mask[:, side // 2 : side // 2 + width] = True
    return mask


def test_a_line_of_one_pixel_vanishes_when_an_average_is_compared_with_half():
    # At a quarter of the size, bilinear interpolation looks at two of four columns, 1 and 2.
    seen, unseen = line(256)[:, ::-1] & False, line(256) & False
    seen[:, 129] = True
    unseen[:, 128] = True
    assert loss_by_resizing([unseen], 64).centerline_kept == 0
    assert loss_by_resizing([unseen], 64, "nearest").centerline_kept == 100
    assert loss_by_resizing([seen], 64, "nearest").centerline_kept == 0


def test_wide_cracks_survive_and_only_thin_ones_count_as_thin():
    loss = loss_by_resizing([line(24)], 64)
    assert loss.centerline_kept == 100
    assert loss.thin_kept is None
    both = loss_by_resizing([line(24), line(1)], 64)
    assert both.thin_kept == 0
    assert 0 < both.centerline_kept < 100
    assert both.pieces_after == 1
