"""Unpack an archive from the web so that it can do no harm: all or nothing, and only plain files.

Chapter: the data. An archive that holds anything suspicious is refused as a whole, before a byte of it is
written. An archive inside an archive stays one.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from upcrack_lite.data.archive_rules import LIMITS, Limits, checked, shown
from upcrack_lite.data.archives import Archive, Damaged
from upcrack_lite.data.aside import whole_folder
from upcrack_lite.data.layouts import LAYOUTS, fitting, raise_for
from upcrack_lite.data.locks import only_process
from upcrack_lite.data.space import check_space
from upcrack_lite.errors import UserError
from upcrack_lite.io import check_writable

__all__ = ["LIMITS", "Limits", "find_set", "unpack"]

_LEVELS = 3  # how far down a set's folder is looked for


def unpack(archive: str | Path, target: str | Path, members: str = "", limits: Limits = LIMITS) -> list[str]:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz) into a new folder.

    The kind is told from the content, not from the name. The files are written aside and checked; the
    folder gets its name when all are there. Owners, times and permissions are not taken over: files are
    0644 and folders 0755, less what the umask takes. `__MACOSX/`, `.DS_Store` and `Thumbs.db` are left out.

    Args:
        archive: the file.
        target: the folder to make; it must not exist.
        members: unpack only what lies below this folder of the archive; "" unpacks all. The one top folder
            that archives of GitHub have need not be written, and is then left out of the names too.
        limits: what the archive may hold at most, unwanted members included.

    Returns:
        the files written, as paths relative to `target` with "/", sorted.

    Raises:
        Damaged: the file is cut off, damaged or no archive (a `UserError`; another copy of it may be sound).
        UserError: no such file, or an archive with members that are refused (they are listed): absolute
            names, drive letters, "..", backslashes, names too long or with control characters, names that
            differ at most in case, links, devices, pipes, encrypted files, or more than the limits allow.
            Also: the target exists, there is no room, the folder cannot be written to, or no member lies
            below `members`.
    """
    archive, target = Path(archive), Path(target).absolute()
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} exists: name a new folder, or move it away")
    with Archive(archive) as opened:
        plan = _choose(checked(opened, limits), archive, members)
        check_writable(target.parent)
        check_space(target.parent, sum(size for _, size in plan.values()), f"unpacking {archive.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            only_process(target.parent / f".{target.name}.lock", f"unpacking {target.name}"),
            whole_folder(target) as aside,
        ):
            _write(opened, plan, aside)
            if target.exists():
                raise UserError(f"{target} has appeared in the meantime: name a new folder, or move it away")
    return sorted(name for name, _ in plan.values())


def find_set(folder: str | Path, layout: str) -> Path:
    """Find the folder that has a layout: this one, or the nearest at most 3 levels below it.

    Raises:
        UserError: unknown layout, no such folder, no set of this layout (what is there is listed), or
            several on one level.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise UserError(f"unknown layout {layout!r}; choose {', '.join(LAYOUTS)}")
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    level = [folder]
    seen: list[Path] = []
    for _ in range(_LEVELS + 1):
        found = [path for path in level if layout in fitting(path)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(path) for path in found)
            raise UserError(f"{folder}: holds several sets of the layout {layout}: give one of {names}")
        seen += level
        level = sorted(child for path in level for child in path.iterdir() if _is_own_folder(child))
    there = [f"{path.relative_to(folder).as_posix()}/ with {_inventory(path)}" for path in seen]
    raise_for(there, f"{folder}: no folder in it has the layout {layout}; it holds")
    raise AssertionError("unreachable: the folder itself is listed")


def _choose(
    found: dict[str, tuple[PurePosixPath, int, bool]], archive: Path, members: str
) -> dict[str, tuple[str, int]]:
    """Return the wanted files: by their name in the archive, where they go and their size in bytes."""
    files = {name: (path, size) for name, (path, size, folder) in found.items() if not folder}
    if not files:
        raise UserError(f"{archive} is empty: no file is in it")
    wanted = PurePosixPath(members.strip("/")).parts
    tops = {path.parts[0] for path, _ in files.values()}
    alone = len(tops) == 1 and all(len(path.parts) > 1 for path, _ in files.values())
    strip = 1 if wanted and alone and wanted[0] not in tops else 0
    chosen = {
        name: ("/".join(path.parts[strip:]), size)
        for name, (path, size) in files.items()
        if path.parts[strip : strip + len(wanted)] == wanted and len(path.parts) > strip + len(wanted)
    }
    if not chosen:
        there = sorted({"/".join(path.parts[: strip + 1]) for path, _ in files.values()})
        raise UserError(f"{archive}: nothing lies below {members!r} in it; there is {_few(there)}")
    return chosen


def _write(opened: Archive, plan: dict[str, tuple[str, int]], aside: Path) -> None:
    """Write the planned files below `aside`; no file may hold more than the bytes that were judged."""
    aside.chmod(aside.stat().st_mode & 0o755)
    made = set()
    for member, blocks in opened.contents(set(plan)):
        name, size = plan[member.name]
        path, written = aside / name, 0
        if path.parent not in made:
            _make_folders(path.parent, aside)
            made.add(path.parent)
        with open(path, "xb", opener=lambda p, flags: os.open(p, flags, 0o644)) as file:
            for block in blocks:
                written += len(block)
                if written > size:
                    raise UserError(
                        f"{opened.path} is refused: {shown(member.name)} holds more than the {size:,} bytes it says"
                    )
                file.write(block)
        if written != size:
            raise Damaged(
                f"{opened.path} is cut off or damaged ({shown(member.name)} holds {written:,} bytes of {size:,}); "
                "download or copy it again"
            )


def _make_folders(folder: Path, top: Path) -> None:
    """Make a folder and those above it up to `top`, all 0755 (`Path.mkdir` gives parents other rights)."""
    if folder != top and not folder.exists():
        _make_folders(folder.parent, top)
        folder.mkdir(mode=0o755)


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _inventory(folder: Path) -> str:
    """Write what a folder holds: its subfolders by name, its files by kind."""
    children = list(folder.iterdir())
    folders = sorted(f"{child.name}/" for child in children if child.is_dir())
    kinds: dict[str, int] = {}
    for child in children:
        if child.is_file():
            kinds[child.suffix.lower() or "no ending"] = kinds.get(child.suffix.lower() or "no ending", 0) + 1
    files = [f"{count} × {kind}" for kind, count in sorted(kinds.items())]
    return ", ".join([_few(folders)] * bool(folders) + files) or "nothing"


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
