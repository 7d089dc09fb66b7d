"""Cells that failed: noted without paths of the machine, shown on the table pages, forgotten once they are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import failures, published
from upcrack_lite.reproduction.cells import Cell
from upcrack_lite.reproduction.ours import belongs


def test_a_failure_is_written_read_and_forgotten(tmp_path):
    cell = Cell(overrides=(("mask_family", "striped"),), test_set="synthetic", seed=2)
    path = failures.note(cell, tmp_path, "no\n room", tmp_path / "deep" / "it.log", "upcrack cell --seed 2")
    assert path == tmp_path / "failed" / f"{cell.slug()}.json"
    (one,) = failures.load_all(tmp_path)
    assert (one.cell, one.error, one.log) == (cell, "no room", "it.log")
    assert one.command == "upcrack cell --seed 2"
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    failures.clear(cell, tmp_path)
    failures.clear(cell, tmp_path)
    assert failures.load_all(tmp_path) == failures.load_all(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        ("deepcrack is not in /srv/a b/data: get it", "deepcrack is not in …/a b/data: get it"),
        ("/mnt/user/data/deepcrack: its photos", "…/deepcrack: its photos"),
        (r"D:\kit\data is full, as file:/srv/kit is", "…/data is full, as file:…/kit is"),
        (
            "see results/dirty and 3/4, or https://example.org/a",
            "see results/dirty and 3/4, or https://example.org/a",
        ),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_the_error_names_no_folder_of_the_machine(tmp_path, error, kept):
    failures.note(Cell(), tmp_path, error)
    assert failures.load_all(tmp_path)[0].error == kept


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("one\ntwo\n\n", "two"),
        ("\nChapter one_cell.ipynb failed: UserError: no set\n\nin this cell:\n\npage = 1\n", "no set"),
        (
            "\nChapter one_cell.ipynb failed: the kernel died; why\n\nThe chapter so far: x\n",
            "the kernel died; why",
        ),
        (" \n", "it ended without a message"),
    ],
)
def test_the_line_that_says_what_went_wrong(log, error):
    assert failures.error_in(log) == error


@pytest.mark.parametrize("fault", ["no json", "a field less", "another name", "unknown set"])
def test_a_file_that_is_no_failure_is_named(tmp_path, fault):
    path = failures.note(Cell(), tmp_path, "no")
    values = json.loads(path.read_text(encoding="utf-8"))
    if fault == "a field less":
        del values["when"]
    if fault == "another name":
        path = path.rename(path.with_name("other.json"))
    if fault == "unknown set":
        values["key"]["test_set"] = "roads"
    path.write_text("{" if fault == "no json" else json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{path.name}: cannot be read as a failed cell .* delete it"):
        failures.load_all(tmp_path)


def test_a_failure_belongs_to_the_rows_that_its_record_would(tmp_path):
    cells = (
        Cell(),
        Cell(train_set="crack500_kept", test_set="crack500_heldout", recipe="released"),
        Cell(train_set="synthetic", test_set="synthetic"),
        Cell(overrides=(("lambda_adv", 0.0),)),
        Cell(overrides=(("mask_family", "jumbled"),), train_set="crack500_kept", test_set="synthetic"),
    )
    for cell in cells:
        failures.note(cell, tmp_path, "no")
    some = failures.load_all(tmp_path)
    found = {
        (row.table, row.key, one.cell)
        for row in published.rows()
        for one in some
        if row.table in (1, 2, 3, 4) and belongs(row, one.cell)
    }
    own = "upcracknet"
    assert {(number, cell) for number, key, cell in found if key == own} == {
        (3, cells[1]),
        (3, cells[2]),
        (4, cells[0]),
        (4, cells[2]),
    }
    assert ("jumbled", cells[4]) in {(key, cell) for number, key, cell in found if number == 2}
    assert ("mae+ssim+msgms", cells[3]) in {(key, cell) for number, key, cell in found if number == 1}
    assert {number for number, _, cell in found if cell == cells[3]} == {1}, "an ablation on DeepCrack"
    assert {key for number, key, _ in found if number == 4} == {own}


def test_git_ignores_failures():
    ignored = (Path(__file__).resolve().parents[1] / "results/.gitignore").read_text(encoding="utf-8")
    assert f"{failures.FOLDER}/" in ignored.splitlines()
