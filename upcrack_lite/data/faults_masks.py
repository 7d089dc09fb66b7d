"""Checks on masks: of the photo's size, lying right, black and white, and meaning crack. Chapter: the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from upcrack_lite.data import manifest
from upcrack_lite.data.facts import ORIENTATIONS
from upcrack_lite.data.findings import Case, Finding, count, few, pairs_of, pooled_share, wh
from upcrack_lite.data.likeness import better_orientation

_PHOTO_LIKE = 0.15  # share of gray from which a mask is no mask; JPEG leaves up to 0.07 on real masks
_MOSTLY_CRACK = 60.0  # percent; the largest real mask of DeepCrack, CFD and Crack500's crops has 53 %
_FEW_WRONG = 0.01  # share of a part's masks; a fault of the whole set turns more than so few
_SAME_SHARE = 0.02  # percent of crack: converted CFD masks of the right labels differ by less
_CFD_MISTAKE = (2.2, 2.4)  # percent of crack in all of CFD when label 3 is taken for crack (2.29 exactly)


def mask_size(case: Case) -> Iterator[Finding]:
    """A mask of another size than its photo: turned, or resized."""
    for photo in pairs_of(case.survey.photos):
        if not photo.image_size or not photo.mask_size or photo.image_size == photo.mask_size:
            continue
        sizes = f"{photo.mask}: is {wh(photo.mask_size)}, its photo {wh(photo.image_size)}"
        paths = (photo.image, photo.mask)
        if photo.mask_size == photo.image_size[::-1]:
            message = f"{sizes}, so one of the two is turned; take both from the authors' own archive"
            yield Finding("turned", "error", message, paths)
        else:
            message = f"{sizes}; take both from the same archive, unresized"
            yield Finding("mask size", "error", message, paths)


def mask_lies_wrong(case: Case) -> Iterator[Finding]:
    """Masks of the right size that would fit their photo far better turned or mirrored."""
    for part, photos in case.parts.items():
        pairs = [photo for photo in pairs_of(photos) if photo.image_size == photo.mask_size]
        found = [(photo, better_orientation(photo.contrast)) for photo in pairs]
        wrong = [(photo, better) for photo, better in found if better]
        if not wrong:
            continue
        better, often = Counter(better for _, better in wrong).most_common(1)[0]
        laid = ORIENTATIONS[better] if often > 0.9 * len(wrong) else "turned or mirrored"
        few_wrong = len(wrong) < _FEW_WRONG * len(pairs)
        remedy = (
            "so few may be false alarms, so look at them"
            if few_wrong
            else "look at them, and take photo and mask from the authors' own archive"
        )
        message = (
            f"{part}: {count(len(wrong), 'mask')} of {len(pairs)} would fit the photo far better {laid} "
            f"({few(photo.mask for photo, _ in wrong)}); {remedy}"
        )
        paths = tuple(path for photo, _ in wrong for path in (photo.image, photo.mask))
        yield Finding("turned", "warning", message, paths)


def gray_masks(case: Case) -> Iterator[Finding]:
    """Masks that are not black and white."""
    for part, photos in case.parts.items():
        gray = [photo for photo in pairs_of(photos) if photo.gray_share]
        for photo in gray:
            if photo.gray_share >= _PHOTO_LIKE:
                message = (
                    f"{photo.mask}: {100 * photo.gray_share:.0f} % of it is gray, so it may be a photo or a "
                    "detector's output in place of a mask; copy the mask again"
                )
                yield Finding("gray mask", "error", message, (photo.mask,))
        soft = [photo for photo in gray if photo.gray_share < _PHOTO_LIKE]
        if soft:
            largest = 100 * max(photo.gray_share for photo in soft)
            message = (
                f"{part}: {count(len(soft), 'mask')} of {len(photos)} with gray, up to {largest:.2g} % of the "
                f"pixels ({few(photo.mask for photo in soft)}); JPEG or resizing blurred the edges, so crack "
                "widths may differ from the original masks: take those"
            )
            yield Finding("gray mask", "warning", message, tuple(photo.mask for photo in soft))


def inverted_masks(case: Case) -> Iterator[Finding]:
    """Masks that are crack almost everywhere."""
    for photo in pairs_of(case.survey.photos):
        if photo.crack_share > _MOSTLY_CRACK:
            message = (
                f"{photo.mask}: {photo.crack_share:.0f} % of it is crack; if black and white are swapped, "
                "swap them back: white is crack"
            )
            yield Finding("inverted mask", "warning", message, (photo.mask,))


def empty_masks(case: Case) -> Iterator[Finding]:
    """Masks without a crack pixel."""
    for part, photos in case.parts.items():
        if empty := [photo.mask for photo in pairs_of(photos) if photo.crack_share == 0]:
            message = (
                f"{part}: {count(len(empty), 'mask')} of {len(photos)} without a crack pixel ({few(empty)}); "
                "right for undamaged road, a lost label otherwise"
            )
            yield Finding("empty mask", "note", message, tuple(empty))


def cfd_labels(case: Case) -> Iterator[Finding]:
    """How many CFD labels hold label 3, and what taking it for crack would do."""
    labels = [photo for photo in pairs_of(case.survey.photos) if photo.above_one_share is not None]
    with_three = [photo for photo in labels if photo.above_one_share > photo.crack_share]
    if with_three:
        right, mistaken = pooled_share(labels), pooled_share(labels, "above_one_share")
        message = (
            f"{len(with_three)} of {count(len(labels), 'label')} hold label 3, intact road enclosed by cracks, which "
            f"is not counted as crack: {right:.2f} % of the pixels are crack; counting it would give "
            f"{mistaken:.2f} %, a known mistake"
        )
        yield Finding("label 3", "note", message, tuple(photo.mask for photo in with_three))


def cfd_converted(case: Case) -> Iterator[Finding]:
    """CFD as images, whose masks are larger than the labels say: label 3 was taken for crack."""
    known = _cfd_manifest() if case.source is None or case.source.name == "cfd" else {}
    masks = [photo for photo in pairs_of(case.survey.photos) if photo.above_one_share is None]
    common = [photo for photo in masks if known.get(photo.name, (None,))[0] == photo.mask_size]
    if len(common) < 3 or len(common) < 0.9 * len(masks):
        return
    excess = np.array([photo.crack_share - known[photo.name][1] for photo in common])
    larger = [photo for photo, more in zip(common, excess, strict=True) if more > _SAME_SHARE]
    # Numbers as names and 480×320 are no proof that it is CFD. Where label 3 is absent the shares agree, and it
    # never makes one smaller; among other photos about half would be.
    if len(larger) < 3 or np.mean(excess < -_SAME_SHARE) > 0.1 or not np.any(np.abs(excess) <= _SAME_SHARE):
        return
    share = pooled_share(common)
    also = " (2.29 % is this mistake's mark)" if _CFD_MISTAKE[0] <= share <= _CFD_MISTAKE[1] else ""
    message = (
        f"{len(larger)} of {count(len(common), 'mask')} hold more crack than CFD's labels "
        f"({few(photo.mask for photo in larger)}), together {share:.2f} %{also}: "
        "label 3, intact road enclosed by cracks, was taken for crack; "
        "read the .mat files, or make the masks again from labels 2 and 4"
    )
    yield Finding("label 3", "error", message, tuple(photo.mask for photo in larger))


def _cfd_manifest() -> dict[str, tuple[tuple[int, int], float]]:
    """Size and crack share of each CFD label by its name; empty where the kit's manifest is not there."""
    path = manifest.packaged("cfd")
    return {
        PurePosixPath(entry.path).stem: ((entry.width, entry.height), entry.crack_share)
        for entry in (manifest.read(path) if path else [])
        if entry.crack_share is not None and entry.width is not None and entry.height is not None
    }
