"""`upcrack verify`: every change between records, printed tables and what is shown must be found."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from small_records import small_values
from typer.testing import CliRunner

from upcrack_lite import cli_verify
from upcrack_lite.baselines.kinds import FAMILIES
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published, records, verifier
from upcrack_lite.reproduction.cells import Cell, cells
from upcrack_lite.reproduction.record_files import EDGES, pack

ROOT = Path(__file__).resolve().parents[1]
LITE = Cell()


def write(folder: Path, cell: Cell, edit=None, **options) -> Path:
    """Write a record of made-up maps; `edit(values, arrays)` may change it before it is closed."""
    values, arrays = small_values(cell, **options)
    if edit:
        edit(values, arrays)
    values["arrays"]["sha256"] = hashlib.sha256(pack(values["images"], arrays)).hexdigest()
    return records.save(records.make(values), arrays, folder)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Records of two tables with their `shown.json`, with which everything agrees."""
    own = cells(4, rows=["upcracknet"], scale="full", seeds=(0, 1, 2))
    for cell in [*own, LITE, *cells(1, rows=["mae"]), *cells(4, rows=["tf_sato_otsu"])]:
        write(tmp_path, cell, seed=cell.seed, contrast=0.2)
    verifier.update(tmp_path)
    assert verifier.verify(tmp_path) == []
    return tmp_path


def found(folder: Path) -> str:
    return "\n".join(map(str, verifier.verify(folder)))


def edit_shown(folder: Path, change) -> None:
    path = folder / verifier.FILE
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_stored_number_that_was_edited(folder):
    path = folder / f"{LITE.slug()}.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["train"]["steps"] -= 1
    path.write_text(json.dumps(values), encoding="utf-8")
    assert f"{LITE.slug()}.json" in found(folder)
    assert len(verifier.verify(folder)) == 1


def test_a_histogram_count_moved_in_a_record_that_is_whole_again(folder):
    def move(values, maps):
        counts, best = maps["smoothed"].pooled[1], maps["smoothed"].groups
        place = int(np.flatnonzero(counts[121:])[0]) + 121  # above the threshold: no pixel count changes
        group = int(np.searchsorted(EDGES, place, "right")) - 1
        image = int(np.flatnonzero(best[:, 1, group])[0])
        for inside, where, last in ((counts, place, 254), (best[image, 1], group, -1)):
            inside[where] -= 1
            inside[last] += 1

    write(folder, LITE, move, contrast=0.2)
    lines = found(folder)
    assert f"{LITE.slug()}.json: changed after the pages were written" in lines
    assert "smoothed.a" in lines, "a score over all thresholds moved"
    assert "Table" not in lines, "the counts at the threshold are as before"


def test_a_histogram_count_changed_in_the_file_alone(folder):
    path = folder / f"{LITE.slug()}.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["raw_pooled"][0, 0] += 1
    np.savez(path, **changed)
    assert "was changed after it was written" in found(folder)


def test_an_image_count_changed_in_a_record_that_is_whole_again(folder):
    write(folder, LITE, contrast=0.4)
    lines = found(folder)
    assert f"{LITE.slug()}.json: changed after" in lines
    assert (
        f"Table 4 upcracknet, {'paper recipe, lite, deepcrack → deepcrack, 1 seed'}: mean, iou: was" in lines
    )


def test_a_median_of_a_family_that_was_edited(folder):
    def change(values):
        (one,) = [n for n in values["numbers"] if "family median" in n["what"]]
        one["values"]["f1"] += 1

    edit_shown(folder, change)
    assert "family median, f1: was" in found(folder)


def test_a_listed_number_that_was_edited(folder):
    def change(values):
        (one,) = [
            n for n in values["numbers"] if (n["table"], n["row"], n["what"]) == (4, "upcracknet", "printed")
        ]
        assert one["values"]["iou"] == 58.738
        one["values"]["iou"] = 58.739

    edit_shown(folder, change)
    assert found(folder) == "Table 4 upcracknet, printed, iou: was 58.739 and is 58.738"


def test_a_printed_number_that_was_edited(folder, monkeypatch):
    read = published._read.__wrapped__

    def edited(number):
        return tuple(replace(row, f1=row.f1 + 0.001) if row.name == "V unet" else row for row in read(number))

    monkeypatch.setattr(published, "_read", edited)
    lines = [str(one) for one in verifier.verify(folder)]
    assert lines == [
        f"Table 5 unet, {what}, f1: was 23.634 and is 23.635" for what in ("printed", "put right")
    ]


def test_a_record_that_is_gone_and_one_that_is_new(folder):
    (folder / f"{LITE.slug()}.json").unlink()
    (folder / f"{LITE.slug()}.npz").unlink()
    write(folder, Cell(seed=7))
    lines = found(folder)
    assert f"{LITE.slug()}.json: is shown, but there is no such record" in lines
    assert f"{Cell(seed=7).slug()}.json: is a record that the pages do not show yet" in lines
    assert verifier.update(folder)
    assert verifier.verify(folder) == []


def test_arrays_without_a_record(folder):
    (folder / f"{LITE.slug()}.npz").rename(folder / "left-s0.npz")
    assert "cannot be read" in found(folder)
    (folder / f"{LITE.slug()}.json").unlink()
    assert "left-s0.npz: belongs to no record" in found(folder)


def test_a_verdict_that_was_edited(folder):
    edit_shown(folder, lambda values: values["verdicts"]["Table IV upcracknet"].update(verdict="matches"))
    assert found(folder) == "Table IV upcracknet: verdict was 'matches' and is 'not run here'"


def test_a_number_left_out_and_one_listed_twice(folder):
    edit_shown(folder, lambda values: values["numbers"].pop(0))
    assert "is not listed" in found(folder)
    verifier.update(folder)
    edit_shown(folder, lambda values: values["numbers"].append(values["numbers"][0]))
    assert "lists a number twice" in found(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', "{"])
def test_a_list_that_cannot_be_read(folder, text):
    (folder / verifier.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="get it anew from the repository"):
        verifier.verify(folder)


def test_missing_folder_list_and_another_format(folder, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        verifier.verify(tmp_path / "none")
    edit_shown(folder, lambda values: values.update(format=1))
    with pytest.raises(UserError, match="has format 1, this version reads 2"):
        verifier.verify(folder)
    (folder / verifier.FILE).unlink()
    with pytest.raises(UserError, match="upcrack verify --update"):
        verifier.verify(folder)


def test_every_printed_number_is_listed_twice_even_without_a_record(tmp_path):
    values = verifier.shown(tmp_path)
    rows = len(published.rows())
    assert len(values["numbers"]) == rows * 2 * 5
    assert len(values["verdicts"]) == rows + 6 * len(FAMILIES)
    assert values["records"] == {}


def test_the_command(folder):
    app = typer.Typer()
    app.command()(cli_verify.verify)
    runner, words = CliRunner(), ["--results", str(folder)]
    good = runner.invoke(app, words)
    assert (good.exit_code, good.stdout.split("\n")[0].endswith("all as shown")) == (0, True)
    write(folder, Cell(seed=7))
    bad = runner.invoke(app, words)
    assert bad.exit_code == 1
    assert "upcrack verify --update" in bad.stdout
    mended = runner.invoke(app, [*words, "--update"])
    assert (mended.exit_code, runner.invoke(app, words).exit_code) == (0, 0)


def test_the_book_shows_what_the_committed_records_say():
    assert verifier.verify(ROOT / "results") == []
