"""The facts of one photo and its mask: sizes, checksums, shares, perceptual hashes, contrast. Chapter: the data."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import loadmat

from upcrack_lite.data.layouts import Pair
from upcrack_lite.data.reading import is_image, read_image, read_mask
from upcrack_lite.errors import UserError

ORIENTATIONS = (
    "upright",
    "turned a quarter left",
    "turned a half",
    "turned a quarter right",
    "mirrored",
    "mirrored, then turned a quarter left",
    "mirrored, then turned a half",
    "mirrored, then turned a quarter right",
)
"""The 8 ways to lay a picture, in the order of `Photo.hashes` and `Photo.contrast`."""

_HASH_SIDE = 32  # imagehash.phash shrinks every picture to 32×32 before its cosine transform
_CONTRAST_SIDE = 256  # the longer side at which contrast is measured, so that 8 orientations stay cheap
# Width of the ring around a mask, in pixels of the shrunken photo. Measured on 501 real pairs: of masks laid wrong,
# a ring of 20 finds more than one of 5 (95 against 87 % on the 360×360 crops of Crack500, at 1 % false alarms).
_RING = 20


@dataclass(frozen=True)
class Photo:
    """Facts about one pair, or about one photo of undamaged road.

    Attributes:
        part: `train`, `val` or `test`, or `all` where the layout has no split (`cfd`, `plain`).
        name: file name without its ending.
        image, mask: POSIX paths relative to the set's folder; `mask` is None without a label.
        image_size, mask_size: (width, height) in pixels, as a viewer shows them; None when unreadable.
        crack_share: share of crack pixels in percent.
        gray_share: share, 0 to 1, of mask pixels that are neither black nor white; 0 for `.mat`.
        above_one_share: `.mat` only: percent of label values above 1, which counts label 3 as crack too.
        hashes: 64-bit perceptual hashes of the photo in the 8 orientations of `ORIENTATIONS`, upright
            first; empty when the photo is unreadable.
        contrast: how much darker the mask's pixels are than their surroundings, for the mask in the same
            8 orientations; nan where the turned mask does not fit; empty without a mask or when unreadable.
        problem: the reader's message when the image or the mask could not be read, with paths as above.
    """

    part: str
    name: str
    image: str
    mask: str | None
    image_size: tuple[int, int] | None
    mask_size: tuple[int, int] | None
    crack_share: float | None
    gray_share: float | None
    above_one_share: float | None
    hashes: tuple[int, ...]
    contrast: tuple[float, ...]
    problem: str | None


@dataclass(frozen=True)
class File:
    """One file of a set: POSIX path relative to the set's folder, size in bytes, SHA-256, and what it shows.

    `width` and `height` are None where it is no image or cannot be read; `crack_share`, in percent, is
    there for masks only. `phash`, 16 hexadecimal digits, is the perceptual hash of a photo as it stands
    (`Photo.hashes[0]`); None for masks and what cannot be read. `sha256` is empty where the system refuses to
    give the bytes.
    """

    path: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    crack_share: float | None
    phash: str | None = field(default=None, kw_only=True)


def look_at_pair(folder: Path, part: str, pair: Pair) -> tuple[Photo, list[File]]:
    """Gather the facts of one pair, or of one photo of undamaged road.

    Args:
        folder: the set's folder; all paths in the facts are relative to it.
        part: what to write into `Photo.part`.
        pair: photo and mask below that folder.

    Returns:
        The photo's facts, and those of its one or two files. A file that cannot be read raises nothing.
    """
    problems: list[str] = []
    image = crack_mask = crack_share = gray_share = above_one = None
    image_data, mask_data = _bytes(pair.image), b""
    hashes: tuple[int, ...] = ()
    try:
        image = read_image(pair.image)
        hashes = perceptual_hashes(image)
    except UserError as error:
        problems.append(str(error))
    if pair.mask is not None:
        mask_data = _bytes(pair.mask)
        try:
            crack_mask = read_mask(pair.mask)
            crack_share = 100 * float(crack_mask.mean())
            gray_share, above_one = label_facts(pair.mask, mask_data)
        except UserError as error:
            problems.append(str(error))
    files = [_file(folder, pair.image, image_data, _size(image), hashes=hashes)]
    if pair.mask is not None:
        files.append(_file(folder, pair.mask, mask_data, _size(crack_mask), crack_share))
    photo = Photo(
        part=part,
        name=pair.name,
        image=files[0].path,
        mask=None if pair.mask is None else files[1].path,
        image_size=_size(image),
        mask_size=_size(crack_mask),
        crack_share=crack_share,
        gray_share=gray_share,
        above_one_share=above_one,
        hashes=hashes,
        contrast=() if image is None or crack_mask is None else contrasts(image, crack_mask),
        problem=relative(folder, "; ".join(problems)) or None,
    )
    return photo, files


def look_at_file(folder: Path, path: Path, is_mask: bool = False) -> tuple[None, list[File]]:
    """Gather the facts of a file that stands alone: a photo, a mask, or no picture at all."""
    pixels = None
    if is_mask or is_image(path):
        with contextlib.suppress(UserError):
            pixels = read_mask(path) if is_mask else read_image(path)
    share = 100 * float(pixels.mean()) if is_mask and pixels is not None else None
    hashes = () if is_mask or pixels is None else perceptual_hashes(pixels)
    return None, [_file(folder, path, _bytes(path), _size(pixels), share, hashes)]


def relative(folder: Path, message: str) -> str:
    """Write a reader's message with its paths relative to the set's folder, so that it is the same anywhere."""
    start = re.escape(str(folder).rstrip("/\\"))
    return re.sub(rf"(?<!\S){start}[/\\]", "", message)


def _file(
    folder: Path,
    path: Path,
    data: bytes | None,
    size: tuple[int, int] | None = None,
    crack_share: float | None = None,
    hashes: tuple[int, ...] = (),
) -> File:
    width, height = size or (None, None)
    checksum = "" if data is None else hashlib.sha256(data).hexdigest()
    name, phash = path.relative_to(folder).as_posix(), f"{hashes[0]:016x}" if hashes else None
    return File(name, len(data or b""), checksum, width, height, crack_share, phash=phash)


def _bytes(path: Path) -> bytes | None:
    """Return a file's bytes, or None where the system refuses them (the reader then says why)."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _size(pixels: np.ndarray | None) -> tuple[int, int] | None:
    """Return (width, height), the order in which sizes are written for people."""
    return None if pixels is None else (pixels.shape[1], pixels.shape[0])


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Lay an array `(H, W)` or `(H, W, C)` in one of the 8 ways (0 to 7, as in `ORIENTATIONS`)."""
    return np.rot90(pixels[:, ::-1] if orientation >= 4 else pixels, orientation % 4)


def perceptual_hashes(image: np.ndarray) -> tuple[int, ...]:
    """Return the 64-bit perceptual hashes (`imagehash.phash`) of a photo in its 8 orientations.

    The photo is shrunk once and then turned. The first hash is exactly imagehash's. The others may differ
    by single bits from those of the photo turned at full size, because shrinking rounds to whole levels.

    Args:
        image: uint8 `(H, W, 3)` RGB.

    Returns:
        8 ints from 0 to 2**64 - 1, in the order of `ORIENTATIONS`.
    """
    gray = Image.fromarray(image).convert("L")
    small = np.asarray(gray.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS))
    import imagehash  # here, so that training and scoring do without it

    hashes = (imagehash.phash(Image.fromarray(turned(small, index))) for index in range(len(ORIENTATIONS)))
    return tuple(int(str(found), 16) for found in hashes)


def contrasts(image: np.ndarray, crack_mask: np.ndarray) -> tuple[float, ...]:
    """Return how much darker the mask's pixels are than their surroundings, for the mask in 8 orientations.

    It is the mean gray of a ring around the mask minus the mean gray inside it, divided by the standard
    deviation of the photo's gray. Cracks are dark, so a mask that fits its photo gives a positive number, and
    one that lies wrong gives about 0. All is measured at 256 pixels on the longer side.

    Args:
        image: uint8 `(H, W, 3)` RGB.
        crack_mask: bool `(h, w)`, of the photo's size, or of its size turned.

    Returns:
        8 floats in the order of `ORIENTATIONS`; nan where the mask laid so has another size than the photo,
        and for a mask without a crack pixel or without any surroundings.
    """
    gray = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32))
    # The share of crack in each pixel, because thin cracks would vanish from a mask that is shrunk and cut.
    inside = _shrunk(crack_mask.astype(np.float32))
    near = cv2.dilate((inside > 0).astype(np.float32), np.ones((2 * _RING + 1, 2 * _RING + 1)))
    ring = near * (inside == 0)
    if not inside.any() or not ring.any():
        return (nan,) * len(ORIENTATIONS)
    spread = max(float(gray.std()), 1e-6)  # a photo of one color has no contrast anywhere: 0, not an error
    found = []
    for index in range(len(ORIENTATIONS)):
        if turned(crack_mask, index).shape != image.shape[:2]:
            found.append(nan)
            continue
        around = (gray * turned(ring, index)).sum(dtype=np.float64) / ring.sum(dtype=np.float64)
        within = (gray * turned(inside, index)).sum(dtype=np.float64) / inside.sum(dtype=np.float64)
        found.append(float((around - within) / spread))
    return tuple(found)


def label_facts(path: Path, data: bytes) -> tuple[float, float | None]:
    """Return the share of gray in a mask, and for a CFD label the percent of values above 1.

    Args:
        path: the mask's path; its ending tells a `.mat` file.
        data: the bytes of a mask that `reading.read_mask` accepts.

    Returns:
        The share, 0 to 1, of pixels that are neither black nor white (0 for `.mat`, and for a file that
        holds only 0 and 1); and the percent of label values above 1, None for an image file.
    """
    if path.suffix.lower() == ".mat":
        labels = np.asarray(loadmat(io.BytesIO(data))["groundTruth"]["Segmentation"][0, 0])
        return 0.0, 100 * float(np.mean(labels > 1))
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH).max(axis=2)
    if values.max() <= 1:
        return 0.0, None
    return float(np.mean((values > 0) & (values < np.iinfo(values.dtype).max))), None


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """Average `(H, W)` down to 256 pixels on the longer side; smaller ones stay as they are."""
    height, width = pixels.shape
    scale = _CONTRAST_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
