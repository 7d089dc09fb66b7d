"""Read one photo or one mask from disk, stretch the two to a square, and measure what that does to thin cracks.

Every problem of a file raises `UserError`, also the one that OpenCV hides: it decodes a cut-off
JPEG without a word and fills the missing part with gray. Chapter: the data.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from upcrack_lite.data.labels import Label, label_of
from upcrack_lite.errors import UserError, note
from upcrack_lite.recipes import check_value

IMAGE_TYPES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""File name endings that are read as images, in small or capital letters."""

RULES = ("area", "nearest")
"""The rules of resizing; `resize` explains them."""

CFD_CRACK_LABELS = (2, 4)
"""Labels that mean crack in a CFD `.mat` file; 1 is road, 3 intact road enclosed by cracks."""

THIN = 4.0
"""A centerline pixel belongs to a thin crack if the crack is at most so many pixels wide there."""

_MAT_BYTES = 2**26
"""A `.mat` file that unpacks to more is refused; a label of CFD has 0.2 MB."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, restart or fill byte


@dataclass(frozen=True)
class Loss:
    """What is left of crack masks after resizing to `size` by `rule`, pooled over the masks.

    share_before, share_after: prevalence of crack pixels in percent. Before is the mean over masks, so that it
    compares with after, where every mask has the same number of pixels.
    centerline_kept: percent of the centerline pixels that still lie in the crack.
    thin_kept: the same for centerline pixels of thin cracks; None where there is none.
    pieces_before, pieces_after: connected components of crack (8-connected), summed over the masks.
    """

    size: int
    rule: str
    masks: int
    share_before: float
    share_after: float
    centerline_kept: float
    thin_kept: float | None
    pieces_before: int
    pieces_after: int


def is_image(path: Path) -> bool:
    """Return True if the file name ends like an image and is not a hidden file."""
    return path.suffix.lower() in IMAGE_TYPES and not path.name.startswith(".")


def read_image(path: str | Path) -> np.ndarray:
    """Read a photo as uint8 RGB `(H, W, 3)`.

    The photo is turned as its EXIF orientation tag says, so that it stands as a viewer shows it.
    Gray becomes three equal channels, transparency is dropped, 16-bit values are divided by 257: 65535 is white,
    whatever the brightest pixel is. A `Note` names a folder of photos that use only 12 of the 16 bits.

    Raises UserError: the file is missing, cut off, no image, neither 8 nor 16 bits deep, in Lab colors, or has more
    than 179 million pixels.
    """
    image, _, _ = _decode(Path(path))
    if image.dtype == np.uint16:
        if 0 < image.max() < 4096:
            note(
                f"{Path(path).parent}: holds 16-bit photos that stay below 4096 of 65535, so they are read as nearly "
                "black; multiply their values by 16"
            )
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return image


def read_mask(path: str | Path) -> np.ndarray:
    """Read a crack mask as bool `(H, W)`, True = crack.

    Of two levels the upper one is crack, whatever they are, and a `Note` says so once a folder unless they
    are 0 and white or 0 and 1. Soft edges, as JPEG and resizing leave them, are crack above half of the range
    (> 127 of 255). The brightest channel counts, or the transparency where the color is the same everywhere.
    The file is turned by its EXIF tag like a photo. A `.mat` file is a CFD label: 2 and 4 are crack (1 is
    road, 3 intact road enclosed by cracks).

    Raises UserError: the file is missing, cut off or no mask, such as a photo or an image of class labels.
    """
    path = Path(path)
    label = read_label(path)
    if label.levels:
        road, crack = label.levels
        note(f"{path.parent}: holds masks with the values {road} and {crack}; {crack} is read as crack")
    elif label.crack_mask.all():
        note(f"{path}: is white all over, so all of it is read as crack")
    return label.crack_mask


def read_label(path: Path) -> Label:
    """Read a crack mask as `read_mask` does, with what it says about its levels, and without a note."""
    if path.suffix.lower() == ".mat":
        return Label(np.isin(read_segmentation(path), CFD_CRACK_LABELS))
    pixels, opacity, is_jpeg = _decode(path)
    try:
        return label_of(pixels, opacity, is_jpeg)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def resize(
    image: np.ndarray, crack_mask: np.ndarray | None, size: int, rule: str = "area"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Stretch a photo, uint8 `(H, W, 3)`, and its mask, bool `(H, W)` or None, to `size` × `size` pixels.

    The rule `area` stands behind the kit's tables: the photo is averaged over areas where no side grows,
    else interpolated (cubic); the mask is interpolated (bilinear) with the threshold > 127 of 255. The rule
    `nearest` takes the nearest pixel of both, as some loaders do; `loss_by_resizing` measures the difference.
    The aspect ratio is not kept.
    Raises UserError: the size is not positive, the rule is unknown, or photo and mask differ in size.
    """
    check_value("rule of resizing", rule, RULES)
    check_value("size", size, "[1, inf)")
    height, width = image.shape[:2]
    if crack_mask is not None and crack_mask.shape != (height, width):
        mask_height, mask_width = crack_mask.shape
        raise UserError(
            f"the mask is {mask_width}×{mask_height} but the photo is {width}×{height}: give both at the same size"
        )
    how = cv2.INTER_AREA if size <= min(height, width) else cv2.INTER_CUBIC
    how = cv2.INTER_NEAREST if rule == "nearest" else how
    same = (height, width) == (size, size)
    resized = image.copy() if same else cv2.resize(image, (size, size), interpolation=how)
    return resized, None if crack_mask is None else resize_mask(crack_mask, size, rule)


def resize_mask(crack_mask: np.ndarray, size: int, rule: str = "area") -> np.ndarray:
    """Stretch a crack mask, bool `(H, W)`, to bool `(size, size)`, by the rule of `resize`."""
    how = cv2.INTER_NEAREST if rule == "nearest" else cv2.INTER_LINEAR
    return cv2.resize(crack_mask.astype(np.uint8) * 255, (size, size), interpolation=how) > 127


def loss_by_resizing(crack_masks: Iterable[np.ndarray], size: int, rule: str = "area") -> Loss:
    """Measure what `resize_mask` leaves of crack masks.

    crack_masks: bool `(H, W)` each, of any sizes; masks without crack count in the shares only.
    Raises UserError: no crack in any of them, an unknown rule, or a size below 1.
    """
    from scipy.ndimage import distance_transform_edt  # here, because few who read a photo need them
    from skimage.measure import label
    from skimage.morphology import skeletonize

    check_value("rule of resizing", rule, RULES)
    check_value("size", size, "[1, inf)")
    shares: list[tuple[float, float]] = []
    pieces = np.zeros(2, int)
    kept, thin = [], []
    for mask in crack_masks:
        small = resize_mask(mask, size, rule)
        shares.append((mask.mean(), small.mean()))
        pieces += (label(mask, connectivity=2).max(), label(small, connectivity=2).max())
        y, x = np.nonzero(skeletonize(mask))
        # The resized pixel that covers the middle of the original one.
        rows = ((y + 0.5) * size / mask.shape[0]).astype(int)
        columns = ((x + 0.5) * size / mask.shape[1]).astype(int)
        kept.append(small[rows, columns])
        # The distance to the nearest pixel outside is 1 in the middle of a crack one pixel wide.
        thin.append(2 * distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][y, x] - 1 <= THIN)
    inside, is_thin = (np.concatenate([*part, np.zeros(0, bool)]) for part in (kept, thin))
    if not len(inside):
        raise UserError(f"none of the {len(shares)} masks holds a crack")
    before, after = (100 * np.mean(shares, axis=0)).tolist()
    centerline = float(100 * inside.mean())
    of_thin = float(100 * inside[is_thin].mean()) if is_thin.any() else None
    return Loss(size, rule, len(shares), before, after, centerline, of_thin, *pieces.tolist())


def _decode(path: Path) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Decode an image file that is whole, with 8 or 16 bits a channel.

    Returns RGB `(H, W, 3)`, the opacity `(H, W)` where it has one, and whether it is a JPEG.
    """
    data = _bytes_of(path)
    pixels, opacity, kind = _seen_by_pillow(data, path)
    if pixels is None:
        with contextlib.suppress(cv2.error):  # of a picture larger than OpenCV's limit
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if pixels is None:
            raise UserError(f"{path}: is not an image that can be read; save it as 8-bit PNG or JPEG")
        # OpenCV 5.0 gives the channels of a 16-bit TIFF in the wrong order when asked for RGB.
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: has {pixels.dtype} values; save it with 8 or 16 bits a channel")
    return pixels, opacity, kind == "JPEG"


def _bytes_of(path: Path) -> bytes:
    """All of a file. Raises UserError for one that is missing, cannot be read or is empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not data:
        raise UserError(f"{path}: is empty (0 bytes); copy it again")
    return data


def _seen_by_pillow(data: bytes, path: Path) -> tuple[np.ndarray | None, np.ndarray | None, str | None]:
    """Refuse an image that ends too early or has too many pixels. What Pillow does not know is left to OpenCV.

    Returns the pixels, only of a TIFF of 8 bits, of which OpenCV makes black what is transparent; the opacity, where
    there is one; and the kind of file.
    """
    # Pillow warns from half its limit on of pictures that are read all the same.
    ignored = warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)
    pixels = opacity = None
    try:
        with ignored, Image.open(io.BytesIO(data)) as picture:
            kind, mode = picture.format, picture.mode
            if kind == "PNG" and not picture.has_transparency_data:
                picture.verify()  # reads every chunk's checksum, quicker than decoding
            elif kind != "JPEG":
                picture.load()
            if picture.has_transparency_data:
                opacity = np.asarray(ImageOps.exif_transpose(picture.convert("RGBA")))[..., 3]
            if kind == "TIFF" and mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
                pixels = np.asarray(ImageOps.exif_transpose(picture.convert("RGB")))
    except Image.DecompressionBombError:
        most = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        raise UserError(
            f"{path}: has more than the {most:.0f} million pixels that are read; cut it into tiles or shrink it"
        ) from None
    except Image.UnidentifiedImageError:
        kind, mode = None, ""
    except (OSError, SyntaxError, ValueError):
        raise UserError(f"{path}: is cut off or damaged; copy or download it again") from None
    if mode == "LAB":
        raise UserError(f"{path}: has Lab colors, which are not read; save it in RGB")
    if data.startswith(b"\xff\xd8") and not _jpeg_ends(data):
        raise UserError(f"{path}: is cut off or damaged; copy or download it again")
    return pixels, opacity, kind


def _jpeg_ends(data: bytes) -> bool:
    """Walk a JPEG's segments up to its end-of-image marker.

    The last two bytes do not tell: phones append their own data after the end, and the small preview inside a
    cut-off file has an end marker too.
    """
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        marker, position = data[match.start() + 1], match.end()
        if marker == 0xD9:
            return True
        position += int.from_bytes(data[position : position + 2], "big")
    return False


def _check_unpacked(data: bytes) -> None:
    """Raise ValueError for a `.mat` file whose compressed parts hold more than `_MAT_BYTES`, without keeping them."""
    order = "big" if data[126:128] == b"MI" else "little"
    position, room = 128, _MAT_BYTES  # after the header each part has its type and its length, 4 bytes each
    while position + 8 <= len(data):
        kind, length = (int.from_bytes(data[position + k : position + k + 4], order) for k in (0, 4))
        if kind == 15:  # miCOMPRESSED
            room -= len(zlib.decompressobj().decompress(data[position + 8 : position + 8 + length], room + 1))
        if room < 0:
            raise ValueError(f"it unpacks to more than {_MAT_BYTES / 1e6:.0f} MB")
        position += 8 + length


def read_segmentation(path: Path) -> np.ndarray:
    """Read the label image `groundTruth.Segmentation` of a CFD `.mat` file."""
    from scipy.io import loadmat  # here, because only CFD needs SciPy

    data = _bytes_of(path)
    try:
        _check_unpacked(data)
        labels = np.asarray(loadmat(io.BytesIO(data))["groundTruth"]["Segmentation"][0, 0])
    except Exception as error:  # a broken file fails in SciPy in a dozen ways
        raise UserError(
            f"{path}: is no CFD label with groundTruth.Segmentation ({repr(error)[:80]}); copy it again"
        ) from None
    if labels.ndim != 2 or labels.dtype.kind not in "ui" or labels.size == 0:
        raise UserError(f"{path}: groundTruth.Segmentation is no label image; copy the file again")
    return labels
