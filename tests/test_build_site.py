"""The step from pages and executed chapters to a site: links, banner, warnings as errors, nothing half done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from build_site import BANNER, WIDGET, build_site, stage, toc_files
from slim_site import slim_page

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = 'urls = { Repository = "https://github.com/someone/some-name" }\n'


@pytest.fixture
def small_book(tmp_path):
    """A repository with one page and one chapter, settings as in this one."""
    root, build = tmp_path / "repository", tmp_path / "build"
    (root / "book").mkdir(parents=True)
    (build / "run").mkdir(parents=True)
    shutil.copyfile(ROOT / "_config.yml", root / "_config.yml")
    shutil.copytree(ROOT / "book/_static", root / "book/_static", ignore=shutil.ignore_patterns("vendor"))
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nchapters:\n- file: notebooks/01_one\n", encoding="utf-8"
    )
    (root / "pyproject.toml").write_text(
        '[project]\nversion = "7.8.9"\nlicense = "MIT"\nauthors = [{ name = "A. Name" }]\n', encoding="utf-8"
    )
    (root / "book/intro.md").write_text("# Hello\n", encoding="utf-8")
    (root / "book/references.bib").write_text("", encoding="utf-8")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")], metadata=metadata)
    nbformat.write(notebook, build / "run/01_one.ipynb")
    (root / "notebooks").mkdir()
    nbformat.write(notebook, root / "notebooks/01_one.ipynb")
    (root / "results").mkdir()
    for name in ("one.json", "one.npz", "README.md", "two-draft.json"):
        (root / "results" / name).write_text("{}", encoding="utf-8")
    return root, build


def test_toc_files_in_reading_order(small_book):
    assert toc_files(small_book[0] / "_toc.yml") == ["book/intro", "notebooks/01_one"]
    assert toc_files(ROOT / "_toc.yml")[0] == "book/intro"


def test_a_missing_page_is_named(small_book):
    root, build = small_book
    (build / "run/01_one.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="01_one"):
        stage(build, root)


def test_a_chapter_is_staged_without_its_widgets_and_with_its_figures(small_book):
    root, build = small_book
    notebook = nbformat.read(build / "run/01_one.ipynb", as_version=4)
    kinds = ("image/png", WIDGET)
    outputs = [nbformat.v4.new_output("display_data", {kind: "", "text/plain": ""}) for kind in kinds]
    notebook.cells.append(nbformat.v4.new_code_cell("1", outputs=outputs))
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(notebook, build / "run/01_one.ipynb")
    staged = nbformat.read(stage(build, root) / "notebooks/01_one.ipynb", as_version=4)
    assert [list(one["data"]) for one in staged.cells[1].outputs] == [["image/png", "text/plain"]]
    assert "widgets" not in staged.metadata


def test_staging_removes_what_is_no_longer_listed(small_book):
    root, build = small_book
    (build / "alive").mkdir()
    (build / "alive/road-0.bin").write_bytes(b"made by the workflow")
    folder = stage(build, root)
    (folder / "book/renamed.md").write_text("# Old", encoding="utf-8")
    stage(build, root)
    assert (folder / "book/_static/alive/road-0.bin").exists()
    assert not (folder / "book/renamed.md").exists()
    assert (folder / "book/intro.md").exists()


@pytest.mark.slow
def test_launch_buttons_open_the_real_notebook_and_real_photos_show_the_banner(small_book):
    root, build = small_book
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(ADDRESS)
    site = build_site(build, real=True, root=root).parent
    links = set(re.findall(r'href="(https://[^"]+)"', (site / "notebooks/01_one.html").read_text("utf-8")))
    place = "someone/some-name"
    assert links >= {
        f"https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/notebooks/01_one.ipynb",
        f"https://colab.research.google.com/github/{place}/blob/main/notebooks/01_one.ipynb",
        f"https://github.com/{place}",
    }
    assert BANNER in (site / "book/intro.html").read_text("utf-8")


@pytest.mark.slow
def test_nothing_points_elsewhere_and_a_warning_is_an_error_each_time(small_book):
    root, build = small_book
    index = build_site(build, root=root)
    assert [path.name for path in (index.parent / "results").rglob("*")] == ["one.json"], "what pages link to"
    page = (index.parent / "notebooks/01_one.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:href|src|action)="(?:https?:)?//[^"]+"', page)
    assert {one in page for one in ("Version 7.8.9", "A. Name")} == {True}
    assert {one in page for one in ("launch-buttons", BANNER)} == {False}
    (root / "book/intro.md").write_text("# Hello\n\n{term}`nowhere`\n", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="term not in glossary: 'nowhere'"):
            build_site(build, root=root)
    assert index.exists(), "the old site stays"
    assert "nowhere" not in (index.parent / "book/intro.html").read_text(encoding="utf-8")


def test_a_page_loads_only_what_it_shows():
    head = (
        '<link href="../_static/vendor/fontawesome/6/css/all.min.css?digest=1" rel="stylesheet" />'
        '<script src="../_static/vendor/fontawesome/6/js/all.min.js?digest=1"></script>'
        '<script defer="defer" src="../_static/vendor/mathjax/tex.js?v=1"></script>'
    )
    plain = slim_page(head + '<img src="../_images/ab.png"/>', {"ab.png": "ab.webp"})
    assert plain == '<link href="../_static/icons.css" rel="stylesheet" /><img src="../_images/ab.webp"/>'
    assert "mathjax" in slim_page(head + '<div class="math notranslate">x</div>', {})
