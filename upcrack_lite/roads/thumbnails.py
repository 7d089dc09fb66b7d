"""Small pictures of pairs for the report: the photo, and beside it the photo with its mask's outline."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from upcrack_lite.errors import UserError
from upcrack_lite.roads.findings import Finding, wh
from upcrack_lite.roads.reading import read_image, read_mask
from upcrack_lite.roads.survey import Photo, Survey

LONG_SIDE = 220
"""Longer side of a thumbnail in pixels."""

OUTLINE = (255, 149, 0)
"""Color of a mask's outline, RGB: the book's orange, #ff9500."""

_BUDGET = 1_900_000  # bytes of all pictures together: with base64 and text the page stays below 3 MB
_MOSTLY_CRACK = 0.6  # share of crack from which the mask is shown alone
_QUALITIES = (80, 65, 50, 35, 20)  # of JPEG, until the pictures fit


@dataclass
class Picture:
    """One thumbnail: its alternative text, its size in pixels, and the address that holds its bytes."""

    alt: str
    pixels: np.ndarray
    address: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass
class Card:
    """One pair on the page: pictures, caption, and what is wrong with it, the worst first."""

    name: str
    part: str
    facts: str
    pictures: list[Picture]
    problems: list[tuple[str, str]] = field(default_factory=list)  # level and message
    unseen: str = ""  # what is written in place of a picture
    photo_seen: bool = True


def cards(
    survey: Survey, findings: list[Finding], flagged: int = 40, sample: int = 24
) -> tuple[list[Card], list[Card]]:
    """Make the pictures of pairs that errors or warnings name, and of a sample of the others.

    Args:
        survey: its folder must still hold the photos; a file that is gone or unreadable gives no picture.
        findings: what `verify` returned.
        flagged: at most so many flagged pairs; every finding gets one or two before any gets more.
        sample: how many of the others, spread evenly over the set.

    Returns:
        The cards of the flagged pairs, in the order of the findings, and those of the sample.
    """
    problems, order = _flagged(survey, findings)
    rank = {photo: index for index, photo in enumerate(problems)}
    named = sorted(order[:flagged], key=rank.__getitem__)
    others = [photo for photo in survey.photos if photo not in problems]
    spread = np.unique(np.linspace(0, len(others) - 1, min(sample, len(others))).round().astype(int))
    first = [_card(survey, photo, problems[photo]) for photo in named]
    second = [_card(survey, others[index], []) for index in spread]
    _encode([picture for card in first + second for picture in card.pictures])
    return first, second


def _flagged(
    survey: Survey, findings: list[Finding]
) -> tuple[dict[Photo, list[tuple[str, str]]], list[Photo]]:
    """Return what is wrong with each flagged pair, in the order of the findings, and the order of choice."""
    owners = {path: photo for photo in survey.photos for path in (photo.image, photo.mask) if path}
    problems: dict[Photo, list[tuple[str, str]]] = {}
    turns: list[tuple[int, Photo]] = []
    for finding in findings:
        if finding.level not in ("error", "warning"):
            continue
        photos = list(dict.fromkeys(owners[path] for path in finding.paths if path in owners))
        for index, photo in enumerate(photos):
            problems.setdefault(photo, []).append((finding.level, finding.message))
            turns.append((index // 2, photo))  # the two photos of a duplicate stay together
    turns.sort(key=lambda turn: turn[0])
    return problems, list(dict.fromkeys(photo for _, photo in turns))


def _card(survey: Survey, photo: Photo, problems: list[tuple[str, str]]) -> Card:
    """Read a pair again and draw it."""
    size = f"{wh(photo.image_size)}\u00a0pixels" if photo.image_size else "size unknown"
    share = "no mask" if photo.mask is None else "mask unreadable"
    share = share if photo.crack_share is None else f"{photo.crack_share:.2f}\u00a0% crack"
    card = Card(photo.name, photo.part, f"{size}, {share}", [], problems)
    image = _tried(read_image, survey.folder / photo.image)
    mask = _tried(read_mask, survey.folder / photo.mask) if photo.mask else None
    which = f"{photo.name} ({photo.part})"
    if image is None:
        card.unseen, card.photo_seen = "The photo cannot be read.", False
    else:
        card.pictures.append(Picture(f"Photo {which}, {size}", _shrink(image)))
    if mask is None:
        card.unseen = card.unseen or ("The mask cannot be read." if photo.mask else "")
    elif image is not None and mask.shape == image.shape[:2] and mask.mean() < _MOSTLY_CRACK:
        alt = f"Photo {which} with the outline of its mask in orange, {share}"
        card.pictures.append(Picture(alt, outlined(image, mask)))
    else:
        # Of another size there is no outline to draw, and one of black and white swapped would look right.
        alt = f"Mask of {which} alone, white is crack: {wh(mask.shape[::-1])} pixels, {share}"
        card.pictures.append(Picture(alt, _shrink(np.repeat(np.uint8(255) * mask[..., None], 3, axis=2))))
    return card


def outlined(image: np.ndarray, crack_mask: np.ndarray) -> np.ndarray:
    """Return a thumbnail of the photo with the mask's outline in orange.

    Args:
        image: uint8 `(H, W, 3)` RGB.
        crack_mask: bool `(H, W)`.

    Returns:
        uint8 `(h, w, 3)`, the longer side at most 220 pixels.
    """
    small = _shrink(image)
    factor = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
    found, _ = cv2.findContours(crack_mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Outlines are scaled as lines, to an eighth of a pixel: thin cracks would vanish from a shrunken mask.
    lines = [((line + 0.5) * factor * 8 - 4).round().astype(np.int32) for line in found]
    cv2.polylines(small, lines, True, OUTLINE, 1, cv2.LINE_AA, shift=3)
    return small


def _shrink(image: np.ndarray) -> np.ndarray:
    """Average a picture down to the thumbnail's size; smaller ones keep theirs."""
    height, width = image.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _encode(pictures: list[Picture]) -> None:
    """Give each picture its address, at the best quality at which all of them fit the page."""
    for quality in _QUALITIES:
        encoded = [
            cv2.imencode(".jpg", picture.pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            for picture in pictures
        ]
        if sum(map(len, encoded)) <= _BUDGET:
            break
    for picture, data in zip(pictures, encoded, strict=True):
        picture.address = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _tried(read, path: Path) -> np.ndarray | None:
    """Read a file, or return None if it cannot be read: the findings say why."""
    try:
        return read(path)
    except UserError:
        return None
