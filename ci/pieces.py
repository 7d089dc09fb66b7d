"""Prepared data for a machine without network, in pieces that a small carrier takes, and back; every byte is checked.

    python ci/pieces.py pack data build/pieces      piece-1.tar, piece-2.tar ...: what ci/real.py needs of the sets
    python ci/pieces.py unpack build/pieces data    put together what of them is there

Files are carried as they are, because digests of records are over their bytes. A piece can be unpacked without the
others; `unpack` says what is still missing.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

LIMIT_MIB = 48
NEEDED = (
    *("deepcrack_undamaged", "deepcrack/manifest.csv", "deepcrack/test_img", "deepcrack/test_lab"),
    *("cfd_patches", "crack500_heldout"),
)
INDEX = "pieces.json"  # in each piece: digest of every file of all pieces


def files_of(data: Path) -> list[Path]:
    """The files that are needed, sorted. Raises SystemExit that names what is not there."""
    lacking = [name for name in NEEDED if not (data / name).exists()]
    if lacking:
        sys.exit(f"{data} has no {', '.join(lacking)}: `upcrack data build` makes the sets")
    found = [data / name for name in NEEDED]
    return [
        file
        for one in found
        for file in ([one] if one.is_file() else sorted(one.rglob("*")))
        if file.is_file()
    ]


def pack(data: Path, out: Path, limit: int) -> list[Path]:
    """Write the pieces to a new folder, each at most `limit` bytes; returns them."""
    if out.exists() and any(out.iterdir()):
        sys.exit(f"{out} is not empty: name a new folder")
    files = files_of(data)
    index = {file.relative_to(data).as_posix(): _digest(file.read_bytes()) for file in files}
    head = json.dumps(index, indent=0).encode()
    room = limit - len(head) - 20480
    groups: list[list[Path]] = [[]]
    used = 0
    for file in files:
        size = 512 + -(-file.stat().st_size // 512) * 512  # a header and whole blocks, as tar writes it
        if size > room:
            sys.exit(f"{file} is larger than a piece")
        if used + size > room:
            groups.append([])
            used = 0
        groups[-1].append(file)
        used += size
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for number, group in enumerate(groups, 1):
        path = out / f"piece-{number}.tar"
        with tarfile.open(path, "w") as piece:
            about = tarfile.TarInfo(INDEX)
            about.size = len(head)
            piece.addfile(about, io.BytesIO(head))
            for file in group:
                piece.add(file, file.relative_to(data).as_posix(), filter=_plain)
        made.append(path)
    return made


def unpack(pieces: Path, data: Path) -> list[str]:
    """Put the pieces of a folder into `data`; returns the files that no piece has brought yet, sorted.

    Raises SystemExit for a piece that is damaged, or a file that is not as the index says.
    """
    found = sorted(pieces.glob("piece-*.tar"))
    if not found:
        sys.exit(f"{pieces} holds no piece-*.tar")
    index: dict[str, str] = {}
    for path in found:
        try:
            with tarfile.open(path) as piece:
                index |= json.load(piece.extractfile(INDEX))
                members = [one for one in piece.getmembers() if one.name != INDEX]
                unknown = [one.name for one in members if one.name not in index]
                if unknown:
                    sys.exit(f"{path}: {unknown[0]} is not in its index")
                piece.extractall(data, members, filter="data")
        except (tarfile.TarError, KeyError, ValueError, OSError) as error:
            sys.exit(f"{path} is damaged ({error}): carry it again")
    missing = [name for name in sorted(index) if not (data / name).is_file()]
    changed = [
        name for name in index if name not in missing and _digest((data / name).read_bytes()) != index[name]
    ]
    if changed:
        sys.exit(
            f"{data / changed[0]} and {len(changed) - 1} more are not as they were packed: carry them again"
        )
    return missing


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same files give the same piece, whoever packs it."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> int:
    """Command line; the exit code is 3 while files are missing."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("what", choices=("pack", "unpack"))
    made.add_argument("source", type=Path)
    made.add_argument("target", type=Path)
    made.add_argument("--limit-mib", type=float, default=LIMIT_MIB)
    args = made.parse_args()
    if args.what == "pack":
        for path in pack(args.source, args.target, int(args.limit_mib * 2**20)):
            print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
        return 0
    missing = unpack(args.source, args.target)
    print(f"{args.target}: {len(missing)} files are still missing" if missing else f"{args.target}: complete")
    return 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
