"""Is this set the one it should be, and fit to score on? All checks over a survey. Chapter: the data.

A check is a generator of findings about a survey, its source and its manifest. It judges facts and reads no file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import PurePosixPath

import numpy as np

from upcrack_lite.data import manifest
from upcrack_lite.data.crops import photo_of
from upcrack_lite.data.duplicates import ORIENTATIONS, better_orientation, misfit, near_duplicates
from upcrack_lite.data.layouts import LAYOUTS
from upcrack_lite.data.manifest import SAME_SHARE
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Photo, Survey

LEVELS = ("error", "warning", "note")
"""How bad a finding is: an error spoils scores, a warning asks you to look, a note is good to know."""

_MOSTLY_CRACK = 60.0  # percent; the largest real mask of DeepCrack, CFD and Crack500's crops has 53 %
_MISFITS = 0.05  # share of masks from which misfits are no false alarms; the right ones of Crack500 have 0.03


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    check: short name of the check, such as `unpaired`. level: one of `LEVELS`.
    message: what is wrong and what to do, on one line.
    paths: the files in question, POSIX paths relative to the set's folder.
    """

    check: str
    level: str
    message: str
    paths: tuple[str, ...] = ()


def verify(survey: Survey, source: Source | None = None) -> list[Finding]:
    """Run every check over a survey.

    source: what is known about the set. Without it counts, sizes and crack fractions are not checked, and no file is
    compared with the kit's manifest.
    Returns the findings: errors, then warnings, then notes. The same facts give the same list.
    """
    findings = [*_files(survey)]
    for part, photos in by_part(survey).items():
        findings += _masks(part, [photo for photo in photos if photo.crack_share is not None], len(photos))
    findings += [*_label_3(survey), *_copies(survey, source), *_repeated_masks(survey)]
    findings += _crops_of_one_photo(survey, source)
    if source:
        findings += _known_numbers(survey, source)
        if known := manifest.expected(source.name):
            differences = manifest.compare(survey.files, known)
            findings += [Finding("manifest", level, message, (path,)) for path, level, message in differences]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def passed(findings: Iterable[Finding]) -> bool:
    """Tell whether there is no error among the findings."""
    return all(finding.level != "error" for finding in findings)


def by_part(survey: Survey) -> dict[str, list[Photo]]:
    """The photos of each part, in the survey's order."""
    parts = defaultdict(list)
    for photo in survey.photos:
        parts[photo.part].append(photo)
    return dict(parts)


def pooled_share(photos: Iterable[Photo], of: str = "crack_share") -> float | None:
    """Return the percent of crack pixels among all pixels of the masks; None without a mask.

    `of` may be `above_one_share`, for what a CFD label gives if label 3 is taken for crack.
    """
    masks = [(getattr(photo, of), photo.mask_size) for photo in photos if photo.crack_share is not None]
    pixels = [width * height for _, (width, height) in masks]
    return float(np.average([share for share, _ in masks], weights=pixels)) if masks else None


def how_many(survey: Survey, part: str, number: int) -> str:
    """Write `2 pairs`, or `2 photos` for a part that has no masks in this layout."""
    splits = LAYOUTS[survey.layout]
    _, mask_dir = splits.get(part, next(iter(splits.values())))
    return count(number, "pair" if mask_dir else "photo")


def count(number: int, what: str) -> str:
    """Write `1 photo`, `2 photos`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def wh(size: Sequence[int]) -> str:
    """Write a (width, height) as width×height."""
    return f"{size[0]}×{size[1]}"


def _few(names: Iterable[str]) -> str:
    """Write the first three names and how many more there are."""
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _files(survey: Survey) -> Iterator[Finding]:
    """Files that cannot be read, files without a partner, parts without a folder."""
    for photo in survey.photos:
        if photo.problem:
            paths = tuple(path for path in (photo.image, photo.mask) if path)
            bad = tuple(path for path in paths if f"{path}: " in photo.problem)
            yield Finding("unreadable", "error", photo.problem, bad or paths)
    for path, message in survey.unpaired.items():
        yield Finding("unpaired", "error", message, (path,))
    for part in survey.missing_parts:
        message = f"{part}: this part's folder is not there; copy or unpack the set again if it has one"
        yield Finding("missing part", "warning", message)


def _known_numbers(survey: Survey, source: Source) -> Iterator[Finding]:
    """Counts, crack fractions and photo sizes that are not those that the set is known to have."""
    parts = by_part(survey)
    for part, known in source.counts.items():
        if (here := len(parts.get(part, []))) != known:
            remedy = "copy or unpack the set again" if here < known else "move what is not its own out"
            what = how_many(survey, part, here)
            yield Finding("count", "error", f"{part}: {what}, but {source.title} has {known}; {remedy}")
    for part, (low, high) in source.shares.items():
        share = pooled_share(parts.get(part, []))
        if share is not None and not low <= share <= high:
            message = (
                f"{part}: {share:.2f} % of the mask pixels are crack, but {source.title} has {low:g} to "
            )
            message += f"{high:g} %; masks are changed, missing or read wrongly"
            yield Finding("crack fraction", "error", message)
    odd = [photo for photo in survey.photos if photo.image_size and photo.image_size not in source.sizes]
    if odd and source.sizes:
        paths = tuple(photo.image for photo in odd)
        message = (
            f"{count(len(odd), 'photo')} of {wh(odd[0].image_size)} or another unknown size ({_few(paths)})"
        )
        message += "; resized or cropped photos give other scores: take the authors' own archive"
        yield Finding("photo size", "error", message, paths)


def _masks(part: str, read: list[Photo], of: int) -> Iterator[Finding]:
    """Masks of another size than the photo, laid wrong, not black and white, or with too much or no crack.

    read: the photos of a part whose mask could be read. of: how many photos the part has.
    """
    for photo in read:
        if photo.image_size and photo.image_size != photo.mask_size:
            is_turned = photo.mask_size == photo.image_size[::-1]
            message = f"{photo.mask}: is {wh(photo.mask_size)}, its photo {wh(photo.image_size)}"
            message += f"{', so one of the two is turned' if is_turned else ''}; take both from one archive"
            paths = (photo.image, photo.mask)
            yield Finding("turned" if is_turned else "mask size", "error", message, paths)
        if photo.crack_share > _MOSTLY_CRACK:
            message = f"{photo.mask}: {photo.crack_share:.0f} % of it is crack; look whether white is crack"
            yield Finding("inverted mask", "warning", message, (photo.mask,))
    yield from _lying_wrong(part, read)
    if soft := [photo for photo in read if photo.gray_share > 0]:
        what = f"with gray, up to {100 * max(photo.gray_share for photo in soft):.2g} % of it"
        advice = "JPEG or resizing changed the edges: take the original masks"
        yield _some("gray mask", "warning", part, soft, of, what, advice)
    yield from _levels(part, read)
    if empty := [photo for photo in read if photo.crack_share == 0]:
        advice = "right for undamaged road, a lost label otherwise"
        yield _some("empty mask", "note", part, empty, of, "without a crack pixel", advice)


def _some(
    check: str,
    level: str,
    part: str,
    some: list[Photo],
    of: int,
    what: str,
    advice: str,
    photos: bool = False,
) -> Finding:
    """One finding about the masks of some photos of a part. photos: name their files too."""
    masks = [photo.mask for photo in some]
    message = f"{part}: {count(len(masks), 'mask')} of {of} {what} ({_few(masks)}); {advice}"
    paths = [path for photo in some for path in (photo.image, photo.mask)] if photos else masks
    return Finding(check, level, message, tuple(paths))


def _levels(part: str, photos: list[Photo]) -> Iterator[Finding]:
    """Masks of other levels than black and white; masks of several kinds in one part may be several classes."""
    kinds = defaultdict(list)
    for photo in photos:
        if photo.levels or photo.crack_share:  # an empty mask is of any kind
            kinds[photo.levels].append(photo)
    is_mixed = len(kinds) > 1
    kinds.pop(None, None)
    for (road, crack), some in kinds.items():
        what, advice = f"with the values {road} and {crack}", f"{crack} is read as crack"
        advice += ", though other masks have other values: look at them" if is_mixed else ""
        yield _some("mask levels", "warning" if is_mixed else "note", part, some, len(photos), what, advice)


def _lying_wrong(part: str, photos: list[Photo]) -> Iterator[Finding]:
    """Masks of the right size that would fit their photo far better turned or mirrored, or not at all."""
    pairs = [(p, better_orientation(p.contrast)) for p in photos if p.image_size == p.mask_size]
    if wrong := [photo for photo, better in pairs if better]:
        better, often = Counter(better for _, better in pairs if better).most_common(1)[0]
        laid = ORIENTATIONS[better] if often > 0.9 * len(wrong) else "turned or mirrored"
        what, advice = f"would fit the photo far better {laid}", "look at them: a few may be false alarms"
        yield _some("turned", "warning", part, wrong, len(pairs), what, advice, photos=True)
    likely = [photo for photo, better in pairs if not better and photo.crack_share <= _MOSTLY_CRACK]
    if unlike := [photo for photo in likely if misfit(photo.contrast)]:
        level = "warning" if len(unlike) > _MISFITS * len(pairs) else "note"
        what = "mark what is no darker than the road beside it"
        advice = "look whether they are of other photos"
        yield _some("misfit", level, part, unlike, len(pairs), what, advice, photos=True)


def _label_3(survey: Survey) -> Iterator[Finding]:
    """CFD's label 3, intact road enclosed by cracks: how much it is, and whether images of masks hold it."""
    labels = [photo for photo in survey.photos if photo.above_one_share is not None]
    if with_three := tuple(photo.mask for photo in labels if photo.above_one_share > photo.crack_share):
        message = (
            f"{len(with_three)} of {count(len(labels), 'label')} hold label 3, intact road enclosed by cracks, "
            f"which is not counted as crack: {pooled_share(labels):.2f} % of the pixels are crack; counting it "
            f"would give {pooled_share(labels, 'above_one_share'):.2f} %, a known mistake"
        )
        yield Finding("label 3", "note", message, with_three)
    known = {
        (PurePosixPath(entry.path).stem, (entry.width, entry.height)): entry.crack_share
        for entry in manifest.expected("cfd") or []
        if entry.crack_share is not None
    }
    images = [p for p in survey.photos if p.crack_share is not None and p.above_one_share is None]
    excess = {p.mask: p.crack_share - known[key] for p in images if (key := (p.name, p.mask_size)) in known}
    larger = tuple(mask for mask, more in excess.items() if more > SAME_SHARE)
    # Numbers as names and 480×320 are no proof that it is CFD. But where label 3 is absent the shares agree, and it
    # never makes one smaller; among other photos about half would be.
    same = sum(abs(more) <= SAME_SHARE for more in excess.values())
    if len(larger) >= 3 and same and same + len(larger) > 0.9 * len(images):
        what = f"{len(larger)} of {count(len(excess), 'mask')} hold more crack than CFD's labels ({_few(larger)})"
        message = f"{what}: label 3, intact road enclosed by cracks, was taken for crack; read the .mat files"
        yield Finding("label 3", "error", message, larger)


def _copies(survey: Survey, source: Source | None) -> Iterator[Finding]:
    """The same photo twice, also saved again, turned or mirrored."""
    sha256 = {file.path: file.sha256 for file in survey.files}
    inside = defaultdict(list)
    for a, b, distance, orientation in _alike(survey.photos):
        exact = sha256.get(a.image, a.image) == sha256.get(b.image)
        parts = f" in {a.part} and {b.part}" if a.part != b.part else ""
        if exact:
            # A photo in two parts of a public set is its authors' doing, and can only be named.
            level = "error" if parts and source is None else "warning"
            message = f"{a.image}, {b.image}: the same photo{parts}; keep one, or both in one part"
            yield Finding("duplicate", level, message, (a.image, b.image))
        elif photo_of(a.name) == photo_of(b.name) != a.name:
            continue  # crops of one photo, which another check names
        elif parts:
            laid = f", the second one {ORIENTATIONS[orientation]}" if orientation else ""
            message = (
                f"{a.image} and {b.image}: look like one photo{parts}{laid} (distance {distance:.1f} of 64)"
            )
            message += "; look at them, and keep the spot in one part"
            yield Finding("near-duplicate", "warning", message, (a.image, b.image))
        else:
            inside[a.part].append((a.image, b.image))
    for part, pairs in inside.items():
        names = _few(f"{a} and {b}" for a, b in pairs)
        message = (
            f"{part}: {count(len(pairs), 'pair')} of photos that look alike, some perhaps turned or mirrored"
        )
        message += f" ({names}); keep both in one part when you split it"
        yield Finding(
            "near-duplicate", "note", message, tuple(sorted({path for pair in pairs for path in pair}))
        )


def _alike(photos: list[Photo]) -> list[tuple[Photo, Photo, float, int]]:
    """The pairs of `near_duplicates` with the photos themselves."""
    readable = [photo for photo in photos if photo.hashes]
    pairs = near_duplicates([photo.hashes for photo in readable])
    return [(readable[a], readable[b], distance, orientation) for a, b, distance, orientation in pairs]


def _repeated_masks(survey: Survey) -> Iterator[Finding]:
    """One mask for photos that do not look alike."""
    groups = defaultdict(list)
    for photo in survey.photos:
        if photo.crack_share:
            groups[photo.mask_size, photo.mask_pixels].append(photo)
    for photos in groups.values():
        upright = sum(orientation == 0 for _, _, _, orientation in _alike(photos))
        if upright == comb(len(photos), 2):
            continue  # one mask is right for copies of one photo, and for a single one
        paths = tuple(photo.mask for photo in photos)
        fits = {photo.mask: photo.contrast[0] for photo in photos if photo.contrast}
        worst = f"; {min(fits, key=fits.get)} fits its photo worst" if fits else ""
        message = f"{_few(paths)}: one mask for different photos{worst}; look at it, and say so beside scores"
        yield Finding("duplicate mask", "warning", message, paths)


def _crops_of_one_photo(survey: Survey, source: Source | None) -> Iterator[Finding]:
    """Crops of one Crack500 photo in several parts: they show the same road, and some overlap."""
    groups = defaultdict(list)
    for photo in survey.photos:
        if photo_of(photo.name) != photo.name:
            groups[photo_of(photo.name)].append(photo)
    for group, photos in sorted(groups.items()):
        parts = list(dict.fromkeys(photo.part for photo in photos))
        if len(parts) > 1:
            paths = tuple(photo.image for photo in photos)
            message = f"{group}: crops of this one photo are in {' and '.join(parts)} ({_few(paths)})"
            message += ", so a test would ask for what was trained on; split by photo"
            yield Finding("shared photo", "warning" if source else "error", message, paths)
