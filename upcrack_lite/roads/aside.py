"""Write a folder aside, then rename it: whoever looks finds the whole folder or none."""

from __future__ import annotations

import contextlib
import filecmp
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from upcrack_lite.errors import UserError
from upcrack_lite.files import check_writable

_LISTED = 5  # differing files shown in one message


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target` to write into; it takes the name `target` when the block is left.

    A folder `target` that holds the same files is left alone. After an error nothing stays behind. A killed
    process may leave a hidden folder `.NAME.….part` beside `target`, which can be deleted.

    Raises:
        UserError: `target` exists with other content, or cannot be written.
    """
    target = target.absolute()
    check_writable(target.parent)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        aside.mkdir(parents=True)
        yield aside
        if taken(target):
            _refuse_other(target, aside)
        else:
            aside.rename(target)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error}): name a folder that you may write to, or free space"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # after an error or a repetition; renamed away otherwise


def taken(target: Path) -> bool:
    """Tell whether a file, or a folder that is not empty, has this name already."""
    return target.is_file() or (target.is_dir() and any(target.iterdir()))


def _refuse_other(target: Path, made: Path) -> None:
    """Raise `UserError` that names the files in which the folder `target` differs from the one just made."""
    if not target.is_dir():
        raise UserError(f"{target}: is a file; give another name for the folder")
    expected, there = _files(made), _files(target)
    differences = [f"{name}: is not there" for name in sorted(expected - there)]
    differences += [f"{name}: does not belong there" for name in sorted(there - expected)]
    differences += [
        f"{name}: has other content"
        for name in sorted(expected & there)
        if not filecmp.cmp(target / name, made / name, shallow=False)
    ]
    if differences:
        more = f"\n  and {len(differences) - _LISTED} more" if len(differences) > _LISTED else ""
        raise UserError(
            f"{target}: exists with other content ({len(differences)} files); "
            "give another folder, or delete this one and try again:\n  "
            + "\n  ".join(differences[:_LISTED])
            + more
        )


def _files(folder: Path) -> set[str]:
    """List the files below a folder by relative path, without the hidden ones that file managers leave."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not path.name.startswith(".")}
