"""Checks on copies: the same photo twice, also changed, turned or as a neighboring crop. Chapter: the data.

A photo of the test part that the training part holds too makes scores too good, so copies across parts weigh
more than copies inside one.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

import numpy as np

from upcrack_lite.data.crops import photo_of
from upcrack_lite.data.facts import ORIENTATIONS
from upcrack_lite.data.findings import Case, Finding, count, few, pairs_of
from upcrack_lite.data.likeness import near_duplicates
from upcrack_lite.data.reading import read_mask
from upcrack_lite.data.survey import Photo
from upcrack_lite.errors import UserError

_LISTED = 200  # near-duplicates across parts that are listed one by one; the rest are counted
_POOR_FIT = 1.0  # contrast below which a mask may be another photo's; half reach 3.3 in DeepCrack


def _leak(case: Case) -> str:
    """The level of a photo in two parts. In a set as its authors publish it, it is theirs: to be named, but no
    fault of this copy, which could only be mended by making another set of it."""
    return "error" if case.source is None else "warning"


def exact_photos(case: Case) -> Iterator[Finding]:
    """Photos with the same bytes."""
    for same in _same(case, [(photo, photo.image) for photo in case.survey.photos]):
        paths = tuple(photo.image for photo in same)
        parts = list(dict.fromkeys(photo.part for photo in same))
        if len(parts) > 1:
            message = (
                f"{few(paths)}: the same photo in {' and '.join(parts)}, so a test would ask for what was "
                "trained on; keep it in one part"
            )
            yield Finding("duplicate", _leak(case), message, paths)
        else:
            yield Finding("duplicate", "warning", f"{few(paths)}: the same photo; keep one", paths)


def exact_masks(case: Case) -> Iterator[Finding]:
    """Masks with the same bytes although the photos differ, and a photo that stands in for its mask."""
    with_crack = [photo for photo in pairs_of(case.survey.photos) if photo.crack_share]
    by_bytes = _same(case, [(photo, photo.mask) for photo in with_crack])
    for same in by_bytes + _same_pixels(case, with_crack):
        if len({case.sha256.get(photo.image) for photo in same}) > 1 and not _all_alike(same):
            paths = tuple(photo.mask for photo in same)
            which = _worst_fit(same)
            hint = f"{which.mask} fits its photo worst" if which else "at most one can be right"
            message = (
                f"{few(paths)}: one mask for different photos; {hint}; look at it, and say so beside scores"
            )
            yield Finding("duplicate mask", "warning", message, paths)
    for photo in case.survey.photos:
        sums = [case.sha256.get(path) for path in (photo.image, photo.mask) if path]
        if len(sums) == 2 and sums[0] and sums[0] == sums[1]:
            message = f"{photo.mask}: is the photo itself, not a mask; copy the mask again"
            yield Finding("duplicate mask", "error", message, (photo.image, photo.mask))


def shared_photos(case: Case) -> Iterator[Finding]:
    """Crops of one Crack500 photo: they show the same road, and some overlap."""
    groups: dict[str, dict[str, list[str]]] = {}
    for photo in case.survey.photos:
        if (group := photo_of(photo.name)) != photo.name:
            groups.setdefault(group, {}).setdefault(photo.part, []).append(photo.image)
    for group, parts in sorted(groups.items()):
        if len(parts) > 1:
            paths = [path for part in parts.values() for path in part]
            message = (
                f"{group}: crops of this one photo are in {' and '.join(parts)} ({few(paths)}), so a test would "
                "ask for what was trained on; split by photo"
            )
            yield Finding("shared photo", _leak(case), message, tuple(paths))
    for part in case.parts:
        several = [paths[part] for paths in groups.values() if len(paths.get(part, ())) > 1]
        if several:
            message = (
                f"{part}: {sum(map(len, several))} photos are crops of {count(len(several), 'larger photo')}; "
                "neighbors may overlap, so split such a part by photo, never at random"
            )
            yield Finding("shared photo", "note", message)


def near_copies(case: Case) -> Iterator[Finding]:
    """Photos that look alike without having the same bytes."""
    across: list[Finding] = []
    inside: dict[str, list[str]] = {}
    for a, b, distance, turned in near_duplicates(case.survey.photos):
        if _told_already(case, a, b):
            continue
        if a.part == b.part:
            inside.setdefault(a.part, []).extend((a.image, b.image))
            continue
        laid = f", the second one {ORIENTATIONS[turned]}" if turned else ""
        message = (
            f"{a.image} and {b.image}: look like one photo in {a.part} and {b.part}{laid} (distance {distance:.1f} "
            "of 64); look at them, and keep the spot in one part"
        )
        across.append(Finding("near-duplicate", "warning", message, (a.image, b.image)))
    yield from across[:_LISTED]
    if more := across[_LISTED:]:
        paths = tuple(dict.fromkeys(path for finding in more for path in finding.paths))
        message = f"{len(more)} more pairs of photos look like one photo in two parts; split the set anew"
        yield Finding("near-duplicate", "warning", message, paths)
    for part, paths in inside.items():
        first = [f"{a} and {b}" for a, b in zip(paths[::2], paths[1::2], strict=True)]
        message = (
            f"{part}: {count(len(first), 'pair')} of photos that look alike, some perhaps turned or mirrored "
            f"({few(first)}); keep both in one part when you split it"
        )
        yield Finding("near-duplicate", "note", message, tuple(sorted(set(paths))))


def _same(case: Case, files: list[tuple[Photo, str]]) -> list[list[Photo]]:
    """Group the photos whose files have the same checksum; groups of two or more, in the survey's order."""
    groups: dict[str, list[Photo]] = {}
    for photo, path in files:
        if path in case.sha256:
            groups.setdefault(case.sha256[path], []).append(photo)
    return [group for group in groups.values() if len(group) > 1]


def _same_pixels(case: Case, photos: list[Photo]) -> list[list[Photo]]:
    """Group masks of the same pixels in different bytes, such as two `.mat` files with other dates in them.

    Only masks that have exactly one share and of which one fits its photo badly are read again: a handful.
    """
    groups: dict[tuple[object, ...], list[Photo]] = {}
    for photo in photos:
        groups.setdefault((photo.mask_size, photo.crack_share), []).append(photo)
    found = []
    for group in groups.values():
        one_each = list({case.sha256.get(photo.mask, photo.mask): photo for photo in group}.values())
        worst = _worst_fit(one_each)
        if len(one_each) > 1 and worst and worst.contrast[0] < _POOR_FIT:
            same = [photo for photo in one_each if _equal_masks(case, photo, worst)]
            found += [same] if len(same) > 1 else []
    return found


def _all_alike(photos: list[Photo]) -> bool:
    """Tell whether the photos look like the first one, upright, so that one mask is right for all."""
    alike = near_duplicates(photos, most=len(photos) ** 2)
    upright = {each.b.image for each in alike if each.turned == 0 and each.a is photos[0]}
    return len(upright) == len(photos) - 1


def _worst_fit(photos: list[Photo]) -> Photo | None:
    """The photo whose mask has the least contrast; None where contrast is not known."""
    known = [photo for photo in photos if photo.contrast and not isnan(photo.contrast[0])]
    return min(known, key=lambda photo: photo.contrast[0], default=None)


def _equal_masks(case: Case, a: Photo, b: Photo) -> bool:
    """Tell whether two masks hold the same pixels."""
    try:
        masks = [read_mask(case.survey.folder / photo.mask) for photo in (a, b)]
    except UserError:  # gone since the survey
        return False
    return np.array_equal(*masks)


def _told_already(case: Case, a: Photo, b: Photo) -> bool:
    """Tell whether the two are exact copies or crops of one photo, which other checks report."""
    sums = [case.sha256.get(photo.image) for photo in (a, b)]
    if sums[0] is not None and sums[0] == sums[1]:
        return True
    return photo_of(a.name) == photo_of(b.name) != a.name
