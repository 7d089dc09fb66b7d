"""What the chapter on training-free baselines shows: maps, a family scored on two sets, and its widget."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

from upcrack_lite.baselines.training_free import FAMILIES, Variant
from upcrack_lite.metrics import Confusion
from upcrack_lite.show import untrained


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def counted(*f1: float) -> dict[Variant, Confusion]:
    """Variants with these F1: of 100 crack pixels so many are found, and as many others marked as are missed."""
    found = (Confusion(round(one), 100 - round(one), 100 - round(one), 1000) for one in f1)
    return dict(zip(FAMILIES["tf_global_darkness"], found, strict=False))


def test_the_frozen_variant_is_chosen_without_the_test_set():
    scored = untrained.FamilyScores(counted(80, 60, 50, 70), counted(30, 75, 40, 20))
    assert scored.numbers == pytest.approx(
        {"best on the test set": 75, "chosen on the training set": 30, "median": 35}
    )
    assert scored.selected == FAMILIES["tf_global_darkness"][0]
    assert scored.luckiest == FAMILIES["tf_global_darkness"][1]


def test_the_picture_of_a_family_marks_its_three_numbers():
    scored = untrained.FamilyScores(counted(80, 60, 50, 70), counted(30, 75, 40, 20))
    (axes,) = untrained.family_figure(scored).axes
    lines = [line.get_xydata() for line in axes.lines]
    dots = [line for line in lines if len(line) == 4]
    assert sorted(dots[0][:, 0]) == pytest.approx([50, 60, 70, 80])
    assert sorted(dots[1][:, 0]) == pytest.approx([20, 30, 40, 75])
    marks = {line.get_label(): line.get_xdata() for line in axes.lines if line.get_label()[0] != "_"}
    assert list(marks["chosen on the training set"]) == pytest.approx([80, 30])
    assert list(marks["best on the test set"]) == pytest.approx([75])
    said = untrained.family_alt(scored)
    assert "best on the test set 75.0, chosen on the training set 30.0, median 35.0" in said
