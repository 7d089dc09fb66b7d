"""Which records may be committed, and where the others go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upcrack_lite.errors import UserError

DIRTY = "dirty"


def reasons(
    training: Sequence[dict[str, Any]],
    evaluation: dict[str, Any],
    known: str | None,
    max_steps: int | None,
) -> list[str]:
    """As `uncommittable`, from what is known before the work, but for `unknown_training_set`.

    training: the environments of all starts of the training, as `RunFolder.starts` gives them.
    """
    found = []
    for what, environments in (("trained", training), ("evaluated", [evaluation])):
        commits = [environment["commit"] for environment in environments]
        partly = "in part " if len(commits) > 1 else ""
        if any(commit["dirty"] for commit in commits):
            found.append(f"it is {partly}{what} by code that differs from its commit: commit first")
        if any(commit["id"] is None and not commit["dirty"] for commit in commits):
            found.append(
                f"it is {partly}{what} by code of an unknown commit: work in a clone, or set UPCRACK_COMMIT"
            )
    if known is None:
        found.append(
            "its test set has no manifest, so nobody can tell which files it held: `upcrack data fetch`"
        )
    if max_steps is not None:
        found.append(f"its training was cut short at {max_steps} steps: leave --max-steps out")
    return found


def unknown_training_set(name: str, manifest: str | None) -> list[str]:
    """Why a record whose training set has no manifest must not be committed; empty where it has one.

    name: of the training set; synthetic roads need none. manifest: its digest.
    """
    if manifest or name == "synthetic":
        return []
    return [
        f"its training set {name} has no manifest, so nobody can tell which files it held: "
        f"`upcrack data fetch {name}`, and cut the crops anew if it learns from crops"
    ]


def place(slug: str, folder: Path | str, why: list[str], allow_dirty: bool) -> Path:
    """Where a record belongs: `folder`, or its subfolder `dirty` if there are reasons not to commit it.

    Raises UserError with these reasons unless `allow_dirty`.
    """
    if why and not allow_dirty:
        raise UserError(
            f"{slug} is no record to commit: {'; '.join(why)}. For a record that must not be committed use "
            "--allow-dirty"
        )
    return Path(folder) / DIRTY / f"{slug}.json" if why else Path(folder) / f"{slug}.json"
