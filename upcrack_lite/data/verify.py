"""Is this set the one it should be, and fit to score on? All checks over a survey. Chapter: the data.

A check is a small function from a `Case` to findings; the modules `faults_files`, `faults_masks` and
`faults_copies` hold them. They judge the facts of the survey and read no photo again.
"""

from __future__ import annotations

from collections.abc import Iterable

from upcrack_lite.data import faults_copies, faults_files, faults_masks
from upcrack_lite.data.findings import LEVELS, Case, Check, Finding
from upcrack_lite.data.manifest import Entry
from upcrack_lite.data.sources import Source
from upcrack_lite.data.survey import Survey

CHECKS: tuple[Check, ...] = (
    faults_files.unreadable,
    faults_files.unpaired,
    faults_files.missing_part,
    faults_files.counts,
    faults_files.other_layout,
    faults_masks.mask_size,
    faults_masks.mask_lies_wrong,
    faults_masks.gray_masks,
    faults_masks.cfd_converted,
    faults_files.crack_share,
    faults_masks.inverted_masks,
    faults_files.photo_sizes,
    faults_copies.exact_photos,
    faults_copies.exact_masks,
    faults_copies.shared_photos,
    faults_copies.near_copies,
    faults_files.against_manifest,
    faults_masks.cfd_labels,
    faults_masks.empty_masks,
    faults_files.other_files,
)
"""Every check; findings of one level come in this order."""


def verify(
    survey: Survey, source: Source | None = None, expected: list[Entry] | None = None
) -> list[Finding]:
    """Run every check over a survey.

    Args:
        survey: the facts about the set's files.
        source: what is known about the set. Without it counts, sizes and crack shares are not checked.
        expected: a manifest. Without it files are not compared one by one.

    Returns:
        The findings: errors, then warnings, then notes; within a level by check, then by path. The same
        facts give the same list.
    """
    case = Case(survey, source, expected)
    found = [(order, finding) for order, check in enumerate(CHECKS) for finding in check(case)]
    found.sort(key=lambda item: (LEVELS.index(item[1].level), item[0], item[1].paths, item[1].message))
    return [finding for _, finding in found]


def passed(findings: Iterable[Finding]) -> bool:
    """Tell whether there is no error among the findings."""
    return all(finding.level != "error" for finding in findings)


__all__ = ["CHECKS", "Case", "Finding", "passed", "verify"]
