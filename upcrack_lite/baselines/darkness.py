"""Maps that need no training: how much a pixel looks like a crack, judged by darkness or by shape.

Each takes a gray photo, float32 `(H, W)` in [0, 1], and returns a float32 map `(H, W)`, higher where a crack is
more likely. Cracks are taken to be dark and thin. None of this is in the paper; these maps show what its numbers
are worth beside decades-old filters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from skimage.filters import frangi, sato

from upcrack_lite.errors import UserError

GABOR_ANGLES = 12  # orientations over half a turn
RIDGE_SIGMAS = (2.0, 4.0, 6.0, 8.0)  # px: half-widths of the ridges that Frangi's and Sato's filters look for


def to_gray(photo: np.ndarray) -> np.ndarray:
    """Turn a photo, uint8 `(H, W, 3)` RGB, into gray, float32 `(H, W)` in [0, 1]. Raises UserError otherwise."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise UserError(f"a photo must be uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def iqr(values: np.ndarray) -> float:
    """Interquartile range, at least half a gray level, so that a uniform photo divides by no zero."""
    low, high = np.percentile(values, (25, 75))
    return max(float(high - low), 0.5 / 255)


def global_darkness(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """How far a pixel lies below the photo's median, in interquartile ranges of the photo.

    sigma: of a Gaussian that smooths the photo first, px; 0 leaves it.
    """
    smooth = blurred(gray, sigma)
    return ((np.median(smooth) - smooth) / iqr(smooth)).astype(np.float32)


def local_darkness(gray: np.ndarray, sigma: float = 0.0, window: float = 0.28) -> np.ndarray:
    """How far a pixel lies below the median around it, in interquartile ranges of that difference.

    window: side of the neighborhood as a share of the photo's longer side. The median is taken on 8-bit gray.
    """
    side = max(3, round(window * max(gray.shape)) | 1)  # odd
    background = cv2.medianBlur((gray * 255).round().astype(np.uint8), side).astype(np.float32) / 255
    below = background - blurred(gray, sigma)
    return ((below - np.median(below)) / iqr(below)).astype(np.float32)


def black_tophat(gray: np.ndarray, sigma: float = 0.0, side: int = 31) -> np.ndarray:
    """What a closing fills: dark things narrower than an ellipse of `side` px."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(blurred(gray, sigma), cv2.MORPH_BLACKHAT, element)


def frangi_ridges(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Frangi's vesselness of dark ridges; `sigma` smooths the photo first."""
    return frangi(blurred(gray, sigma), sigmas=RIDGE_SIGMAS, black_ridges=True).astype(np.float32)


def sato_ridges(gray: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Sato's tubeness of dark ridges; `sigma` smooths the photo first."""
    return sato(blurred(gray, sigma), sigmas=RIDGE_SIGMAS, black_ridges=True).astype(np.float32)


def gabor(gray: np.ndarray, sigma: float = 0.0, wavelength: float = 12.0) -> np.ndarray:
    """The strongest answer of Gabor filters to a dark line, over 12 orientations.

    wavelength: px; a line half as wide answers most.
    """
    smooth, best = blurred(gray, sigma), None
    for angle in np.arange(GABOR_ANGLES) * np.pi / GABOR_ANGLES:
        kernel = cv2.getGaborKernel((31, 31), 0.4 * wavelength, angle, wavelength, 0.5, 0, cv2.CV_32F)
        kernel -= kernel.mean()  # so that brightness alone gives no answer
        answer = -cv2.filter2D(
            smooth, cv2.CV_32F, kernel / np.abs(kernel).sum(), borderType=cv2.BORDER_REFLECT
        )
        best = answer if best is None else np.maximum(best, answer)
    return np.maximum(best, 0)


def blurred(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth by a Gaussian; sigma 0 leaves the photo as it is."""
    return cv2.GaussianBlur(gray, (0, 0), sigma) if sigma else gray


MAPS: Mapping[str, Callable[..., np.ndarray]] = MappingProxyType(
    {
        "global_darkness": global_darkness,
        "local_darkness": local_darkness,
        "black_tophat": black_tophat,
        "frangi": frangi_ridges,
        "sato": sato_ridges,
        "gabor": gabor,
    }
)
"""Every map by its name."""
