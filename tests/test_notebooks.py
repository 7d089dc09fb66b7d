"""The chapters: how they are stored, and that each runs from top to bottom with its smallest parameters."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from build_site import toc_files
from run_notebook import NotebookError, clean, run_notebook, upcrack_metadata

from upcrack_lite.reproduction import published

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [ROOT / f"{page}.ipynb" for page in toc_files(ROOT / "_toc.yml") if page.startswith("notebooks/")]
TABLES = [path for path in NOTEBOOKS if path.stem.startswith("table_")]
ALL_ROWS = ROOT / "notebooks/tables/all_rows.ipynb"
# What every table page takes, whichever table it shows.
TABLE_PARAMETERS = {
    "recipe": "paper",
    "scale": "",
    "train_set": "",
    "test_set": "",
    "methods": [],
    "seeds": [],
    "data_root": "",
    "device": "auto",
    "run": "recorded",
    "results": "",
    "runs": "",
}
LONGEST_CELL = 40  # lines; a longer one belongs into the package

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def small_notebook(folder: Path, *code: str) -> Path:
    """Write a notebook with `seed = 0` as parameters and the given code cells."""
    cells = [nbformat.v4.new_code_cell(text) for text in ("seed = 0", *code)]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_chapters_are_listed_in_the_order_of_their_numbers_which_the_site_counts():
    assert {*NOTEBOOKS} == {
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "notebooks").glob("[a-z]*/*.ipynb"),
    }
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    numbered = [
        Path(chapter["file"]).name for part in parts if "numbered" in part for chapter in part["chapters"]
    ]
    assert numbered == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert [int(name[:2]) for name in numbered] == list(range(1, len(numbered) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS[:-1], ids=lambda path: path.stem)
def test_what_a_chapter_calls_next_comes_next(path):
    following = NOTEBOOKS[NOTEBOOKS.index(path) + 1]
    text = nbformat.read(path, as_version=4).cells[-1].source
    link = re.search(r"\*\*(?:Next|What's next)[:.]\*\*[^(]*\(([^)]+)\)", text)
    assert link, "the last cell says what comes next"
    assert (path.parent / link[1]).resolve() == following


@every_notebook
def test_stored_clean_under_one_heading_in_short_cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any("upcrack_lite.show" in cell.source for cell in code), "it finds misspelled parameters"
    assert not any(cell.outputs or cell.execution_count for cell in code), "run nbstripout on it"
    assert max(len(cell.source.splitlines()) for cell in code) <= LONGEST_CELL
    prose = [line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    assert [line for line in prose if line.startswith("# ")] == [notebook.cells[0].source.splitlines()[0]]


@every_notebook
def test_parameters_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, "exactly one cell has the tag `parameters`"
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(tagged[0]).body
        if isinstance(node, ast.Assign)
    }
    assert len(values) == len(ast.parse(tagged[0]).body), "the cell holds plain assignments alone"
    if path == ALL_ROWS:
        assert values == {"results": ""}
    elif path in TABLES:
        assert values == TABLE_PARAMETERS
    else:
        assert values["data_root"] == "", "a chapter runs on synthetic roads unless told otherwise"
        assert values["seed"] == 0
    assert set(papermill.inspect_notebook(str(path))) == set(values)


def test_there_is_a_page_for_each_table_of_the_paper():
    assert [path.stem for path in TABLES] == [f"table_{number}" for number in published.TABLES]
    for number, path in enumerate(TABLES, 1):
        code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert max(len(source.splitlines()) for source in code) <= 11, "a page calls the package"
        assert any(f"rows = select({number}, " in source for source in code)


@every_notebook
def test_own_settings(path):
    settings = upcrack_metadata(path)
    assert set(settings) == {"smoke", "real", "minutes"}
    assert isinstance(settings["real"], bool)
    assert settings["minutes"] > 0
    assert set(settings["smoke"]) <= set(papermill.inspect_notebook(str(path)))


def test_figures_have_captions_and_names_of_their_own():
    """Names are labels of the whole book: the site is not built with one that stands twice."""
    cells = [cell for path in NOTEBOOKS for cell in nbformat.read(path, as_version=4).cells]
    figures = [cell.metadata.mystnb.figure for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    assert all(figure.caption.strip() for figure in figures)
    names = [figure.name for figure in figures if "name" in figure]
    assert len(names) > 20
    assert len(names) == len(set(names))
    assert all(name.startswith("fig-") for name in names)


def test_computed_alt_text_reaches_the_cell():
    output = nbformat.v4.new_output(
        "display_data", {"image/png": ""}, metadata={"image/png": {"alt": "F1 is 0.5.", "width": 30}}
    )
    cell = nbformat.v4.new_code_cell("", outputs=[output], metadata={"mystnb": {"figure": {"caption": "C"}}})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    clean(notebook)
    assert cell.metadata["mystnb"] == {"figure": {"caption": "C"}, "image": {"alt": "F1 is 0.5."}}
    assert output.metadata == {"image/png": {"width": 30}}


@pytest.mark.notebook
def test_parameters_arrive_and_stay_off_the_page(tmp_path):
    path = small_notebook(tmp_path, "print(seed + 1)", "import os\nprint(os.environ['OMP_NUM_THREADS'])")
    run_notebook(path, tmp_path / "out.ipynb", {"seed": 41}, threads=3)
    notebook = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert [cell.outputs[0].text for cell in notebook.cells if cell.outputs] == ["42\n", "3\n"]
    assert notebook.cells[1].metadata["tags"] == ["injected-parameters", "remove-cell"]
    assert str(tmp_path) not in json.dumps(notebook), "no path of this machine in the result"
    assert (tmp_path / "out.log").read_text(encoding="utf-8").count("42") == 1


@pytest.mark.notebook
def test_an_unknown_parameter_is_an_error(tmp_path):
    path = small_notebook(tmp_path, "import upcrack_lite.show")
    with pytest.raises(NotebookError, match=r"(?s)small.ipynb failed: UserError: no parameter is named sede"):
        run_notebook(path, tmp_path / "out.ipynb", {"sede": 1})
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.notebook
def test_a_failing_chapter_names_itself_and_keeps_its_old_result(tmp_path):
    path = small_notebook(tmp_path, "1 / 0")
    (tmp_path / "out.ipynb").write_text("the old result", encoding="utf-8")
    with pytest.raises(
        NotebookError, match=r"(?s)small.ipynb failed: ZeroDivisionError.*1 / 0.*out.failed.ipynb"
    ):
        run_notebook(path, tmp_path / "out.ipynb")
    assert (tmp_path / "out.ipynb").read_text(encoding="utf-8") == "the old result"
    assert "ZeroDivisionError" in (tmp_path / "out.failed.ipynb").read_text(encoding="utf-8")


@pytest.mark.notebook
@every_notebook
def test_runs_from_top_to_bottom(path, tmp_path):
    run_notebook(path, tmp_path / path.name, upcrack_metadata(path)["smoke"])
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    states = [s for store in notebook.metadata.get("widgets", {}).values() for s in store["state"].values()]
    # Under load nbclient can wait forever for the reply to a cell that prints into one (seen with nbclient 0.11).
    assert "OutputModel" not in {state["model_name"] for state in states}, (
        "no ipywidgets.Output: use Image or HTML"
    )
    cells = notebook.cells
    images = [
        (number, cell)
        for number, cell in enumerate(cells, 1)
        if any(kind.startswith("image/") for o in cell.get("outputs", []) for kind in o.get("data", {}))
        and not {"remove-cell", "remove-output"} & set(cell.metadata.get("tags", []))
    ]
    for number, cell in images:
        options = cell.metadata.get("mystnb", {})
        assert options.get("figure", {}).get("caption"), f"cell {number} shows a figure without a caption"
        assert options.get("image", {}).get("alt"), f"cell {number} shows a figure without alt text"


@pytest.mark.notebook
def test_a_table_page_run_live_makes_its_records_and_shows_them(tmp_path):
    rows = {"methods": "tf_global_darkness_otsu", "train_set": "synthetic", "test_set": "synthetic"}
    folders = {name: str(tmp_path / name) for name in ("results", "runs")}
    run_notebook(TABLES[3], tmp_path / "out.ipynb", {"run": "live", **rows, **folders})
    (record,) = (tmp_path / "results").glob("*.json")
    shown = (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    assert f"../../results/{record.name}" in shown
    assert "median of 6 variants: F1" in shown
