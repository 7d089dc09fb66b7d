"""Checks on files: readable, paired, complete, as the manifest and the registry say. Chapter: the data."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from upcrack_lite.data.findings import Case, Finding, count, few, labeled, pairs_of, pooled_share, wh
from upcrack_lite.data.manifest import Difference, Entry, another_picture, compare, entries_of

_SAME_SHARE = 0.01  # percent of crack by which a mask may differ from the manifest: 20 pixels of 544×384


def other_layout(case: Case) -> Iterator[Finding]:
    """The set comes in another layout than its authors', so files and parts may have been changed."""
    source, layout = case.source, case.survey.layout
    if source and source.layout != layout:
        yield Finding(
            "layout",
            "warning",
            f"{case.survey.folder.name}: has the layout {layout}, but {source.title} comes as {source.layout}, "
            "so it has been converted; fetch the original to be sure",
        )


def unreadable(case: Case) -> Iterator[Finding]:
    """A photo or mask that the reader refuses."""
    for photo in case.survey.photos:
        if photo.problem:
            both = [path for path in (photo.image, photo.mask) if path]
            named = tuple(path for path in both if f"{path}: " in photo.problem)
            yield Finding("unreadable", "error", photo.problem, named or tuple(both))


def unpaired(case: Case) -> Iterator[Finding]:
    """A photo without mask where masks belong, a mask without photo, two files of one name."""
    for path, message in case.survey.unpaired.items():
        yield Finding("unpaired", "error", message, (path,))
    for photo in case.survey.photos:
        if photo.mask is None and labeled(case.survey.layout, photo.part):
            message = f"{photo.image}: has no mask, but this part's photos have one; copy the mask again"
            yield Finding("unpaired", "error", message, (photo.image,))


def missing_part(case: Case) -> Iterator[Finding]:
    """A part of the layout whose folder is not there."""
    for part in case.survey.missing_parts:
        known = bool(case.source and part in case.source.counts)
        why = f"{case.name} has {case.source.counts[part]} files in it" if known else "the layout has one"
        message = f"{part}: this part's folder is not there, and {why}; copy or unpack the set again"
        yield Finding("missing part", "error" if known else "warning", message)


def against_manifest(case: Case) -> Iterator[Finding]:
    """Every file that is not as the manifest says."""
    if case.expected is None:
        return
    here = entries_of(case.survey)
    old, new = ({_key(entry.path): entry for entry in entries} for entries in (case.expected, here))
    for difference in compare(here, case.expected):
        key = _key(difference.path)
        level, remedy = _judge(difference, old.get(key), new.get(key))
        message = f"{difference.path}: {difference.detail}; {remedy}"
        yield Finding("manifest", level, message, (difference.path,))


def _judge(difference: Difference, old: Entry | None, new: Entry | None) -> tuple[str, str]:
    """Return the level of a difference and the remedy.

    A note excuses other bytes: never another size, another crack share of a mask, or another picture.
    """
    if old is None:
        return "warning", "it does not belong to the set: move it out of the set's folder"
    if new is None or not new.sha256:
        return "error", "copy or download it again"
    if (old.width, old.height) != (new.width, new.height):
        if (old.width, old.height) == (new.height, new.width):
            return "error", "it is a turned copy: take the authors' own archive"
        return "error", "it was resized, cropped or damaged: take the authors' own archive"
    shares = (old.crack_share, new.crack_share)
    if None not in shares and abs(shares[0] - shares[1]) > _SAME_SHARE:
        return "error", "the mask is another one: take the authors' own archive"
    if another_picture(old, new):
        return "error", "it was turned or is another photo: take the authors' own archive"
    if difference.note:
        return "note", f"expected ({difference.note})"
    if old.phash and new.phash:
        agree = "size and picture agree, so it may have been saved again"
    elif None not in shares:
        agree = "size and crack share agree, so it may have been saved again"
    else:
        agree = "the manifest does not say what it holds"
    return "warning", f"{agree}; compare it with the original"


def counts(case: Case) -> Iterator[Finding]:
    """More or fewer pairs than the set is known to have."""
    if not case.source or not case.source.counts:
        return
    found = {part: len(photos) for part, photos in case.parts.items()}
    known = dict(case.source.counts)
    if case.source.layout != case.survey.layout:  # converted: only the whole compares
        found, known = {"all": sum(found.values())}, {"all": sum(known.values())}
    for part, number in known.items():
        if part in case.survey.missing_parts or found.get(part, 0) == number:
            continue
        what = "pair" if labeled(case.survey.layout, part) else "photo"
        remedy = (
            "copy or unpack the set again" if found.get(part, 0) < number else "move what is not its own out"
        )
        message = f"{part}: {count(found.get(part, 0), what)}, but {case.name} has {number}; {remedy}"
        yield Finding("count", "error", message)


def photo_sizes(case: Case) -> Iterator[Finding]:
    """Photos of a size that the set does not have."""
    if not case.source or not case.source.sizes:
        return
    known = " or ".join(wh(size) for size in sorted(case.source.sizes, reverse=True))
    for part, photos in case.parts.items():
        odd: dict[tuple[int, int], list[str]] = {}
        for photo in photos:
            if photo.image_size and photo.image_size not in case.source.sizes:
                odd.setdefault(photo.image_size, []).append(photo.image)
        for size, paths in sorted(odd.items()):
            is_are = "is" if len(paths) == 1 else "are"
            message = (
                f"{part}: {count(len(paths), 'photo')} {is_are} {wh(size)} ({few(paths)}), but {case.name} has "
                f"{known}; resized or cut photos give other scores, so take the authors' own archive"
            )
            yield Finding("photo size", "error", message, tuple(paths))


def crack_share(case: Case) -> Iterator[Finding]:
    """A part whose share of crack pixels is not the known one."""
    if not case.source:
        return
    for part, (low, high) in case.source.shares.items():
        share = pooled_share(pairs_of(case.parts.get(part, [])))
        if share is not None and not low <= share <= high:
            message = (
                f"{part}: {share:.2f} % of the mask pixels are crack, but {case.name} has {low:g} to {high:g} %; "
                "masks are changed, missing or read wrongly, so scores on them do not compare"
            )
            yield Finding("crack share", "error", message)


def other_files(case: Case) -> Iterator[Finding]:
    """Files that no reader uses."""
    if others := case.survey.others:
        few_of_them = few(others)
        use = "is not used" if len(others) == 1 else "are not used"
        message = f"{count(len(others), 'file')} in the folder {use}: {few_of_them}; that is all right"
        yield Finding("other files", "note", message, tuple(others))


def _key(path: str) -> str:
    """The path as `manifest.compare` matches it."""
    return unicodedata.normalize("NFC", path)
