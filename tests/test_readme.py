"""The numbers of README.md are those of the records."""

from __future__ import annotations

import pytest
from conftest import ROOT

from upcrack_lite.repro import published, records
from upcrack_lite.repro.ours import group

SETS = {4: "DeepCrack", 7: "CFD", 8: "Crack500"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def line(table: int, recipe: str) -> str:
    """A line of README's table, from the printed rows or from the records."""
    row = published.row(table, "upcracknet")
    if not recipe:
        right = published.corrected(row)
        numbers = [f"{getattr(right, name):.1f}" for name in ("precision", "recall", "f1", "iou")]
        return f"| paper, Table {published.TABLES[table].roman}: {SETS[table]} | {' | '.join(numbers)} |"
    (ours,) = [
        one
        for one in group(row, records.load_all(ROOT / "results"))
        if (one.recipe, one.scale, one.train_set) == (recipe, "lite", "deepcrack")
    ]
    assert ours.seeds == (0, 1, 2)
    scores = [ours.scores[name] for name in ("precision", "recall", "f1", "iou")]
    numbers = " | ".join(f"{score.mean:.1f} ± {score.sd:.1f}" for score in scores)
    return f"| `lite`, recipe `{recipe}`: `{ours.test_set}` | {numbers} |"


@pytest.mark.parametrize("table", SETS)
def test_the_lines_of_the_darkness_level_are_what_the_records_say(table):
    given = records.load_all(ROOT / "results")
    (ours,) = [
        one
        for one in group(published.beside(table, "tf_global_darkness"), given)
        if one.train_set == "deepcrack"
    ]
    numbers = " | ".join(f"{ours.scores[name].mean:.1f}" for name in ("precision", "recall", "f1", "iou"))
    assert f"| darkness, no training: `{ours.test_set}` | {numbers} |" in README.splitlines()
    assert ours.records[0].train.chosen.variants == 24
    if table == 4:
        rows = published.rows(4)
        assert len(rows) == 14
        assert all(ours.scores["f1"].mean > row.f1 and ours.scores["iou"].mean > row.iou for row in rows)


def test_the_training_that_failed_is_told_with_the_scores_of_its_records():
    page = (ROOT / "notebooks/18_why_33.ipynb").read_text(encoding="utf-8")
    row = published.row(3, "upcracknet")
    given = records.load_all(ROOT / "results")
    scores = {
        one.recipe: one.scores["f1"].mean
        for one in group(row, given)
        if (one.train_set, one.test_set, one.seeds) == ("crack500_kept", "crack500_heldout", (0,))
    }
    assert f"is {scores['released']:.1f} %, where the recipe `paper` reaches {scores['paper']:.1f} %" in page


@pytest.mark.parametrize("recipe", ["", "paper", "released"])
@pytest.mark.parametrize("table", SETS)
def test_each_line_is_what_the_records_say(table, recipe):
    assert line(table, recipe) in README.splitlines()
