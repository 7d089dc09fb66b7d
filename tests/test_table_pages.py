"""The table pages as a reader sees them: without records, with some, with all; and made live."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_records import chosen, save, small_values

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import published, record_files, run
from upcrack_lite.reproduction.experiments import Experiment, RunOptions, Selection
from upcrack_lite.show.overview import AllRows
from upcrack_lite.show.table_page import TablePage, select
from upcrack_lite.show.table_words import reading_word, title


def write(folder: Path, experiment: Experiment, contrast: float = 0.5, n: int = 4) -> None:
    save(*small_values(experiment, n=n, seed=experiment.seed, contrast=contrast), folder)


def text(part) -> str:
    """What a reader reads: the HTML's text."""
    body = re.sub(r"(?s)<style>.*?</style>", "", part.data)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def lines(part) -> list[list[str]]:
    """The cells of a table's body, row by row."""
    body = part.data[part.data.index("<tbody") :].split("<tfoot")[0]
    rows = [re.findall(r"(?s)<td.*?</td>", row) for row in re.findall(r"(?s)<tr.*?</tr>", body)]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in rows]


def page_of(number: int, run: str = "recorded", data_root: str = "", results="", **selection) -> TablePage:
    return TablePage(select(number, **selection), data_root, "cpu", run, results)


PARTS = ("summary", "ours", "others", "printed", "rule", "made", "commands", "says")


@pytest.mark.parametrize("number", published.TABLES)
def test_a_page_without_any_record(number, tmp_path):
    page = page_of(number, results=tmp_path / "none")
    rows = published.rows(number)
    for part in PARTS:
        shown = text(getattr(page, part)())
        assert shown
        assert not re.search(r"\bnan\b|None|\[\]|<class", shown)
    printed, ours = lines(page.printed()), lines(page.ours())
    assert [line[0] for line in printed] == [line[0] for line in ours] == [title(row) for row in rows]
    assert all(cell for line in printed + ours for cell in line), "never a blank"
    assert {line[1] for line in ours} <= {"not run here", "cannot be run"}
    assert {line[2] for line in ours} == {"–"}
    assert "No record of ours is on the printed photos" in text(page.ours())
    assert "near" not in text(page.summary()), "no reading without a record"
    for row in rows:
        assert row.precision is None or f"{row.recall:.3f}" in text(page.printed())
    assert "there is no record of it yet" in text(page.made()).lower() or number in (1, 2)
    assert f"{rows[0].f1:.1f}" in page.alt()
    page.picture()


def test_a_page_with_some_records(tmp_path):
    write(tmp_path, Experiment(), contrast=0.2)
    write(tmp_path, Experiment(recipe="released"))
    page = page_of(4, results=tmp_path)
    (own,) = [line for line in lines(page.ours()) if line[0] == "UP-CrackNet"]
    (row,) = [row for row in page.rows if row.printed.key == "upcracknet"]
    ours = row.ours[0]
    f1, iou = (ours.scores[metric] for metric in ("f1", "iou"))
    interval = f"{f1.low:.1f} to {f1.high:.1f}"
    assert own[1:6] == ["open", f"below by {74.006 - f1.mean:.1f}", "74.0", f"{f1.mean:.1f}", interval]
    values = (iou.mean, ours.worth.f1, ours.worth.average_precision)
    assert own[6:] == ["58.7", *(f"{value:.1f}" for value in values)]
    assert f"UP-CrackNet printed 74.0, lite {f1.mean:.1f}" in page.alt()
    assert "No printed row has a record at full scale yet." in text(page.ours())
    assert "its scale is lite, not full; " in text(page.made())
    link = f'<a href="../../results/{Experiment().slug()}.json">{Experiment().slug()}.json</a>'
    assert link in page.made().data
    assert f"Made with {Experiment().command()} " in text(page.made()), "the very command that made it"
    assert '<span style="white-space: nowrap">--train-set</span>' in page.made().data, "no break in an option"


def test_a_page_with_all_records_of_a_row(tmp_path, monkeypatch):
    for name in ("other_test_photos", "other_training_photos"):  # made-up photos count as the official ones
        monkeypatch.setattr(f"upcrack_lite.reproduction.conditions.{name}", lambda record: [])
    for experiment in chosen(4, rows=["upcracknet"], scale="full", seeds=(0, 1, 2)):
        write(tmp_path, experiment, n=237)
    page = page_of(4, results=tmp_path)
    (own,) = [line for line in lines(page.ours()) if line[0] == "UP-CrackNet"]
    assert own[1] == "differs"
    assert "±" in own[4]
    assert "F1, full" in text(page.ours())
    assert "record at full scale yet" not in text(page.ours())
    assert "against the printed 74.006, with a margin of 2 points" in text(page.summary())
    assert "Seeds 0, 1, 2." in text(page.made())
    assert "--seed 0 --seed 1 --seed 2" in text(page.made())


def test_the_first_screen_says_what_the_records_say(tmp_path):
    write(tmp_path, Experiment(), contrast=0.2)
    write(tmp_path, Experiment("unet"))
    said = text(page_of(4, results=tmp_path).summary())
    f1 = page_of(4, results=tmp_path).rows[13].ours[0].f1
    assert said.startswith(
        f"UP-CrackNet: F1 {f1:.1f} %, printed 74.0 %: below by {74.006 - f1:.1f} points (paper recipe, lite scale, "
        "1 seed, trained and tested on DeepCrack). Verdict: open. Why: the nearest record is"
    )
    assert "Of 14 printed rows: 2 open, 10 not run here, 2 cannot be run." in said
    assert re.search(r"Readings of F1, whatever scale and photos: 1 below, 1 (near|above)\.", said)
    write(tmp_path, Experiment(), contrast=0.3)
    other = text(page_of(4, results=tmp_path).summary())
    assert other.split(":")[1] != said.split(":")[1], "one record was altered"


def test_a_failed_run_is_shown_with_and_without(tmp_path):
    for seed in range(3):
        write(tmp_path, Experiment(seed=seed), contrast=0.4 if seed else -0.3)
    page = page_of(4, results=tmp_path)
    (ours,) = [one for row in page.rows for one in row.ours]
    (own,) = [line for line in lines(page.ours()) if line[0] == "UP-CrackNet"]
    assert own[4].endswith(f"{ours.sound['f1'].mean:.1f} without failed runs")
    assert f"({ours.sound['f1'].mean:.1f} % without failed runs), printed" in text(page.summary())
    assert "1 of its 3 runs failed (seed 0" in text(page.made())


def test_a_row_without_its_style_loss_says_so(tmp_path):
    lacks = {}
    for number, row in ((1, "mae"), (1, "mae+style"), (2, "striped")):
        (experiment,) = chosen(number, rows=[row], scale="lite")
        write(tmp_path, experiment)
        made = text(page_of(number, methods=[row], results=tmp_path).made())
        lacks[row] = "its training has no style loss" in made
    assert lacks == {"mae": False, "mae+style": False, "striped": True}, "the paper's row mae has none either"


def test_our_order_stands_beside_the_printed_one(tmp_path):
    keys = ("multi_scale_square", "striped", "jumbled")
    for key, contrast in zip(keys, (0.0, 0.1, 0.5), strict=True):
        for experiment in chosen(2, rows=[key], scale="lite", train_set="deepcrack", test_set="deepcrack"):
            write(tmp_path, experiment, contrast=contrast)
        said = text(page_of(2, results=tmp_path).others())
        assert ("Our order" in said) == (key == keys[-1]), "two rows are no order"
    assert re.search(
        r"Our order by F1 .*: jumbled small squares \(.*stripes \(.*multi-scale squares \(", said
    )
    assert "is -1.00" in said, "the paper has them the other way round"
    page = page_of(2, results=tmp_path)
    assert "lite" not in text(page.ours()), "other photos stay out of the printed table"
    readings = [line[2].split()[0] for line in lines(page.ours())]
    assert readings == [reading_word(row) for row in page.rows], "as the page counts them"
    (ours,) = page.rows[0].ours
    assert lines(page.others())[0][1] == f"{ours.f1:.1f}"


def test_what_is_not_in_the_paper_stands_in_a_table_of_its_own(tmp_path):
    shown = page_of(4, results=tmp_path)
    assert text(shown.others()) == "There is no record of them yet."
    for experiment in chosen(4, rows=["tf_sato_otsu", "tf_gabor_otsu"]):
        write(tmp_path, experiment, n=9)
    page = page_of(4, results=tmp_path)
    assert {line[0] for line in lines(page.others())} == {"Sato + Otsu", "Gabor + Otsu"}
    assert re.fullmatch(r"median of 6 variants: F1 \d+\.\d", lines(page.others())[-1][-1])
    assert lines(page.printed())[-1][0] == lines(page.ours())[-1][0] == "UP-CrackNet", (
        "none of them is printed"
    )
    said = text(page.others())
    assert re.search(r"the training photos speak for (Sato|Gabor) \+ Otsu, which has F1 \d", said)
    assert "The highest of 2, known only after the test, is" in said
    assert re.search(r"above the 74\.0 % that is printed for UP-CrackNet; by the median", said)
    assert "no training: of 6 variants" in text(page.made()).lower()
    assert re.search(r"Line: training-free: (Sato|Gabor) \+ Otsu, \d", page.alt())


@pytest.mark.parametrize("seeds", ["1,2", [1, 2], (1, 2), "[1, 2]", ["1", "2"]])
def test_lists_may_come_as_text(seeds, tmp_path):
    for seed in range(3):
        write(tmp_path, Experiment(seed=seed))
    page = page_of(4, methods="upcracknet, unet", seeds=seeds, results=tmp_path)
    assert [row.printed.key for row in page.rows] == ["upcracknet", "unet"]
    assert page.rows[0].ours[0].seeds == (1, 2)
    assert page_of(4, seeds=1, results=tmp_path).rows


@pytest.mark.parametrize("wrong", ["one", [0.5], True, -1, None])
def test_other_things_in_place_of_numbers_are_refused(wrong, tmp_path):
    with pytest.raises(UserError, match="seeds: must be whole numbers"):
        page_of(4, results=tmp_path, seeds=wrong)


def test_pages_find_the_repositorys_records_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert record_files.folder("results") == Path(__file__).parents[1] / "results"
    assert record_files.folder("results", tmp_path / "mine") == tmp_path / "mine"


def test_precision_and_recall_stand_under_the_right_heading():
    data = page_of(3, methods=["upcracknet"], results="none").printed().data
    right = published.corrected(published.row(3, "upcracknet"))
    for over, name, value in (
        ("corrected", "right_precision", right.precision),
        ("corrected", "right_recall", right.recall),
        ("as-printed", "was_precision", right.recall),
        ("as-printed", "was_recall", right.precision),
    ):
        assert re.search(rf'headers="[^"]*printed-3-{over} printed-3-{name}"[^>]*>{value:.3f}<', data)


@pytest.mark.parametrize(
    ("number", "sets"), [(3, ("crack500_kept", "crack500_heldout")), (8, ("deepcrack", "crack500_heldout"))]
)
def test_proxy_sets_are_offered_where_a_set_is_hard_to_get_for_a_laptop_too(number, sets):
    commands = text(page_of(number, results="none").commands())
    assert f"--scale lite --seed 0 --seed 1 --seed 2 --train-set {sets[0]} --test-set {sets[1]}" in commands
    assert "proxy sets" not in text(page_of(4, results="none").commands())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": "later"}, "unknown run 'later'; choose recorded or live"),
        ({"recipe": "mine"}, "unknown recipe 'mine'; choose one of paper, released"),
        ({"methods": ["gan"]}, "no row 'gan'; choose deeplabv3plus"),
        ({"run": "live"}, "get them with `upcrack data fetch deepcrack --root data`"),
        (
            {"run": "live", "methods": ["unet"], "recipe": "released", "data_root": "x"},
            "unet has one recipe, paper",
        ),
    ],
)
def test_what_is_refused(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no data set lies
    with pytest.raises(UserError) as caught:
        page_of(4, results="none", **options)
    assert message in str(caught.value)


def test_live_with_a_set_that_is_not_there_names_the_command(tmp_path):
    with pytest.raises(UserError, match="upcrack data fetch cfd_patches"):
        run.run_table(Selection(7), tmp_path, tmp_path / "runs", tmp_path / "results")


def test_a_live_table_makes_its_experiments_and_they_join_the_page(tmp_path, monkeypatch):
    asked = []

    def run_experiment(experiment, data_root, runs, results, options, **rest):
        asked.append((experiment.slug(), str(data_root), options))
        return save(*small_values(experiment), tmp_path)

    monkeypatch.setattr(run, "run_experiment", run_experiment)
    rows = {"recipe": "released", "train_set": "synthetic", "seeds": [3, 4]}
    page = page_of(6, "live", "photos", tmp_path, **rows)
    names = [f"upcracknet-released-lite-synthetic-to-deepcrack-s{seed}" for seed in (3, 4)]
    assert asked == [(name, "photos", RunOptions("cpu", allow_dirty=True)) for name in names]
    assert "Seeds 3, 4." in text(page.made())


def test_all_rows_are_read_from_the_records(tmp_path):
    """96 cells; without the records of one row, its cell, the sentences and no other cell change."""
    for experiment in (Experiment(), Experiment("unet"), Experiment("unet", train_set="crack500")):
        write(tmp_path, experiment)
    whole = AllRows(tmp_path)
    assert sum(len(rows) for rows in whole.rows.values()) == 96
    (tmp_path / f"{Experiment().slug()}.json").unlink()
    fewer = AllRows(tmp_path)
    cells = [re.findall(r"<a href.*?</a>", page.methods().data) for page in (whole, fewer)]
    ((before, after),) = [pair for pair in zip(*cells, strict=True) if pair[0] != pair[1]]
    f1 = whole.rows[4][-1].ours[0].f1
    assert before.endswith(f">O {f1 - 74.006:+.1f}</a>".replace("-", "−"))
    assert re.search(r"table_4\.html.*>–</a>$", after)
    assert whole.says().data != fewer.says().data
