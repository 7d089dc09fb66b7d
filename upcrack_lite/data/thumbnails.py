"""Small pictures of pairs for the report: the photo, and beside it the photo with its mask's outline."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from upcrack_lite.data.findings import Finding, wh
from upcrack_lite.data.reading import read_image, read_mask
from upcrack_lite.data.survey import Photo, Survey
from upcrack_lite.errors import UserError

LONG_SIDE = 220
"""Longer side of a thumbnail in pixels."""

OUTLINE = (255, 149, 0)
"""Color of a mask's outline, RGB: the book's orange, #ff9500."""

_PAGE = (
    2_700_000  # bytes of all pictures, in base64, and their captions: with its lists the page is below 3 MB
)
_CARD = 900  # bytes of a pair's HTML besides its names, messages and pictures
_MOST = 240  # pairs of the sample, whatever was asked for: each is read again, and its pictures are kept
_MOSTLY_CRACK = 0.6  # share of crack from which the mask is shown alone
# Quality of JPEG and share of the size, until the pictures fit: coarse first, then small.
_STEPS = ((80, 1.0), (65, 1.0), (50, 1.0), (35, 1.0), (20, 1.0), (35, 0.7), (35, 0.5), (20, 0.5), (20, 0.35))


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
) -> tuple[list[Card], list[Card], int]:
    """Make the pictures of pairs that errors or warnings name, and of a sample of the others.

    All pictures and captions together take at most 2.7 MB of a page.

    Args:
        survey: its folder must still hold the photos; a file that is gone or unreadable gives no picture.
        findings: what `verify` returned.
        flagged: at most so many flagged pairs; every finding gets one or two before any gets more.
        sample: how many of the others, spread evenly over the set; more than 240 are never shown.

    Returns:
        The cards of the flagged pairs, in the order of the findings, those of the sample, and how many pairs
        of the sample were left out so that the page does not grow too large.
    """
    problems, order = _flagged(survey, findings)
    rank = {photo: index for index, photo in enumerate(problems)}
    named = sorted(order[:flagged], key=rank.__getitem__)
    others = [photo for photo in survey.photos if photo not in problems]
    wanted = min(max(sample, 0), len(others))
    spread = np.unique(np.linspace(0, len(others) - 1, min(wanted, _MOST)).round().astype(int))
    first = [_card(survey, photo, problems[photo]) for photo in named]
    second = [_card(survey, others[index], []) for index in spread]
    while not _encode(first + second) and second:
        second = second[::2]
    return first, second, wanted - len(second)


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


def _encode(shown: list[Card]) -> bool:
    """Give each picture its address, at the best quality and size at which all fit the page.

    Returns False if they do not fit even at the worst; they have that one's addresses then.
    """
    pictures = [picture for card in shown for picture in card.pictures]
    room = _PAGE - sum(map(_text_bytes, shown))
    for quality, scale in _STEPS:
        encoded = [_jpeg(picture.pixels, quality, scale) for picture in pictures]
        if fits := sum(map(len, encoded)) <= room:
            break
    for picture, data in zip(pictures, encoded, strict=True):
        picture.address = data
    return fits


def _jpeg(pixels: np.ndarray, quality: int, scale: float) -> str:
    """Write a picture as an address that holds its bytes. `Picture.size` stays, so the page shows it as large."""
    if scale < 1:
        size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _text_bytes(card: Card) -> int:
    """Estimate, rather too high, the bytes of a card's HTML without its pictures."""
    words = [card.name, card.part, card.facts, card.unseen, *(message for _, message in card.problems)]
    words += [picture.alt for picture in card.pictures]
    return _CARD + sum(len(html.escape(word).encode("utf-8", "replace")) for word in words)


def _tried(read, path: Path) -> np.ndarray | None:
    """Read a file, or return None if it cannot be read: the findings say why."""
    try:
        return read(path)
    except UserError:
        return None
