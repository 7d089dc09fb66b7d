"""`upcrack verify`: every change between records, printed tables and what is shown must be found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import ROOT
from small_records import chosen, save, small_values
from typer.testing import CliRunner

from upcrack_lite import cli
from upcrack_lite.baselines.registry import BESIDE
from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published, verify
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.record_files import EDGES

LITE = Experiment()


def write(folder: Path, experiment: Experiment, edit=None, **options) -> Path:
    """Write a record of made-up maps; `edit(values, arrays)` may change it before it is closed."""
    values, arrays = small_values(experiment, **options)
    if edit:
        edit(values, arrays)
    return save(values, arrays, folder)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Records of two tables with their `shown.json`, with which everything agrees."""
    own = chosen(4, rows=["upcracknet"], scale="full", seeds=(0, 1, 2))
    for experiment in [*own, LITE, *chosen(1, rows=["mae"]), *chosen(4, rows=["tf_sato_otsu"])]:
        write(tmp_path, experiment, seed=experiment.seed, contrast=0.2)
    verify.update(tmp_path)
    assert verify.verify(tmp_path) == []
    return tmp_path


def differences(folder: Path) -> str:
    return "\n".join(verify.verify(folder))


def edit_json(path: Path, change) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_stored_number_that_was_edited(folder):
    edit_json(folder / f"{LITE.slug()}.json", lambda values: values["train"].update(steps=2039))
    with pytest.raises(UserError, match=f"{LITE.slug()}.json.*was changed after it was written"):
        verify.verify(folder)


def numbers(values, what):
    """The last entry of Table IV of this kind."""
    return [one for one in values["numbers"] if one["table"] == 4 and one["what"].endswith(what)][-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda shown: numbers(shown, "printed")["values"].update(iou=59.738),
            "Table 4 upcracknet, printed, iou: was 59.738 and is 58.738",
        ),
        (
            lambda shown: numbers(shown, "family median")["values"].update(f1=1),
            "family median, f1: was 1 and is",
        ),
        (
            lambda shown: numbers(shown, "printed")["records"].append("other.json"),
            "printed, precision, records: was ['other.json'] and is []",
        ),
        (
            lambda shown: shown["verdicts"]["Table IV upcracknet"].update(verdict="matches"),
            "Table IV upcracknet, verdict: was matches and is open",
        ),
        (
            lambda shown: shown["numbers"].pop(0),
            "Table 1 mae, printed, precision: is 60.026 and is not listed",
        ),
        (lambda shown: shown["numbers"].append(shown["numbers"][0]), "shown.json: lists a number twice"),
    ],
)
def test_what_is_shown_was_edited(folder, change, said):
    edit_json(folder / verify.FILE, change)
    assert any(said in line for line in verify.verify(folder))


@pytest.mark.parametrize("kind", ["raw", "smoothed"])
def test_a_histogram_count_moved_in_a_record_that_is_whole_again(folder, kind):
    def move(values, maps):
        counts, best = maps[kind].pooled[1], maps[kind].groups
        place = int(np.flatnonzero(counts[121:])[0]) + 121  # above the threshold: no pixel count changes
        group = int(np.searchsorted(EDGES, place, "right")) - 1
        image = int(np.flatnonzero(best[:, 1, group])[0])
        for inside, where, last in ((counts, place, 254), (best[image, 1], group, -1)):
            inside[where] -= 1
            inside[last] += 1

    write(folder, LITE, move, contrast=0.2)
    lines = differences(folder)
    assert f"{LITE.slug()}.json, SHA-256 of its contents: was" in lines
    assert f"{kind}.a" in lines, "a score over all thresholds moved"
    best = "Table 4 upcracknet, paper recipe, lite, deepcrack → deepcrack, 1 seed: best threshold, f1: was"
    assert (best in lines) == (kind == "raw"), "the tables say what the raw map is worth"
    assert "1 seed: mean" not in lines, "the counts at the threshold are as before"


def test_an_image_count_changed_in_a_record_that_is_whole_again(folder):
    write(folder, LITE, contrast=0.4)
    lines = differences(folder)
    assert f"{LITE.slug()}.json, SHA-256 of its contents: was" in lines
    assert "Table 4 upcracknet, paper recipe, lite, deepcrack → deepcrack, 1 seed: mean, iou: was" in lines


def test_a_printed_number_that_was_edited(folder, monkeypatch):
    read = published._read.__wrapped__

    def edited(number):
        return tuple(replace(row, f1=row.f1 + 0.001) if row.name == "V unet" else row for row in read(number))

    monkeypatch.setattr(published, "_read", edited)
    assert verify.verify(folder) == [
        f"Table 5 unet, {what}, f1: was 23.634 and is 23.635" for what in ("printed", "put right")
    ]


def test_a_record_that_is_gone_and_one_that_is_new(folder):
    (folder / f"{LITE.slug()}.json").unlink()
    (folder / f"{LITE.slug()}.npz").unlink()
    write(folder, Experiment(seed=7))
    lines = differences(folder)
    assert f"{LITE.slug()}.json: is shown, but there is no such record" in lines
    assert f"{Experiment(seed=7).slug()}.json: is a record that the pages do not show yet" in lines
    assert verify.update(folder)
    assert verify.verify(folder) == []


def test_arrays_without_a_record(folder):
    (folder / f"{LITE.slug()}.npz").rename(folder / "left-s0.npz")
    (folder / f"{LITE.slug()}.json").unlink()
    assert "left-s0.npz: belongs to no record" in differences(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', "{"])
def test_a_list_that_cannot_be_read(folder, text):
    (folder / verify.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="get it anew from the repository"):
        verify.verify(folder)


def test_missing_folder_list_and_another_format(folder, tmp_path):
    for work in (verify.verify, verify.update):
        with pytest.raises(UserError, match="no such folder"):
            work(tmp_path / "none")
    edit_json(folder / verify.FILE, lambda values: values.update(format=1))
    with pytest.raises(UserError, match="it has format 1, this version reads 2"):
        verify.verify(folder)
    (folder / verify.FILE).unlink()
    with pytest.raises(UserError, match="upcrack verify --update"):
        verify.verify(folder)


def test_every_printed_number_is_listed_twice_even_without_a_record(tmp_path):
    values = verify.shown(tmp_path)
    rows = len(published.rows())
    assert sum(len(one["values"]) for one in values["numbers"]) == rows * 2 * 5
    assert len(values["verdicts"]) == rows + 6 * len(BESIDE)
    assert values["records"] == {}


def test_the_command(folder):
    app = typer.Typer()
    app.command()(cli.verify)
    runner, words = CliRunner(), ["--results", str(folder)]
    good = runner.invoke(app, words)
    assert (good.exit_code, good.stdout.split("\n")[0].endswith("all as shown")) == (0, True)
    assert "printed rows: " in good.stdout
    assert "12 cannot be run" in good.stdout
    write(folder, Experiment(seed=7))
    bad = runner.invoke(app, words)
    assert bad.exit_code == 1
    assert "upcrack verify --update" in bad.stdout
    again = runner.invoke(app, [*words, "--update"])
    assert (again.exit_code, runner.invoke(app, words).exit_code) == (0, 0)


def test_the_book_shows_what_the_committed_records_say():
    assert verify.verify(ROOT / "results") == []
