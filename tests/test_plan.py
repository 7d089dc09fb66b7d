"""What a sweep is told, what it makes of it, and how it tells what is done. (test_evaluate: records that hold.)"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.plan import full_command, run_name
from upcrack_lite.reproduction.sweep import DEFAULTS, plan


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({}, 9 + 3 + 6 * 28 - 2),  # at lite scale a row of Table I and one of Table II are the plain cell
        ({"tables": "1"}, 9),
        ({"tables": "II", "seeds": "0,1"}, 6),
        ({"tables": "4,7,4", "seeds": "2, 0"}, 2 * (2 * 14 + 14)),
        (
            {"tables": 4, "recipe": "paper,released", "seeds": "0,1,2", "train_set": "deepcrack,synthetic"},
            2 * (3 * 14 + 14 + 3),
        ),
        ({"tables": "1,2", "rows": "striped,mae"}, 2),
        ({"tables": "1,4", "rows": "upcracknet"}, 1),
        ({"tables": "1,2,4", "train_set": "synthetic", "test_set": "synthetic"}, 9 + 3 + 28 - 2),
    ],
)
def test_a_plan_is_a_product_in_which_each_cell_comes_once(config, count):
    made = plan(config)
    assert len(made.cells) == count
    assert all(cell.slug() == slug for slug, cell in made.cells.items())


def test_without_any_setting_all_tables_are_planned_as_printed():
    made = plan(dict.fromkeys(DEFAULTS, ""))
    assert made == plan({})
    assert made.cells == plan({"tables": ",".join(map(str, published.TABLES))}).cells
    assert (made.data_root, made.results, made.state) == (Path("data"), Path("results"), Path("build/sweep"))
    assert made.words(Cell()) == ["--device", "auto", "--precision", "32-true"]


def test_pairs_that_share_photos_are_left_out_and_named():
    made = plan({"tables": "3,4", "train_set": "crack500,crack500_kept", "test_set": "crack500_heldout"})
    assert {cell.train_set for cell in made.cells.values()} == {"crack500_kept"}
    (line,) = made.left_out
    assert "crack500 and crack500_heldout share photos" in line
    with pytest.raises(UserError, match="nothing is left to do: crack500 and crack500_heldout share"):
        plan({"tables": "3", "train_set": "crack500", "test_set": "crack500_heldout"})


def test_a_table_without_the_row_is_left_out_and_named():
    assert plan({"tables": "1,2", "rows": "jumbled"}).left_out == ("Table I has none of the rows jumbled",)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"table": "4"}, "unknown setting table; choose from tables, rows"),
        ({"tables": "9"}, r"no table '9'; choose 1 \(I\)"),
        ({"recipe": "paper,book"}, "unknown recipe 'book'; choose one of paper, released"),
        ({"scale": "tiny"}, "unknown scale 'tiny'; choose one of full, lite"),
        ({"train_set": "synthetic,cfd"}, "unknown training set 'cfd'; choose one of deepcrack"),
        (
            {"train_set": "crack500", "test_set": "crack500_heldout,cfd"},
            "unknown test set 'cfd'; choose one of",
        ),
        ({"seeds": "0,x"}, "seed must be a whole number, 0 or more, not 'x'"),
        ({"seeds": "-1"}, "not '-1'"),
        ({"tables": "1,2", "rows": "striped,stripes"}, "no row 'stripes'; choose .*mae.*jumbled"),
        ({"tables": "4", "rows": "segnet"}, "has no row 'segnet'; choose deeplabv3plus"),
        ({"tables": "4", "rows": "unet", "recipe": "released"}, "unet: no recipe released"),
        ({"device": "gpu"}, "unknown device 'gpu'; choose one of auto, cpu, cuda"),
        ({"precision": "16"}, "unknown precision '16'; choose one of 32-true"),
        ({"max_steps": "0"}, "max_steps must be a whole number, 1 or more"),
        ({"allow_dirty": "maybe"}, "allow_dirty must be 0 or 1"),
        ({"vgg_weights": "nowhere.pth"}, "no file nowhere.pth; name one, or random"),
    ],
)
def test_a_wrong_name_is_refused_with_the_valid_ones(config, named):
    with pytest.raises(UserError, match=named):
        plan(config)


def test_the_options_reach_the_command_and_the_names():
    options = {"max_steps": 3, "allow_dirty": "1", "vgg_weights": "random", "precision": "bf16-mixed"}
    made = plan({"tables": "4", "rows": "upcracknet", **options})
    (cell,) = made.cells.values()
    given = "--device auto --precision bf16-mixed --vgg-weights random --max-steps 3 --allow-dirty"
    assert " ".join(made.words(cell)) == given
    assert made.run(cell) == run_name(cell, 3) == f"{cell.run_slug()}-3steps"
    other = "--precision bf16-mixed --max-steps 3 --vgg-weights random"
    assert made.command(cell) == f"{cell.command()} {other}"
    assert full_command(cell) == cell.command()


def test_a_method_gets_the_options_that_it_has_a_use_for():
    made = plan({"tables": "4", "vgg_weights": "random", "max_steps": 3, "precision": "bf16-mixed"})
    unet, free = Cell("unet"), Cell("tf_sato_otsu")
    assert " ".join(made.words(unet)) == "--device auto --precision bf16-mixed --max-steps 3"
    assert " ".join(made.words(free)) == "--device auto --precision 32-true"
    assert made.run(unet).endswith("-3steps")
    assert made.run(free) == free.run_slug()
    assert made.command(free) == free.command()
    assert made.left_out == ()


def test_a_recipe_of_upcracknet_alone_leaves_the_other_rows_out_and_names_them():
    made = plan({"tables": "4", "rows": "unet,upcracknet", "recipe": "paper,released"})
    assert [cell.slug().split("-lite")[0] for cell in made.cells.values()] == [
        "unet-paper",
        "upcracknet-paper",
        "upcracknet-released",
    ]
    assert made.left_out == ("unet: no recipe released, which is UP-CrackNet's alone",)


@pytest.mark.parametrize(
    ("manifest", "trained"),
    [(None, False), ("{", False), ({"status": "running"}, False), ({"status": "finished"}, True)],
)
def test_only_a_training_that_came_to_its_end_is_none_to_wait_for(tmp_path, manifest, trained):
    made, cell = plan({"tables": "4", "runs": tmp_path}), Cell()
    if manifest is not None:
        (tmp_path / cell.run_slug()).mkdir()
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (tmp_path / cell.run_slug() / "manifest.json").write_text(text, encoding="utf-8")
    assert made.is_trained(cell) is trained


def test_a_test_set_that_is_missing_is_known_before(tmp_path):
    made = plan({"tables": "4", "data_root": tmp_path})
    assert made.can_be_tested(Cell(test_set="synthetic"))
    assert not made.can_be_tested(Cell())
    assert not made.is_done(Cell())


def test_planning_does_without_torch():
    code = (
        "import sys, upcrack_lite.reproduction.sweep as p, upcrack_lite.reproduction.cell_data; p.plan({}); "
    )
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_of_a_cell_takes_every_option_of_a_sweep():
    """A sweep hands them over as parameters; one that the page does not know would fail every cell."""
    page = nbformat.read(ROOT / "notebooks/tables/one_cell.ipynb", as_version=4)
    (cell,) = [cell for cell in page.cells if "parameters" in cell.metadata.get("tags", [])]
    names = {line.split(" = ")[0] for line in cell.source.splitlines()}
    assert set(plan({}).options) <= names
