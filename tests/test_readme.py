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


@pytest.mark.parametrize("recipe", ["", "paper", "released"])
@pytest.mark.parametrize("table", SETS)
def test_each_line_is_what_the_records_say(table, recipe):
    assert line(table, recipe) in README.splitlines()
