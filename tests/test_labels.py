"""A crack mask is read as it is meant, whatever carries the label, or refused with its values."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from small_sets import road

from upcrack_lite.data.labels import label_of
from upcrack_lite.data.reading import read_mask
from upcrack_lite.errors import Note, UserError


def gray(crack: np.ndarray, low: int, high: int) -> np.ndarray:
    return np.where(crack, np.uint8(high), np.uint8(low))


def in_channel(channel: int):
    """An image with the levels in one color channel."""

    def save(path: Path, crack: np.ndarray, low: int, high: int) -> None:
        pixels = np.zeros((*crack.shape, 3), np.uint8)
        pixels[..., channel] = gray(crack, low, high)
        Image.fromarray(pixels).save(path)

    return save


def palette(path: Path, crack: np.ndarray, low: int, high: int) -> None:
    picture = Image.fromarray(crack.astype(np.uint8), "P")
    picture.putpalette([low, low, low, high, low, low])
    picture.save(path)


def opacity(path: Path, crack: np.ndarray, low: int, high: int) -> None:
    alpha = gray(crack, low, high)
    Image.fromarray(np.dstack([np.full_like(alpha, low)] * 3 + [alpha])).save(path)


def sixteen_bits(path: Path, crack: np.ndarray, low: int, high: int) -> None:
    cv2.imwrite(str(path), gray(crack, low, high).astype(np.uint16))  # not scaled to 65535


ENCODINGS = {
    "gray.png": lambda path, *label: Image.fromarray(gray(*label)).save(path),
    "gray.bmp": lambda path, *label: Image.fromarray(gray(*label)).save(path),
    "gray.tif": lambda path, *label: Image.fromarray(gray(*label)).save(path, compression="tiff_lzw"),
    "red.png": in_channel(0),
    "blue.png": in_channel(2),
    "palette.png": palette,
    "opacity.png": opacity,
    "deep.png": sixteen_bits,
    "deep.tif": sixteen_bits,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.integers(1, 2**20 - 2),
    levels=st.tuples(st.integers(0, 255), st.integers(0, 255)).filter(lambda pair: pair[0] < pair[1]),
)
def test_of_two_levels_the_upper_one_is_crack_in_every_encoding(tmp_path, encoding, bits, levels):
    crack = np.array([bits >> k & 1 for k in range(20)], bool).reshape(4, 5)
    ENCODINGS[encoding](tmp_path / encoding, crack, *levels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)
        assert (read_mask(tmp_path / encoding) == crack).all()


def test_a_dim_mask_is_said_once_a_folder_and_usual_ones_never(tmp_path):
    crack = road(0)[1] > 0
    for name, levels in {"a": (0, 38), "b": (0, 38), "c": (0, 255), "d": (0, 1), "e": (0, 0)}.items():
        Image.fromarray(gray(crack, *levels)).save(tmp_path / f"{name}.png")
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("default")
        masks = [read_mask(path) for path in sorted(tmp_path.iterdir())]
    assert all((mask == crack).all() for mask in masks[:4])
    assert not masks[4].any()
    (only,) = notes
    assert str(only.message) == f"{tmp_path}: holds masks with the values 0 and 38; 38 is read as crack"
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(tmp_path / "white.png")
    with pytest.warns(Note, match=r"white\.png: is white all over, so all of it is read as crack"):
        assert read_mask(tmp_path / "white.png").all()


def saved_as_jpeg(mask: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)


@pytest.mark.parametrize(
    "soften",
    [
        *(lambda mask, quality=quality: saved_as_jpeg(mask, quality) for quality in (10, 50, 95)),
        *(lambda mask, scale=scale: cv2.resize(mask, None, fx=scale, fy=scale) for scale in (0.6, 1.5, 3)),
        lambda mask: cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda mask: cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        lambda mask: cv2.blur(mask, (3, 3)),
        lambda mask: cv2.GaussianBlur(mask, (0, 0), 1),
    ],
)
def test_soft_edges_are_cut_at_half_of_the_range(soften):
    for seed in range(5):
        soft = soften(road(seed)[1])
        label = label_of(np.dstack([soft] * 3))
        assert label.levels is None
        assert (label.crack_mask == (soft > 127)).all()
        assert label.gray_share == np.mean((soft > 0) & (soft < 255)) > 0


def classes(*levels: int) -> np.ndarray:
    """Levels in stripes of 8 pixels, with soft edges where there are many."""
    return np.repeat(np.array(levels, np.uint8), 8)[None].repeat(40, axis=0)


def ringed(crack: int, void: int) -> np.ndarray:
    """A crack of 3 pixels within a border of pixels that nobody labeled, as some sets of classes have it."""
    mask = road(1)[1]
    ring = cv2.dilate(mask, np.ones((5, 5)))
    return np.where(mask > 0, crack, np.where(ring > 0, void, 0)).astype(np.uint8)


REFUSED = {
    "void": (classes(0, 1, 255), "values 0, 1, 255, so it is an image of class labels"),
    "a ring of void": (ringed(1, 255), "values 0, 1, 255, so"),
    "small numbers": (classes(0, 1, 2), "values 0, 1, 2, so"),
    "classes": (classes(0, 85, 170, 255), "values 0, 85, 170, 255, so"),
    "no black": (classes(40, 90, 255), "values 40, 90, 255, so"),
    "soft classes": (cv2.GaussianBlur(classes(0, 85, 255, 0, 85), (0, 0), 2), "areas of the gray 8[0-9] of 255"),
    "classes as JPEG": (saved_as_jpeg(classes(0, 100, 255, 100, 0)[3:, 3:], 80), "areas of the gray"),
    "dim and soft": (cv2.GaussianBlur(road(1)[1] // 4, (0, 0), 1), r"values 0 to \d\d of 255, and no limit"),
    "dim as JPEG": (saved_as_jpeg(road(1)[1] // 3, 90), r"values 0 to \d+ of 255, and no limit"),
    "one gray": (classes(127), "every pixel is 127, which may be crack or road"),
    "all ones": (classes(1), "every pixel is 1, which"),
    "a photo": (cv2.cvtColor(road(1)[0], cv2.COLOR_RGB2GRAY), "so it is a photo"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_more_levels_that_are_no_soft_edge_are_refused_with_the_values(tmp_path, name):
    pixels, message = REFUSED[name]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=rf"a\.png: .*{message}"):
        read_mask(tmp_path / "a.png")


def in_colors(*colors: tuple[int, ...]) -> np.ndarray:
    return np.array(colors, np.uint8)[classes(*range(len(colors)))]


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        (((0, 0, 0), (255, 0, 0), (0, 255, 0)), r"colors \(0 255 0\) and \(255 0 0\) in RGB, about as bright"),
        (((255, 255, 255), (255, 0, 0)), r"colors \(255 0 0\) and \(255 255 255\) in RGB"),
        (((0, 0, 0, 255), (0, 0, 0, 0), (255, 255, 255, 255)), "has several colors and transparency"),
    ],
)  # fmt: skip
def test_colors_that_say_no_single_thing_are_refused(tmp_path, colors, message):
    pixels = in_colors(*colors)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        read_mask(tmp_path / "a.png")
    for quality in (90, 40) if pixels.shape[2] == 3 else ():
        Image.fromarray(pixels.repeat(3, axis=1)[3:, 3:]).save(tmp_path / "a.jpg", quality=quality)
        with pytest.raises(UserError, match="in RGB, about as bright"):
            read_mask(tmp_path / "a.jpg")
