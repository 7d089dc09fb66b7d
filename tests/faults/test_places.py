"""A clone in a folder with an odd name, called from elsewhere: a chapter is built there, or the reason is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from preflight import problems

ROOT = Path(__file__).parents[2]
ODD = ["a b", "it's $HOME", '`id` "ü" 50% #(1)&\\']  # the folder's name


def command(words: list[object], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | more
    return subprocess.run(list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True)


def clone(folder: Path, name: str) -> Path:
    """A clone with two small chapters more, and this environment."""
    kit = folder / name
    assert command(["git", "clone", "-q", "--shared", ROOT, kit], ROOT).returncode == 0
    command(["cp", "-r", ROOT / "Makefile", ROOT / "workflow", kit], ROOT)  # as they are, committed or not
    (kit / ".venv").symlink_to(Path(sys.prefix))
    for name, cell in {"small": "import os; print(os.getcwd())", "broken": "{}['no such entry']"}.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        nbformat.write(notebook, kit / f"notebooks/{name}.ipynb")
    return kit


def book(kit: Path, chapter: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`make book` for one chapter, called from elsewhere; nothing is installed again."""
    words = ["make", "-C", kit, "-o", ".venv/installed", "book", f"ONLY={chapter}", "CORES=1"]
    return command(words, kit.parent, PYTHONPATH=str(kit), **more)


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_a_chapter_is_built_whatever_the_folder_is_called(tmp_path, name):
    kit = clone(tmp_path, name)
    (temporary := kit / "build" / ("t" * 90)).mkdir(parents=True)
    got = book(kit, "small", TMPDIR=str(temporary))
    assert got.returncode == 0, got.stdout + got.stderr
    assert (kit / "build/book/run/small.log").read_text().endswith(f"{kit / 'notebooks'}\n")
    assert (kit / ".snakemake/cache").is_dir()
    assert list(tmp_path.iterdir()) == [kit]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chapter", "said"), [("broken", "KeyError: 'no such entry'"), ("none", "none.ipynb")]
)
def test_the_reason_of_a_failed_build_is_shown(tmp_path, chapter, said):
    kit = clone(tmp_path, ODD[0])
    got = book(kit, chapter)
    assert got.returncode == 2
    assert said in got.stdout + got.stderr
    log = next(line for line in got.stderr.splitlines() if "this is the end of" in line).split()[-1]
    assert (kit / log.removesuffix(":")).is_file()


@pytest.mark.slow
def test_snakemake_works_from_any_folder(tmp_path):
    kit = clone(tmp_path, ODD[0])
    words = ["snakemake", "-s", kit / "workflow/Snakefile", "--cores", "1", "build/book/run/small.ipynb"]
    got = command(words, tmp_path, PYTHONPATH=str(kit), XDG_CACHE_HOME=str(kit / ".snakemake/cache"))
    assert got.returncode == 0, got.stderr
    assert (kit / "build/book/run/small.ipynb").is_file()
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("name", ["a:b", "{x}", "new\nline", "\x1b[31m", os.fsdecode(b"\xff")])
def test_a_folder_in_which_nothing_can_be_installed_is_refused_first(name):
    (said,) = problems("default", Path("/somewhere") / name, (3, 11), 50, True)
    assert "Rename or move the folder" in said
    assert said.isprintable()
    said.encode()


@pytest.mark.parametrize("name", ODD)
def test_other_names_are_not_refused(name):
    assert problems("default", Path("/somewhere") / name, (3, 11), 50, True) == []
